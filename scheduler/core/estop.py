"""The emergency stop: a person's word that everything falls to its fallback, until a person releases it.

It is *latched*: every guard keeps it on its disk, the store keeps it, and whoever learns of one tells the others. A
release names what it releases by id, so that it never ends a stop that was made later, or that nobody knew of.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from scheduler.core.envelope import Envelope, Segment
from scheduler.core.reasons import Code, Reason

SOURCE = "emergency stop"
"""The name under which a stop limits the site."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmergencyStop:
    """One stop, as the person made it."""

    id: str  #: its own for ever
    reason: str
    by: str
    at: datetime


def envelope_of(
    stop: EmergencyStop, *, firm_w: float, reaction_s: float, known_at: datetime | None = None
) -> Envelope:
    """The stop as a limit: the firm level, never stale, until it is released.

    At `known_at` it holds already, also where the clock of the machine on which it was made is ahead.
    """
    starts_at = stop.at if known_at is None else min(stop.at, known_at)
    segment = Segment(
        starts_at=starts_at,
        limit_w=firm_w,
        provenance=f"{stop.reason} ({stop.by})",
        document=f"emergency stop {stop.id}",
    )
    return Envelope(
        source=SOURCE, issued_at=starts_at, read_at=starts_at, reaction_s=reaction_s, segments=(segment,)
    )


def sentence(stop: EmergencyStop) -> str:
    """Who stopped the site, since when and why."""
    return f"Emergency stop by {stop.by} since {stop.at:%Y-%m-%d %H:%M:%S} UTC: {stop.reason}"


def stopped(stop: EmergencyStop) -> Reason:
    """Why nothing starts and nothing goes on."""
    return Reason(
        code=Code.EMERGENCY_STOP,
        text=sentence(stop),
        remedy="`barq estop release --reason ...`, by a person who knows that it is safe",
    )
