"""What notice a partner had of a curtailment: since when the fall of the limit was known that brought it. Pure.

A fall that is seen ahead is remembered with when it was first seen. A curtailment begins when a partner is notably
short for a cause that its contract does not excuse, and was not for `APART_S` before: machines come back slowly, and
what flickers is one. Of one that no fall was seen ahead of, such as AI work that starts, there was no notice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from scheduler.core.curtailment import RAMP_S, Cause
from scheduler.core.envelope import Envelope, changes, lowest

APART_S: Final = RAMP_S
"""Two curtailments are at least so far apart."""
NEAR_S: Final = 120.0
"""A curtailment that begins so near to a fall is by it: miners go down before it, and need a while."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fall:
    """The limit falls at `at`, which was first seen at `known_at`."""

    at: datetime
    known_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One curtailment, when it began and for which cause, and the notice that was given and due, whole seconds."""

    begun_at: datetime
    cause: Cause
    given_s: int
    due_s: int

    @property
    def is_met(self) -> bool:
        """Whether it was told as early as the contract says."""
        return self.given_s >= self.due_s


def seen_ahead(
    before: Sequence[Fall],
    envelopes: Sequence[Envelope],
    at: datetime,
    *,
    horizon_s: float,
    firm_w: float,
    limit_w: float,
) -> tuple[Fall, ...]:
    """The falls within the horizon, and those that are just over; what was taken back is gone.

    `limit_w` is in force now.
    """
    known = {fall.at: fall.known_at for fall in before}
    kept = [fall for fall in before if at - timedelta(seconds=NEAR_S) <= fall.at <= at]
    for change_at in changes(envelopes, after=at, until=at + timedelta(seconds=horizon_s)):
        then_w = lowest(envelopes, change_at, now=at, firm_w=firm_w).limit_w
        if then_w < limit_w:
            kept.append(Fall(at=change_at, known_at=known.get(change_at, at)))
        limit_w = then_w
    return tuple(kept)


def notice_of(cause: Cause, falls: Sequence[Fall], at: datetime, *, due_s: int) -> Notice:
    """What notice there was of a curtailment that begins at `at`: by the fall that is nearest, if one is near."""
    near = [f for f in falls if abs((f.at - at).total_seconds()) <= NEAR_S] if cause is Cause.GRID else []
    fall = min(near, key=lambda f: abs(f.at - at), default=None)
    given_s = 0 if fall is None else int((at - fall.known_at).total_seconds())
    return Notice(begun_at=at, cause=cause, given_s=max(0, given_s), due_s=due_s)


def is_new(last_at: datetime | None, at: datetime) -> bool:
    """Whether a curtailment begins at `at`, of a partner that was last curtailed at `last_at`."""
    return last_at is None or (at - last_at).total_seconds() > APART_S
