"""What the figures in README come from; each module is run as `python -m benchmarks.NAME`."""
