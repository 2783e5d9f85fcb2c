"""Who gives way first when power is short: the most flexible, then who loses least by it for the watts that it frees.

A pause costs a save, a restart, and the work that the save comes too late for. Two more things count within a tier: who
is about to miss a deadline goes last, and who gave way within the last hour counts as if he lost twice as much, so that
it is not the same ones every time, unless all others would lose far more.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from scheduler.core.caps import Caps
from scheduler.core.deadlines import is_urgent
from scheduler.core.jobs import Attempt, Job
from scheduler.core.plan import Plan

_DEFAULT_SAVE_S = 5.0
_REMEMBERED = timedelta(hours=1)
_TWICE = 2.0  #: what the loss of one who gave way that lately counts

_Rank = tuple[int, bool, float, float, str]


def victims(plan: Plan, attempts: Iterable[Attempt], caps: Caps | None = None) -> list[tuple[Attempt, float]]:
    """Those that hold GPUs in the order in which they give way; each with its cap, `caps` being set.

    Tier descending, then whose deadline is not near, then value lost per watt freed, then the youngest.
    """
    found = [(_rank(plan, a, cap_w), a, cap_w) for a, cap_w in _capped(plan, attempts, caps)]
    return [(attempt, cap_w) for _, attempt, cap_w in sorted(found, key=lambda f: f[0])]


def _capped(plan: Plan, attempts: Iterable[Attempt], caps: Caps | None) -> Iterable[tuple[Attempt, float]]:
    for attempt in attempts:
        if attempt.gpu_count:
            kind = plan.roster.kind_of(attempt.id) if caps else None
            cap_w = attempt.cap_w
            yield attempt, cap_w if kind is None or caps is None else min(cap_w, caps.get(kind, cap_w))


def _rank(plan: Plan, attempt: Attempt, cap_w: float) -> _Rank:
    job = plan.jobs[attempt.job_id]
    waits = is_urgent(job, attempt, plan.at, plan.site)
    loss_per_w = _loss_per_w(plan, job, attempt, cap_w)
    return -job.spec.flex, waits, loss_per_w, -attempt.created_at.timestamp(), attempt.id


def _loss_per_w(plan: Plan, job: Job, attempt: Attempt, cap_w: float) -> float:
    """GPU-seconds that a pause costs per site watt that holding the attempt frees."""
    model, gpus = plan.model(attempt), attempt.gpu_count
    freed_w = plan.site.overhead * gpus * (model.charge_w(cap_w) - model.idle_w)
    if freed_w <= 0:
        return float("inf")
    cut_at = attempt.cut_at or job.cut_at
    weight = _TWICE if cut_at is not None and plan.at - cut_at < _REMEMBERED else 1.0
    return weight * gpus * _lost_s(plan, job, attempt) / freed_w


def _lost_s(plan: Plan, job: Job, attempt: Attempt) -> float:
    """Seconds that each GPU of an attempt loses by a pause."""
    site, save_s = plan.site, job.save_s or _DEFAULT_SAVE_S
    lost_s = save_s + _restart_s(plan, attempt)
    return lost_s + _at_risk_s(plan, job, attempt) if save_s > site.reaction_s - site.lead_s else lost_s


def _restart_s(plan: Plan, attempt: Attempt) -> float:
    """What coming back costs: as long as it took this time, if that was longer than what the site counts with."""
    site_s = plan.site.restart_s
    if attempt.resume_from is None or attempt.running_at is None:
        return site_s
    return max(site_s, (attempt.running_at - attempt.created_at).total_seconds())


def _at_risk_s(plan: Plan, job: Job, attempt: Attempt) -> float:
    """Seconds of work since the newest verified commit, by the job's steps; at most what lies between two commits.

    Only a save that takes longer than the notice that a limit gives puts them at risk.
    """
    if attempt.running_at is None:
        return 0.0
    ran_s = max(0.0, (plan.at - attempt.running_at).total_seconds())
    most_s = min(ran_s, job.spec.launch.checkpoint_interval_s)
    began, step = attempt.resumed_step, attempt.last_step
    if began is None or step is None or step <= began:
        return most_s
    saved = max(began, job.last_commit.step if job.last_commit else 0)
    return ran_s * max(0, step - saved) / (step - began)
