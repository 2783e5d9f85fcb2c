"""Switched outlets: what is left when a machine says yes and keeps drawing. One protocol = one file."""
