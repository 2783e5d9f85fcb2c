"""Sentences about jobs that are paused, for the people who own them."""

from __future__ import annotations

from scheduler.core.envelope import Limit
from scheduler.core.jobs import Attempt, PauseCause
from scheduler.core.plan import Plan
from scheduler.core.reasons import Reason


def paused_reason(plan: Plan, attempt: Attempt, limit: Limit) -> Reason:
    """Why a suspended attempt is suspended, and what its pause costs."""
    since_s = (plan.at - attempt.since_at).total_seconds()
    cause = attempt.pause_cause or PauseCause.POWER_WITHDRAWN
    return Reason(
        code=cause,
        text=(
            f"suspended {since_s:.0f} s ago at step {attempt.last_step or 0}: {limit.source} allows "
            f"{limit.limit_w / 1000:.1f} kW ({limit.provenance or 'no document named'}); it keeps its GPUs "
            f"for {max(0.0, plan.site.suspend_max_s - since_s):.0f} s more, then it saves and releases them"
        ),
        numbers={"limit_w": limit.limit_w, "suspended_s": since_s, "step": float(attempt.last_step or 0)},
        remedy="a higher limit",
    )
