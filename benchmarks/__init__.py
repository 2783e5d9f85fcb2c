"""What the figures in README and `docs/figures.md` come from; each module is run as `python -m benchmarks.NAME`."""
