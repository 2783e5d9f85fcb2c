"""What sources foresee of the limit, on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from pydantic import ConfigDict, Field

from api.wire.parts import Shown, example

FORESEEN: Final[dict[str, Any]] = {
    "source": "feeder-12",
    "at": "2026-03-01T14:00:00Z",
    "quantiles": [
        {"share": 0.1, "name": "10 % quantile", "limit_w": 3000.0},
        {"share": 0.5, "name": "median", "limit_w": 4500.0},
    ],
}


class QuantileView(Shown):
    """The limit will be below `limit_w` with a probability of `share`."""

    share: float
    name: str
    limit_w: float


class ForeseenView(Shown):
    """What a source foresees from `at` on. It is planned on, and no limit."""

    model_config = ConfigDict(json_schema_extra=example(**FORESEEN))

    source: str
    at: datetime
    quantiles: list[QuantileView] = Field(description="Rising in share")
