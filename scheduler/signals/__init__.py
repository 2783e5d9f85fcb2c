"""Where the power limit comes from; one source is one file."""
