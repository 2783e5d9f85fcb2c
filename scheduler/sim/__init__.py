"""The same loop and core on a virtual clock: traces in, figures out."""
