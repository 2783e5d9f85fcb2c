"""What was done to an attempt, for the log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from scheduler.core.jobs import Attempt
from scheduler.core.reasons import Event


def told(
    at: datetime, attempt: Attempt, kind: str, what: str, numbers: Mapping[str, float] | None = None
) -> Event:
    """That `what` was done to it, in words that go on from the name of its job."""
    return Event(
        at=at,
        kind=kind,
        text=f"{attempt.job_id} {what}",
        job_id=attempt.job_id,
        attempt_id=attempt.id,
        data=numbers or {},
    )
