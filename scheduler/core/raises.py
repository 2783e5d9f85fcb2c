"""What the raises of one round came to: who was not raised and why, and what is kept for whom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from scheduler.core.queueing import Left
from scheduler.core.reasons import Reason
from scheduler.core.switching import Refused
from scheduler.core.zoning import Kept


@dataclass(slots=True)
class Raises:
    """What the raises of one round came to."""

    explains: bool = True  #: whether anybody wants to know why each job waits
    reasons: dict[str, Reason] = field(default_factory=dict)  #: of jobs that were not raised
    expected_at: datetime | None = None  #: the earliest instant that any of the reasons names
    reserved_w: float = 0.0  #: site watts kept for raises that wait for confirmed room
    zones: Kept = field(default_factory=Kept)  #: the same in the domains below the site
    free_gpus: int = 0  #: that are left over
    refused: list[Refused] = field(default_factory=list)  #: who waits and was not started, in order

    def refuse(self, left: Left, reason: Reason) -> None:
        """Note why jobs of one shape were not raised."""
        self.expect(reason)
        if self.explains:
            self.reasons.update(dict.fromkeys(left.ids(), reason))

    def refuse_all(self, shapes: Iterable[Left], reason: Reason) -> None:
        """Note it of jobs of many shapes."""
        for left in shapes:
            self.refuse(left, reason)

    def started(self, some: Refused) -> None:
        """Note that the first of some was started after all."""
        at = self.refused.index(some)
        self.refused[at : at + 1] = [some._replace(jobs=some.jobs - 1)] if some.jobs > 1 else []
        self.reasons.pop(some.job.id, None)

    def expect(self, reason: Reason) -> None:
        """Note when a reason may be over."""
        if reason.expected_at is not None:
            self.expected_at = min(self.expected_at or reason.expected_at, reason.expected_at)
