"""Watches the meter for the record: withdrawals, seconds to comply, seconds over the limit."""

from __future__ import annotations

from datetime import datetime

from scheduler.core.compliance import Watch, Withdrawal, judge_draw
from scheduler.core.snapshot import Snapshot
from scheduler.documents import in_force


class Watchman:
    """Keeps what was seen since it was last asked."""

    def __init__(self) -> None:
        self._watch = Watch()
        self._changed: dict[datetime, Withdrawal] = {}
        self._over_limit = False
        self._judged_at: datetime | None = None

    def look(self, snapshot: Snapshot) -> None:
        """Judge the meter's reading in `snapshot` against the limit in force, unless it was judged before."""
        meter = snapshot.meter
        if meter is None or meter.measured_at == self._judged_at:
            return
        limit = in_force(snapshot)
        found = judge_draw(
            self._watch,
            at=meter.measured_at,
            limit_w=limit.limit_w,
            draw_w=meter.draw_w,
            reaction_s=limit.reaction_s or snapshot.site.reaction_s,
        )
        self._judged_at = meter.measured_at
        self._watch = found.watch
        self._over_limit = self._over_limit or found.over_limit
        self._changed.update({w.began_at: w for w in found.changed})

    def over_limit(self) -> bool:
        """Whether any reading since the last call was a breach."""
        was, self._over_limit = self._over_limit, False
        return was

    def withdrawals(self) -> tuple[Withdrawal, ...]:
        """Withdrawals that began or were complied with since the last call."""
        changed, self._changed = tuple(self._changed.values()), {}
        return changed
