"""Miners behind one interface; one firmware is one file."""
