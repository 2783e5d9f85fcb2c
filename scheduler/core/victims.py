"""Who gives way first when power is short: the most flexible, then who loses least by it for the watts that it frees.

A pause costs a save, a restart, and the work that the save comes too late for. Two more things count within a tier: who
is about to miss a deadline goes last, and who gave way within the last hour counts as if he lost twice as much, so that
it is not the same ones every time, unless all others would lose far more.

What holding frees is judged once for all attempts that are alike.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from scheduler.core.caps import Caps
from scheduler.core.deadlines import is_urgent
from scheduler.core.jobs import Attempt, Job
from scheduler.core.plan import Plan
from scheduler.core.roster import Where

UNMEASURED_SAVE_S = 5.0  #: of a job that never saved, where saves are weighed against each other
_REMEMBERED = timedelta(hours=1)
_TWICE = 2.0  #: what the loss of one who gave way that lately counts


class Price(NamedTuple):
    """What holding one frees."""

    gpus_per_w: float  #: GPUs held per site watt that goes
    frees_w: float  #: site watts that go at most


_NO_PRICE = Price(gpus_per_w=0.0, frees_w=0.0)  #: before anybody was judged

Victim = tuple[Attempt, Price]
"""An attempt that may be held, as it is judged."""


def victims(plan: Plan, attempts: Iterable[Attempt], caps: Caps | None = None) -> list[Victim]:
    """Those that hold GPUs in the order in which they give way; each with its price, `caps` being set.

    Tier descending, then whose deadline is not near, then value lost per watt freed, then the youngest. `attempts` are
    on nodes of the site and given by id, which is the order between those of one age.
    """
    prices: dict[tuple[Where, int], Price] = {}
    alike: dict[tuple[int, bool, float], list[Victim]] = defaultdict(list)
    where_of, jobs, counted_s = plan.roster.where, plan.jobs, _counting(plan)
    judged, price = None, _NO_PRICE
    for attempt in attempts:
        where, gpus = where_of(attempt.id), attempt.gpu_count
        if where is None or not gpus:
            continue
        if (where, gpus) != judged:  # the next one is most often like the last
            judged = where, gpus
            price = prices.get(judged) or _price(plan, where, gpus, caps)
            prices[judged] = price
        job = jobs[attempt.job_id]
        waits = job.spec.deadline_at is not None and is_urgent(job, attempt, plan.at, plan.site)
        loss_per_w = counted_s(job, attempt) * price.gpus_per_w
        alike[-where.kind.tier, waits, loss_per_w].append((attempt, price))
    youngest_first = (sorted(alike[key], key=_created_at, reverse=True) for key in sorted(alike))
    return [victim for found in youngest_first for victim in found]


def _created_at(victim: Victim) -> datetime:
    return victim[0].created_at


def _price(plan: Plan, where: Where, gpus: int, caps: Caps | None) -> Price:
    model, overhead = where.kind.model, plan.site.overhead
    cap_w = min(where.cap_w, caps.get(where.kind, where.cap_w)) if caps else where.cap_w
    freed_w = overhead * gpus * (model.charge_w(cap_w) - model.idle_w)
    return Price(
        gpus_per_w=gpus / freed_w if freed_w > 0 else float("inf"),
        frees_w=overhead * where.gpus * (model.charge_w(cap_w) - model.held_w()),
    )


def _counting(plan: Plan) -> Callable[[Job, Attempt], float]:
    """What a pause counts now: the seconds that each GPU loses by it, more if the same one gave way lately."""
    at, site_s, notice_s = plan.at, plan.site.restart_s, plan.site.reaction_s - plan.site.lead_s

    def counted_s(job: Job, attempt: Attempt) -> float:
        save_s = job.save_s or UNMEASURED_SAVE_S
        lost_s = save_s + (site_s if attempt.resume_from is None else _restart_s(attempt, site_s))
        if save_s > notice_s:
            lost_s += _at_risk_s(at, job, attempt)
        cut_at = attempt.cut_at or job.cut_at
        return _TWICE * lost_s if cut_at is not None and at - cut_at < _REMEMBERED else lost_s

    return counted_s


def _restart_s(attempt: Attempt, site_s: float) -> float:
    """What coming back costs: as long as it took this time, if that was longer than what the site counts with."""
    if attempt.running_at is None:
        return site_s
    return max(site_s, (attempt.running_at - attempt.created_at).total_seconds())


def _at_risk_s(at: datetime, job: Job, attempt: Attempt) -> float:
    """Seconds of work since the newest verified commit, by the job's steps; at most what lies between two commits.

    Only a save that takes longer than the notice that a limit gives puts them at risk.
    """
    if attempt.running_at is None:
        return 0.0
    ran_s = max(0.0, (at - attempt.running_at).total_seconds())
    most_s = min(ran_s, job.spec.launch.checkpoint_interval_s)
    began, step = attempt.resumed_step, attempt.last_step
    if began is None or step is None or step <= began:
        return most_s
    saved = max(began, job.last_commit.step if job.last_commit else 0)
    return ran_s * max(0, step - saved) / (step - began)
