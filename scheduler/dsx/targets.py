"""Load targets that an ISV told, what they make of the limit over time, and which were told before. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Final

from scheduler.connections.messages import Refused
from scheduler.core.envelope import Segment

MOST_TARGETS: Final = 200
REMEMBERED: Final = 4096  #: digests of signed data


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One load target for the site's feed. `order` counts messages."""

    starts_at: datetime
    ends_at: datetime | None
    limit_w: float
    provenance: str
    event_id: str = ""
    order: int = 0
    document: str = ""  #: the event that says so

    def covers(self, at: datetime) -> bool:
        """Whether it holds at `at`, unless a later one takes its place."""
        return self.starts_at <= at and (self.ends_at is None or at < self.ends_at)


def in_force(told: Sequence[Target], at: datetime) -> Target | None:
    """The newest target that covers `at`; of one message the lowest."""
    return max((t for t in told if t.covers(at)), key=lambda t: (t.order, -t.limit_w), default=None)


def still_telling(told: Sequence[Target], at: datetime) -> tuple[Target, ...]:
    """Without those that are over, and those in whose place others stand from now on. Raises `Refused`."""
    alive = [t for t in told if t.ends_at is None or t.ends_at > at]
    endless = [t for t in alive if t.ends_at is None]
    kept = tuple(
        t
        for t in alive
        if not any(n.order > t.order and n.starts_at <= max(t.starts_at, at) for n in endless)
    )
    if len(kept) > MOST_TARGETS:
        raise Refused(f"it would make {len(kept)} targets that stand, and at most {MOST_TARGETS} are kept")
    return kept


def segments_of(told: Sequence[Target]) -> tuple[Segment, ...]:
    """The limit over time, one segment for each change. Where nothing is told the one before goes on."""
    instants = sorted({t for target in told for t in (target.starts_at, target.ends_at) if t is not None})
    steps = [
        Segment(
            starts_at=at,
            limit_w=target.limit_w,
            provenance=target.provenance,
            document=target.document,
            giver_id=target.event_id,
        )
        for at in instants
        if (target := in_force(told, at)) is not None
    ]
    fresh = [b for a, b in pairwise(steps) if replace(a, starts_at=b.starts_at) != b]
    return (*steps[:1], *fresh)


def allows_more(before: Sequence[Target], after: Sequence[Target], at: datetime) -> bool:
    """Whether at any time from `at` on the limit is higher `after`, or is one where none was told."""
    changes = {
        t for one in (*before, *after) for t in (one.starts_at, one.ends_at) if t is not None and t > at
    }
    pairs = ((in_force(before, t), in_force(after, t)) for t in (at, *changes))
    return any(new is not None and (old is None or new.limit_w > old.limit_w) for old, new in pairs)


class Signed:
    """Signed data that counted already: who once read it may send it again, under a new id and time.

    The newest may come again: an ISV repeats what holds. `before` is what was told to earlier ones, the newest last;
    `note` is handed what is to be told to later ones.
    """

    def __init__(
        self, before: Sequence[bytes] = (), *, note: Callable[[bytes], None] = lambda _: None
    ) -> None:
        self._newest: bytes | None = before[-1] if before else None
        self._used: deque[bytes] = deque(before, maxlen=REMEMBERED)
        self._note = note

    def is_old(self, digest: bytes | None) -> bool:
        """Whether this was told, and something else since. None = nobody can say."""
        return digest is not None and digest != self._newest and digest in self._used

    def take(self, digest: bytes | None) -> None:
        """This counts now."""
        if digest is not None and digest != self._newest:
            self._note(digest)
        self._newest = digest
        if digest is not None and digest not in self._used:
            self._used.append(digest)
