"""Power domains below the site's meter, on the wire."""

from __future__ import annotations

from pydantic import Field

from api.wire.parts import Shown


class DomainView(Shown):
    """A power domain below the site's meter, W at its own meter."""

    name: str
    limit_w: float
    draw_w: float = Field(description="By the sensors of the groups behind it")
    committed_w: float = Field(description="What could be drawn at most by all orders that may stand")
