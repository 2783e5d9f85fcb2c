"""Out in time: work leaves, saved, before a limit that is known to come takes the hosts themselves away.

A limit that can still carry the bare hosts needs none of this: work is held when it comes, and saved after that. One
that cannot leaves nothing to save with. So whoever runs or is held then is told to save and exit just so early that the
save is over by that time. Where no more than so many may save at once, they leave one after the other, the last one in
time: first whoever is held, then the most flexible, and of these who computes least for the time that its save takes.
Where it is too late for all of them the order turns round, so that those come too late who lose least.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from scheduler.core.envelope import changes, lowest
from scheduler.core.jobs import Attempt, Job, PauseCause, Phase
from scheduler.core.plan import Plan
from scheduler.core.power import site_w
from scheduler.core.reasons import Event
from scheduler.core.save_turns import exits_of, in_turn
from scheduler.core.saving import DEFAULT_SAVE_S
from scheduler.core.snapshot import Snapshot

_AHEAD = timedelta(hours=1)
_TWICE = 2.0  #: a save may take so many times as long as the last one: all save at once


def leave_in_time(plan: Plan, snapshot: Snapshot) -> datetime | None:
    """Have those leave for whom it is time. When it is time for the next one, None = for nobody that is known."""
    plan.dark_at = dark_at = _dark_at(plan, snapshot)
    plan.exits = {}
    if dark_at is None:
        return None
    later: list[datetime] = []
    due: list[Attempt] = []
    for attempt, leaves_at in _leaving(plan, dark_at):
        if leaves_at > plan.at:
            later.append(leaves_at)
        else:
            due.append(attempt)
    for attempt in in_turn(plan, due):
        plan.stop(attempt, Phase.SAVE_EXIT, PauseCause.POWER_FORECAST)
        plan.events.append(_told(plan, attempt, dark_at))
    return min(later, default=None)


def _leaving(plan: Plan, dark_at: datetime) -> Iterator[tuple[Attempt, datetime]]:
    """Who has to be told by when; where they take turns, the last one to leave first."""
    here = plan.in_phase(Phase.RUN, Phase.SUSPEND)
    if plan.site.saves_at_once is not None:
        here.sort(key=lambda a: _staying(plan, a), reverse=True)
    for attempt in here:
        leaves_s = hold_exit(plan, attempt) + leave_s(plan, plan.jobs[attempt.job_id])
        yield attempt, dark_at - timedelta(seconds=leaves_s)


def hold_exit(plan: Plan, attempt: Attempt) -> float:
    """Keep room for one more save before a blackout. How long before that its GPUs have to be released."""
    exits = None if plan.dark_at is None else exits_of(plan, attempt)
    return 0.0 if exits is None else exits.take(_save_s(plan, plan.jobs[attempt.job_id]))


def exit_s(plan: Plan, attempt: Attempt) -> float:
    """How long before the blackout the GPUs of one more attempt would have to be released."""
    exits = exits_of(plan, attempt)
    return 0.0 if exits is None else exits.over_s


def _staying(plan: Plan, attempt: Attempt) -> tuple[bool, int, float, str]:
    """The larger, the longer it stays."""
    runs, job = attempt.phase is Phase.RUN, plan.jobs[attempt.job_id]
    return runs, -job.spec.flex, attempt.gpu_count / _save_s(plan, job), attempt.id


def _dark_at(plan: Plan, snapshot: Snapshot) -> datetime | None:
    """When the limit is first known to be too low for the hosts with nothing on them."""
    site, bare_w = plan.site, None
    for t in changes(snapshot.envelopes, after=plan.at, until=plan.at + _AHEAD):
        limit_w = lowest(snapshot.envelopes, t, now=plan.at, firm_w=site.firm_w).limit_w
        if limit_w >= site.firm_w:
            continue
        bare_w = _bare_w(plan) if bare_w is None else bare_w
        if limit_w < bare_w:
            return t
    return None


def _bare_w(plan: Plan) -> float:
    """Site watts of all nodes with nothing on them, in standby where they can be."""
    it_w = sum(plan.bare_w(gid) for gid in sorted(plan.groups) if plan.model_of(gid) is not None)
    return site_w(it_w=it_w, miners_w=0.0, overhead=plan.site.overhead, auxiliary_w=plan.site.auxiliary_w)


def leave_s(plan: Plan, job: Job) -> float:
    """From the order to leave to the end, at the longest; it is killed once its grace is over."""
    return _save_s(plan, job) + plan.site.lead_s + plan.site.fall_s


def _save_s(plan: Plan, job: Job) -> float:
    return min(plan.grace_of_s(job), _TWICE * (job.save_s or DEFAULT_SAVE_S))


def _told(plan: Plan, attempt: Attempt, dark_at: datetime) -> Event:
    text = f"{attempt.job_id} told to save and release its GPUs: power is to go at {dark_at:%H:%M:%S} UTC"
    return Event(
        at=plan.at, kind="job.preempting", text=text, job_id=attempt.job_id, attempt_id=attempt.id, data={}
    )
