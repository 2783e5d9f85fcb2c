"""Emergency stops on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from pydantic import ConfigDict, Field

from api.wire.parts import Sent, Shown, example
from api.wire.why import Why

STOP: Final[dict[str, Any]] = {
    "engaged": True,
    "id": "0b6f3c1e5d8a4f0c9a7e2b1d4c6f8e90",
    "reason": "smoke in hall 2",
    "by": "ada",
    "at": "2026-03-01T13:20:00Z",
}


class StopView(Shown):
    """An emergency stop: everything is at its fallback until a person releases it."""

    model_config = ConfigDict(json_schema_extra=example(**STOP))

    engaged: bool = True
    id: str
    reason: str
    by: str
    at: datetime


class StopReleased(Shown):
    """The emergency stops that were released by this request; none stands now."""

    model_config = ConfigDict(json_schema_extra=example(engaged=False, released=[STOP | {"engaged": False}]))

    engaged: bool = False
    released: list[StopView]


class NewStop(Sent):
    """Stops the site. Everything goes to its fallback at once, and stays there until a person releases it."""

    model_config = ConfigDict(json_schema_extra=example(reason="smoke in hall 2"))

    reason: Why = Field(description="Shown wherever the stop is")
    id: str | None = Field(
        None, pattern=r"^[0-9a-f]{32}$", description="Of a stop that guards were told of already; else absent"
    )


class StopRelease(Sent):
    """Releases the emergency stop."""

    model_config = ConfigDict(json_schema_extra=example(reason="false alarm, hall 2 was inspected"))

    reason: Why = Field(description="Why it is safe; kept with the record")
