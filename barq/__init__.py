"""What a researcher or operator types and imports."""

from __future__ import annotations

__version__ = "0.1.0"
