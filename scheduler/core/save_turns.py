"""Whose turn it is to save and leave: more saves to one storage at once only make each of them slower.

`saves_at_once` bounds those that can wait: what was held for long, and what leaves before a blackout that is announced.
Nobody waits who has to leave for the limit in force, under an emergency stop, or because a person says so, and all of
these count. Who waits keeps its phase, and so its entitlement: the books need to know nothing of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heapify, heapreplace

from scheduler.core.exits import Exits
from scheduler.core.jobs import Attempt, Phase
from scheduler.core.plan import Plan
from scheduler.core.saving import DEFAULT_SAVE_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Where an attempt stands in the line of its storage."""

    place: int  #: 1 = it is next
    waiting: int  #: in the whole line
    saving: int  #: now, to the same storage
    expected_at: datetime  #: if each save takes what the last of its job took


def in_turn(plan: Plan, line: Sequence[Attempt]) -> list[Attempt]:
    """Those whose turn it is, of a line in its order. The others are noted in the plan, behind who waits already."""
    most = plan.site.saves_at_once
    if most is None:
        return [*line]
    saving, waits = saving_now(plan), {a.id for known in plan.save_lines.values() for a in known}
    now: list[Attempt] = []
    for storage, here in by_storage(plan, (a for a in line if a.id not in waits)).items():
        known = plan.save_lines.get(storage, [])
        free = 0 if known else max(0, most - len(saving.get(storage, ())))
        now += here[:free]
        if left := [*known, *here[free:]]:
            plan.save_lines[storage] = left
    return now


def turns(plan: Plan) -> dict[str, Turn]:
    """Where each stands who waits, by attempt."""
    most = plan.site.saves_at_once
    if most is None or not plan.save_lines:
        return {}
    saving, found = saving_now(plan), {}
    for storage, line in plan.save_lines.items():
        busy = saving.get(storage, [])
        free_at = [plan.at] * (most - len(busy)) + _over_at(plan, busy)[-most:]
        heapify(free_at)
        for place, attempt in enumerate(line, 1):
            begins_at = free_at[0]
            heapreplace(free_at, begins_at + timedelta(seconds=_save_s(plan, attempt)))
            found[attempt.id] = Turn(place=place, waiting=len(line), saving=len(busy), expected_at=begins_at)
    return found


def exits_of(plan: Plan, attempt: Attempt) -> Exits | None:
    """The saves to its storage before the limit is too low for the hosts; None = any number at once."""
    most, storage = plan.site.saves_at_once, storage_of(plan, attempt)
    if most is not None and storage not in plan.exits:
        plan.exits[storage] = Exits(most)
    return plan.exits.get(storage)


def by_storage(plan: Plan, attempts: Iterable[Attempt]) -> dict[str, list[Attempt]]:
    """Attempts by where they save. Those of which nobody knows where count as one place."""
    found: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        found[storage_of(plan, attempt)].append(attempt)
    return found


def storage_of(plan: Plan, attempt: Attempt) -> str:
    """The id of the place where it saves; empty = not known."""
    groups = (plan.groups.get(p.node_id) for p in attempt.placements)
    return next((g.storage for g in groups if g is not None), "")


def saving_now(plan: Plan) -> dict[str, list[Attempt]]:
    """Those that were told to save and leave, whyever, by where they save."""
    return by_storage(plan, plan.in_phase(Phase.SAVE_EXIT))


def _over_at(plan: Plan, saving: Iterable[Attempt]) -> list[datetime]:
    """When those that save are thought to be done, soonest first."""
    return sorted(max(plan.at, a.since_at + timedelta(seconds=_save_s(plan, a))) for a in saving)


def _save_s(plan: Plan, attempt: Attempt) -> float:
    return plan.jobs[attempt.job_id].save_s or DEFAULT_SAVE_S
