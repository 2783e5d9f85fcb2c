"""The pure heart: the same facts in give the same decision out, with no clock, no chance and no I/O."""
