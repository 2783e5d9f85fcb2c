"""What a loop goes by whose store is late, or does not answer: what is on record, and what was cut without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from scheduler.core.decide import Decision
from scheduler.core.jobs import AttemptState
from scheduler.core.ledger import OpenOrder, allows_no_more
from scheduler.core.orders import Draft
from scheduler.records import TickRecord

Numbered = Mapping[str, tuple[OpenOrder, Draft]]
"""Orders, as they are counted and as they were decided, by group."""


def is_granted(wanted: tuple[OpenOrder, Draft], granted: tuple[OpenOrder, Draft] | None) -> bool:
    """Whether an order is one that is on record, or less: whoever leads next reckons with it, and knows who runs there.

    The very same attempts, for a guard forgets what ended that no order names; and nothing else asked of them.
    """
    if granted is None or not allows_no_more(wanted[0], granted[0]):
        return False
    return _asked(wanted[1]) == _asked(granted[1])


def _asked(draft: Draft) -> tuple[object, ...]:
    attempts = [(a.attempt_id, a.phase) for a in draft.attempts]
    return attempts, draft.standby, draft.stop, draft.released_stop


def without_ended(cut: Decision, earlier: Decision) -> Decision:
    """The cut without what had ended by an earlier decision that it knew nothing of: that does not come back."""
    ended = {a.id for a in earlier.attempts.values() if a.state is AttemptState.ENDED}
    return replace(cut, attempts={k: a for k, a in cut.attempts.items() if k not in ended})


def with_cuts(record: TickRecord, cuts: Sequence[Decision], last_cut_at: datetime | None) -> TickRecord:
    """The record together with cuts that went out before it and were not recorded then."""
    if not cuts:
        return record
    attempts = {a.id: a for cut in cuts for a in cut.attempts.values()} | {a.id: a for a in record.attempts}
    return replace(
        record,
        attempts=tuple(attempts.values()),
        events=(*(e for cut in cuts for e in cut.events), *record.events),
        last_cut_at=record.last_cut_at or (last_cut_at if any(c.cut_work for c in cuts) else None),
    )
