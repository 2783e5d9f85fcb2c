"""Power domains below the site's meter, on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from pydantic import Field

from api.wire.parts import Shown

DOMAIN: Final[dict[str, Any]] = {
    "name": "feeder-12",
    "limit_w": 6000.0,
    "limit_source": "dso-12",
    "limit_provenance": "notice 118",
    "limit_stale": False,
    "firm_w": 2000.0,
    "draw_w": 5200.0,
    "committed_w": 5800.0,
    "next_change": {"at": "2026-03-01T15:00:00Z", "limit_w": 3000.0},
}


class ChangeView(Shown):
    """The next known change of a limit."""

    at: datetime
    limit_w: float


class DomainView(Shown):
    """A power domain below the site's meter, W at its own meter."""

    name: str
    limit_w: float
    limit_source: str = Field(
        "site file", description="Whose limit binds: a source of the domain, or its wires'"
    )
    limit_provenance: str | None = None
    limit_stale: bool = Field(default=False, description="That source is silent")
    firm_w: float | None = Field(
        None, description="What counts at most while sources are silent; null = it has none"
    )
    draw_w: float = Field(description="By the sensors of the groups behind it")
    committed_w: float = Field(description="What could be drawn at most by all orders that may stand")
    next_change: ChangeView | None = Field(None, description="The next known change of its limit")
