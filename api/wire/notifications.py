"""The calls of a job's webhook, as the API shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal

from pydantic import ConfigDict, Field

from api.wire.parts import Shown, example

NOTIFICATION: Final[dict[str, Any]] = {
    "id": "6e0f5c6f2f0b4c0c8c1d5b7a9e3f2d41",
    "event": "pause",
    "state": "delivered",
    "created_at": "2026-03-01T13:20:05Z",
    "tries": 1,
    "delivered_at": "2026-03-01T13:20:06Z",
    "next_at": None,
    "status": 200,
    "error": None,
}


class NotificationView(Shown):
    """One call of the job's webhook; `id` is its `Barq-Delivery`."""

    model_config = ConfigDict(json_schema_extra=example(**NOTIFICATION))

    id: str
    event: str
    state: Literal["waiting", "delivered", "given_up"]
    created_at: datetime
    tries: int
    delivered_at: datetime | None
    next_at: datetime | None = Field(description="When it is tried next; null = not any more")
    status: int | None = Field(description="HTTP status of the last answer")
    error: str | None = Field(description="What was wrong with the last try")


class Notifications(Shown):
    """The calls of a job's webhook, oldest first."""

    model_config = ConfigDict(json_schema_extra=example(notifications=[NOTIFICATION]))

    notifications: list[NotificationView]
