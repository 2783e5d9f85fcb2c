"""Out in time: work leaves, saved, before a limit that is known to come takes the hosts themselves away.

A limit that can still carry the bare hosts needs none of this: work is held when it comes, and saved after that. One
that cannot leaves nothing to save with. So whoever runs or is held then is told to save and exit just so early that the
save is over by that time. Where no more than so many may save at once, they leave one after the other, the last one in
time: first whoever is held, then the most flexible, and of these who computes least for the time that its save takes.
Where it is too late for all of them the order turns round, so that those come too late who lose least.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from scheduler.core.bare import bare_w
from scheduler.core.envelope import changes, lowest
from scheduler.core.jobs import Attempt, Job, PauseCause, Phase
from scheduler.core.plan import Plan
from scheduler.core.reasons import Event
from scheduler.core.save_turns import by_storage, exits_of, in_turn, saving_now, storage_of
from scheduler.core.saving import DEFAULT_SAVE_S
from scheduler.core.snapshot import Snapshot
from scheduler.core.telling import told

_AHEAD = timedelta(hours=1)
_TWICE = 2.0  #: a save may take so many times as long as the last one: all save at once


def leave_in_time(plan: Plan, snapshot: Snapshot) -> datetime | None:
    """Have those leave for whom it is time. When it is time for the next one, None = for nobody that is known."""
    plan.dark_at = dark_at = _dark_at(plan, snapshot)
    plan.exits = {}
    if dark_at is None:
        return None
    leaving = _leaving(plan, dark_at)
    for attempt in in_turn(plan, _due(plan, leaving)):
        plan.stop(attempt, Phase.SAVE_EXIT, PauseCause.POWER_FORECAST)
        plan.events.append(_told(plan, attempt, dark_at))
    return min((leaves_at for _, leaves_at in leaving if leaves_at > plan.at), default=None)


def _leaving(plan: Plan, dark_at: datetime) -> list[tuple[Attempt, datetime]]:
    """Who has to be told by when; where they take turns, the last one to leave first."""
    here = plan.in_phase(Phase.RUN, Phase.SUSPEND)
    if plan.site.saves_at_once is not None:
        here.sort(key=lambda a: _staying(plan, a), reverse=True)
    return [(a, dark_at - timedelta(seconds=hold_exit(plan, a) + _its_leave_s(plan, a))) for a in here]


def _due(plan: Plan, leaving: list[tuple[Attempt, datetime]]) -> list[Attempt]:
    """Whose time it is. Where these are more than may save now, nobody takes a place that a firmer one will need.

    So each whose time comes while the longest of those saves would last is among them.
    """
    due, most = [a for a, leaves_at in leaving if leaves_at <= plan.at], plan.site.saves_at_once
    if most is None:
        return due
    saving, until_at = saving_now(plan), {}
    for storage, waiting in by_storage(plan, due).items():
        if len(waiting) + len(saving.get(storage, ())) > most:
            longest_s = max(_its_leave_s(plan, a) for a in waiting)
            until_at[storage] = plan.at + timedelta(seconds=longest_s)
    return [a for a, leaves_at in leaving if leaves_at <= until_at.get(storage_of(plan, a), plan.at)]


def hold_exit(plan: Plan, attempt: Attempt) -> float:
    """Keep room for one more save before a blackout. How long before that it has to be over."""
    exits = None if plan.dark_at is None else exits_of(plan, attempt)
    return 0.0 if exits is None else exits.take(_its_leave_s(plan, attempt))


def exit_s(plan: Plan, attempt: Attempt) -> float:
    """How long before the blackout the save of one more would have to be over."""
    exits = exits_of(plan, attempt)
    return 0.0 if exits is None else exits.over_s


def _its_leave_s(plan: Plan, attempt: Attempt) -> float:
    return leave_s(plan, plan.jobs[attempt.job_id])


def _staying(plan: Plan, attempt: Attempt) -> tuple[bool, int, float, str]:
    """The larger, the longer it stays."""
    runs, job = attempt.phase is Phase.RUN, plan.jobs[attempt.job_id]
    return runs, -job.spec.flex, attempt.gpu_count / leave_s(plan, job), attempt.id


def _dark_at(plan: Plan, snapshot: Snapshot) -> datetime | None:
    """When the limit is first known to be too low for the hosts with nothing on them."""
    site, found_w = plan.site, None
    for t in changes(snapshot.envelopes, after=plan.at, until=plan.at + _AHEAD):
        limit_w = lowest(snapshot.envelopes, t, now=plan.at, firm_w=site.firm_w).limit_w
        if limit_w >= site.firm_w:
            continue
        found_w = bare_w(plan) if found_w is None else found_w
        if limit_w < found_w:
            return t
    return None


def leave_s(plan: Plan, job: Job) -> float:
    """From the order to leave to the end, at the longest; it is killed once its grace is over."""
    save_s = min(plan.grace_of_s(job), _TWICE * (job.save_s or DEFAULT_SAVE_S))
    return save_s + plan.site.lead_s + plan.site.fall_s


def _told(plan: Plan, attempt: Attempt, dark_at: datetime) -> Event:
    what = f"told to save and release its GPUs: power is to go at {dark_at:%H:%M:%S} UTC"
    return told(plan.at, attempt, "job.preempting", what)
