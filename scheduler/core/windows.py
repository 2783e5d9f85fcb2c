"""Whether there is power for a start for long enough to pay off: a restart, and work up to one more checkpoint."""

from __future__ import annotations

from scheduler.core.envelope import window_s
from scheduler.core.foresight import shortfall
from scheduler.core.jobs import Job
from scheduler.core.leaving import leave_s
from scheduler.core.plan import Plan
from scheduler.core.reasons import Reason
from scheduler.core.snapshot import Snapshot
from scheduler.core.waiting import foreseen_short, short_window


def pays_off_s(plan: Plan, job: Job) -> float:
    """After how long a start of a job has paid off."""
    return plan.site.restart_s + job.spec.launch.checkpoint_interval_s


def too_short(plan: Plan, snapshot: Snapshot, job: Job, *, more_w: float = 0.0) -> Reason | None:
    """By what is announced and foreseen, why it is not long enough; None if it is, or nobody knows.

    The watts are those of the plan with all as flexible as the job, or more, at their knees, and `more_w` at the site
    meter.
    """
    needed_s, tier = pays_off_s(plan, job), job.spec.flex
    if plan.dark_at is not None:
        out_s, left_s = needed_s + leave_s(plan, job), (plan.dark_at - plan.at).total_seconds()
        if left_s < out_s:
            return short_window(plan, left_s, out_s)
    return falls_short(plan, snapshot, tier, needed_s=needed_s, more_w=more_w)


def falls_short(
    plan: Plan, snapshot: Snapshot, tier: int, *, needed_s: float, more_w: float
) -> Reason | None:
    """Why those watts are not there for `needed_s`, as far as the limit is announced or foreseen; None if they are."""
    needed_w = plan.at_knees_w(tier) + more_w - plan.kept_w  # under a lower limit mining gives way
    lasts_s = window_s(
        snapshot.envelopes,
        needed_w / (1.0 - snapshot.margin),
        now=plan.at,
        horizon_s=needed_s,
        firm_w=plan.site.firm_w,
    )
    if lasts_s is not None and lasts_s < needed_s:
        return short_window(plan, lasts_s, needed_s)
    found = shortfall(plan, snapshot, tier=tier, needed_s=needed_s, more_w=more_w)
    return None if found is None else foreseen_short(found, tier)
