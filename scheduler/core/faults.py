"""Nodes that could not start what they were told to: passed over for a while, longer with each fault in a row.

The rule is that of Kubernetes' crash loop: the first while is as long as a lease, each is twice the one before, and
none is longer than `LONGEST_S`. A node comes back by itself when its time is over; once an attempt begins there, or
after a while in which nothing failed, it is as good as any other. Who starts where is all that hangs on it, no limit
does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

LONGEST_S: Final = 300.0  #: that a node is passed over, or a job waits, after a fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Faulted:
    """What became of the newest starts on a node, and until when it is passed over."""

    count: int  #: faults in a row
    at: datetime  #: of the newest
    until_at: datetime  #: it gets no new work before
    why: str  #: as its guard told
    job_id: str  #: that it could not start

    def is_out(self, at: datetime) -> bool:
        """Whether the node gets no new work at `at`. A clock that is put back does not make it longer."""
        return self.at <= at < self.until_at


class HasFault(Protocol):
    """A node, as far as this rule looks at it."""

    @property
    def faulted(self) -> Faulted | None:
        """Its faults in a row; None = none."""
        ...


def waits_s(times: int, first_s: float) -> float:
    """How long the wait is after so many faults in a row, s."""
    return min(max(first_s, LONGEST_S), first_s * 2.0 ** min(max(times - 1, 0), 20))


class Faults:
    """Whom starts failed on lately: kept up with the groups of a plan, and with what a round makes of them."""

    def __init__(self) -> None:
        self.known: dict[str, Faulted] = {}
        self.news: dict[str, Faulted | None] = {}  #: by this round; None = none any more

    def take(self, group_id: str, group: HasFault | None) -> None:
        """A group is new, another than it was, or gone."""
        if group is None or group.faulted is None:
            self.known.pop(group_id, None)
        else:
            self.known[group_id] = group.faulted

    def begin(self, groups: Mapping[str, HasFault]) -> None:
        """Begin a round with what these groups say: what the last one made of them may not have come about."""
        for group_id in self.news:
            self.take(group_id, groups.get(group_id))
        self.news = {}

    def note(
        self, group_id: str, *, at: datetime, made_at: datetime, first_s: float, why: str, job_id: str
    ) -> Faulted | None:
        """An attempt that was made at `made_at` could not start there. None if others told of the same before it."""
        known = self.known.get(group_id)
        if known is not None and known.at <= at and made_at <= known.at:
            return None
        lasts = known is not None and at < known.until_at + timedelta(seconds=LONGEST_S)
        count = 1 + known.count if known is not None and lasts else 1
        until_at = at + timedelta(seconds=waits_s(count, first_s))
        found = Faulted(count=count, at=at, until_at=until_at, why=why, job_id=job_id)
        self.known[group_id] = self.news[group_id] = found
        return found

    def began(self, group_id: str, made_at: datetime) -> bool:
        """An attempt that was made at `made_at` began there. Whether that ends its faults."""
        known = self.known.get(group_id)
        if known is None or made_at <= known.at:
            return False
        del self.known[group_id]
        self.news[group_id] = None
        return True

    def blamed_by(self, job_id: str) -> int:
        """On how many nodes the newest fault was with this job."""
        return sum(known.job_id == job_id for known in self.known.values())

    def out(self, at: datetime) -> frozenset[str]:
        """The nodes that are passed over at `at`."""
        return frozenset(gid for gid, known in self.known.items() if known.is_out(at))

    def next_at(self, at: datetime) -> datetime | None:
        """When the first of them comes back."""
        return min((f.until_at for f in self.known.values() if f.is_out(at)), default=None)


def sentence(faulted: Faulted) -> str:
    """What to say of a node that is passed over, after its name."""
    times = "a fault" if faulted.count == 1 else f"{faulted.count} faults in a row"
    return f"is passed over until {faulted.until_at:%H:%M:%S} UTC after {times}: {faulted.why}"
