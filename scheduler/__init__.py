"""Decides: what runs where, on which watts, and why."""
