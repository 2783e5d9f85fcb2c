"""Figures that the site file gives, with their date: `revenue.figures`. They age like all others."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from scheduler.core.hashprice import ChainFigures


class SiteFile:
    """Says what the file said when the site was started."""

    name: Final = "site-file"
    poll_s: Final = 3600.0

    def __init__(self, told: ChainFigures) -> None:
        self._told = told

    async def read(self, at: datetime) -> ChainFigures:
        """The figures, whatever the time."""
        del at
        return self._told

    async def close(self) -> None:
        """Nothing was opened."""
