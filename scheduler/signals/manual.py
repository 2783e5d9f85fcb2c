"""Limits that people set by hand, as one source.

Nothing to set up: `barq power limit 200kW --reason "feeder work"` sets one, `barq power release` ends it. Several may
stand at once; at each instant the lowest of them holds. A person's limit is never stale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from scheduler.core.envelope import Envelope, Segment

SOURCE = "operator"
NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class Manual:
    """All standing limits as one envelope. `standing` gives one envelope for each, as the store knows them."""

    def __init__(
        self, standing: Callable[[], Sequence[Envelope]], *, reaction_s: float, name: str = SOURCE
    ) -> None:
        self.name = name
        self._standing = standing
        self._reaction_s = reaction_s

    async def read(self, at: datetime) -> Envelope:
        """The lowest limit at each instant. Without any there is no segment: the source says nothing."""
        limits = self._standing()
        return Envelope(
            source=self.name,
            issued_at=min(at, max((e.issued_at for e in limits), default=NEVER)),
            read_at=at,
            reaction_s=min((e.reaction_s for e in limits if e.reaction_s), default=self._reaction_s),
            segments=_lowest(limits, at),
            valid_until=_end_of_all(limits),
        )


def _lowest(limits: Sequence[Envelope], at: datetime) -> tuple[Segment, ...]:
    """The limit in force at `at` and each that follows from a start or an end after it."""
    instants = sorted({t for t in _instants(limits) if t > at})
    lowest = [(t, _lowest_at(limits, t)) for t in (at, *instants)]
    return tuple(s if t == at else replace(s, starts_at=t) for t, s in lowest if s is not None)


def _lowest_at(limits: Iterable[Envelope], at: datetime) -> Segment | None:
    return min(
        (s for e in limits if (s := e.limit_at(at)) is not None), key=lambda s: s.limit_w, default=None
    )


def _instants(limits: Iterable[Envelope]) -> Iterable[datetime]:
    for envelope in limits:
        yield from (s.starts_at for s in envelope.segments)
        if envelope.valid_until is not None:
            yield envelope.valid_until


def _end_of_all(limits: Sequence[Envelope]) -> datetime | None:
    """When the last of them ends; None while one stands until it is released, and for none at all."""
    ends = [e.valid_until for e in limits]
    return max((end for end in ends if end is not None), default=None) if None not in ends else None
