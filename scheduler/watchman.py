"""Watches the meter for the record: withdrawals, seconds to comply, seconds over the limit."""

from __future__ import annotations

from datetime import datetime

from scheduler.core.compliance import Watch, Withdrawal, judge_draw, note_limit
from scheduler.core.envelope import Limit
from scheduler.core.snapshot import Snapshot
from scheduler.documents import in_force


class Watchman:
    """Keeps what was seen since it was last asked."""

    def __init__(self) -> None:
        self._watch = Watch()
        self._changed: dict[datetime, Withdrawal] = {}
        self._over_limit = False
        self._judged_at: datetime | None = None

    def note(self, snapshot: Snapshot) -> None:
        """Take in the limit that is decided under: it may be gone before the meter is read again."""
        limit = in_force(snapshot)
        self._watch = note_limit(
            self._watch, at=snapshot.at, limit_w=limit.limit_w, reaction_s=_reaction_s(limit, snapshot)
        )

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
            reaction_s=_reaction_s(limit, snapshot),
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


def _reaction_s(limit: Limit, snapshot: Snapshot) -> float:
    return limit.reaction_s or snapshot.site.reaction_s
