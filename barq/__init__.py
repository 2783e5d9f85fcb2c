"""What a researcher or operator types and imports."""

__version__ = "0.1.0"
