"""Acts at the edge: on GPU nodes and on the miners' network."""
