"""The processes of a site on this machine: who they are, how they start, how they end."""

from __future__ import annotations
