"""What a site could change at short notice, on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from pydantic import ConfigDict, Field

from api.wire.parts import Shown, example

MEANS: Final[dict[str, Any]] = {
    "name": "suspend",
    "power_w": 3100.0,
    "within_s": 3.5,
    "holds_s": 60.0,
    "again_after_s": 10.0,
    "tiers_w": {"3": 900.0, "4": 2200.0},
}
FLEX: Final[dict[str, Any]] = {
    "at": "2026-03-01T13:20:05Z",
    "planned_w": 11_600.0,
    "steps": [{"within_s": 5.0, "down_w": 3100.0, "up_w": 0.0, "left_w": 8500.0}],
    "down": [MEANS],
    "up": [],
}


class FlexStepView(Shown):
    """What could go and what could be added so many seconds after a signal, W at the site meter."""

    within_s: float
    down_w: float
    up_w: float = Field(description="If the limit allowed it; an estimate")
    left_w: float = Field(description="What the site would be entitled to once all that could go had gone")


class FlexMeansView(Shown):
    """One way to lower or to raise the draw, on top of those before it."""

    model_config = ConfigDict(json_schema_extra=example(**MEANS))

    name: str
    power_w: float
    within_s: float = Field(description="Seconds after the signal until all of it has come")
    holds_s: float | None = Field(description="For so long it costs no more than that; null = no end")
    again_after_s: float = Field(description="As much can be had anew so long after it was given back")
    tiers_w: dict[str, float] = Field({}, description="Whose work pays for it, by flex tier")


class FlexView(Shown):
    """The flex offer: how much, how soon, for how long, and how soon again."""

    model_config = ConfigDict(json_schema_extra=example(**FLEX))

    at: datetime
    planned_w: float = Field(description="What the site is entitled to now")
    steps: list[FlexStepView]
    down: list[FlexMeansView]
    up: list[FlexMeansView]
