"""What a DSX Flex agent tells: messages of NVIDIA DSX Flex (contract 1.7), made from the state of the site."""
