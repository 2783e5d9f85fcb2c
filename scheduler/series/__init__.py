"""Time series of power from files: reading, cleaning, scaling to watts, playing at any speed."""
