"""GPUs behind one interface; one kind of device is one file."""
