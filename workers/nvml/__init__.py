"""NVML, the library of NVIDIA's driver: what a machine's GPUs are, and what they are told."""
