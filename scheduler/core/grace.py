"""How long work that is told to save and leave has for it, before it is killed.

A save that power forces has to be over within the reaction time. Any other has what its job asked for: nothing is
short while the limit carries those who are held. Where the limit falls on, below what they hold who are leaving at
their own pace, they are told that they have no longer than the others, as many as it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from math import fsum

from scheduler.core.altered import altered
from scheduler.core.jobs import Attempt, Launch, PauseCause
from scheduler.core.plan import EPSILON_W, Plan
from scheduler.core.saving import DEFAULT_SAVE_S
from scheduler.core.telling import told

LEAST_S = 1.0  #: to save in, however short the reaction time


def launch_of(plan: Plan, attempt: Attempt, asked: Launch) -> Launch:
    """What its job asked for, with as much grace as there is.

    The lead is what the order may take on its way, the fall what the devices take after the kill.
    """
    left_s = forced_s(plan)
    return altered(asked, grace_s=left_s) if is_forced(plan, attempt) and asked.grace_s > left_s else asked


def forced_s(plan: Plan) -> float:
    """What a save may take that power forces, s."""
    return max(LEAST_S, plan.site.reaction_s - plan.site.lead_s - plan.site.fall_s)


def is_forced(plan: Plan, attempt: Attempt) -> bool:
    """Whether work that leaves has to be out within the reaction time.

    Not where it was held for its time before: then the limit carries those who are held, so that nothing hurries it.
    """
    if attempt.pause_cause is not PauseCause.POWER_WITHDRAWN:
        return False
    held_s = 0.0 if attempt.cut_at is None else (attempt.since_at - attempt.cut_at).total_seconds()
    return held_s < plan.site.suspend_max_s


def out_at(plan: Plan, attempt: Attempt) -> datetime:
    """When work that leaves is out at the latest: it is killed then."""
    if not is_forced(plan, attempt):
        return attempt.since_at + timedelta(seconds=plan.grace_s(attempt))
    told_at = max(attempt.since_at, attempt.cut_at or attempt.since_at)
    return told_at + timedelta(seconds=min(forced_s(plan), plan.grace_s(attempt)))


def hurry(
    plan: Plan, leaving: Iterable[Attempt], room_w: float, holds_w: Callable[[Attempt], float], limit_w: float
) -> bool:
    """Have those who leave at their own pace be out within the reaction time until the others fit. Whether any has to.

    There is `room_w` for them. `holds_w` says what one holds until it is out. First whose save is over soonest: who is
    nearly done loses nothing.
    """
    unforced = [a for a in leaving if not is_forced(plan, a)]
    over_w, hurried = fsum(map(holds_w, unforced)) - room_w, False
    for attempt in sorted(unforced, key=lambda a: _saved_at(plan, a)):
        if over_w <= EPSILON_W:
            break
        over_w -= holds_w(attempt)
        _hurry(plan, attempt, limit_w)
        hurried = True
    return hurried


def _saved_at(plan: Plan, attempt: Attempt) -> tuple[datetime, str]:
    save_s = plan.jobs[attempt.job_id].save_s or DEFAULT_SAVE_S
    return attempt.since_at + timedelta(seconds=save_s), attempt.id


def _hurry(plan: Plan, attempt: Attempt, limit_w: float) -> None:
    plan.recompose(plan.change(attempt, pause_cause=PauseCause.POWER_WITHDRAWN, cut_at=plan.at))
    why = f"usable power fell to {limit_w / 1000:.1f} kW, below what those hold who are leaving"
    what = f"told to be out within {forced_s(plan):g} s: {why}"
    plan.events.append(told(plan.at, attempt, "job.preempting", what, {"limit_w": limit_w}))
