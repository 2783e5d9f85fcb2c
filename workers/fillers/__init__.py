"""Programs that mine on a node's GPUs while nobody else has them."""
