"""What could be added at short notice if the limit rose, means by means: an estimate, not a promise.

Limits of domains below the site, and what the firm level leaves for more work, are not looked at.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from scheduler.core.dividing import division, is_heard, wanted_by_group
from scheduler.core.flexibility import Means, by_tier, whole_w
from scheduler.core.jobs import Phase
from scheduler.core.landing import on_machines
from scheduler.core.placement import usable
from scheduler.core.plan import Plan
from scheduler.core.raising import TEMPORARY
from scheduler.core.snapshot import Snapshot
from scheduler.core.switching import Refused

_PLENTY_W = 1e9  #: a limit that is in nobody's way


def up(plan: Plan, snapshot: Snapshot, refused: Sequence[Refused], free_gpus: int) -> tuple[Means, ...]:
    """Miners, caps, resuming, starting what waits, waking nodes for it. None under a stop, none without watts.

    `refused` = who waits and was not started in this round, in order; `free_gpus` = GPUs that are left over.
    """
    if snapshot.stop or not snapshot.raises_allowed:
        return ()
    after_s = max(plan.site.lead_s, _dwell_s(snapshot))
    waiting = [some for some in refused if plan.of(some.job.id) is None]
    all_means = (
        _miners(plan),
        _work("caps", _below_top(plan), after_s),
        _work("resume", _held(plan), after_s),
        _starts(plan, waiting, free_gpus, after_s),
        _wakes(plan, waiting, after_s),
    )
    return tuple(means for means in all_means if means.power_w)


def _dwell_s(snapshot: Snapshot) -> float:
    """Seconds in which nothing of AI is raised yet, because it was cut lately."""
    if snapshot.last_cut_at is None:
        return 0.0
    return snapshot.site.raise_delay_s - (snapshot.at - snapshot.last_cut_at).total_seconds()


def _miners(plan: Plan) -> Means:
    """As the site's mode would feed them, in whole machines, along their ramp."""
    rise_w = 0.0
    if plan.miners_w:
        wanted = wanted_by_group(plan, division(plan, _PLENTY_W, 0.0))
        landed = on_machines(plan, wanted, _PLENTY_W).targets_w
        rise_w = math.fsum(max(0.0, landed[gid] - w) for gid, w in plan.miners_w.items())
    ramp = plan.site.mining_ramp_up_w_per_s or math.inf
    return Means(name="miners", power_w=whole_w(rise_w), after_s=plan.site.lead_s, w_per_s=ramp)


def _work(name: str, terms: Iterable[tuple[int, float]], after_s: float) -> Means:
    tiers_w = by_tier(terms)
    return Means(name=name, power_w=math.fsum(tiers_w.values()), after_s=after_s, tiers_w=tiers_w)


def _below_top(plan: Plan) -> Iterator[tuple[int, float]]:
    """What runs, to the highest cap that it has use for."""
    unheard = {a.id: a for gid in plan.groups if not is_heard(plan, gid) for a in plan.on(gid)}
    for kind, counts in plan.roster.gpus_without(unheard.values()).items():
        top_w = kind.model.charge_w(kind.top_w)
        for cap_w, gpus in counts.items():
            yield kind.tier, plan.site.overhead * gpus * (top_w - kind.model.charge_w(cap_w))


def _held(plan: Plan) -> Iterator[tuple[int, float]]:
    """What is held for want of power and goes on by itself, to no cap."""
    there = {gid for gid in plan.groups if is_heard(plan, gid)}
    held = [
        attempt
        for attempt in plan.roster.each_in(Phase.SUSPEND)
        if attempt.pause_cause in TEMPORARY
        and attempt.id not in plan.given_up
        and all(p.node_id in there for p in attempt.placements)
    ]
    for where, count in plan.roster.counts(held).items():
        resumed = where._replace(cap_w=where.kind.top_w)
        yield where.kind.tier, count * plan.resumed_w(resumed)


def _starts(plan: Plan, waiting: Iterable[Refused], free_gpus: int, after_s: float) -> Means:
    """Jobs that lack power alone, at their knees, as many as the free GPUs take."""
    jobs, terms = 0, list[tuple[int, float]]()
    for some in waiting:
        if not some.lacks_gpus and (each := some.job.spec.total_gpus):
            more = min(some.jobs, free_gpus // each)
            free_gpus -= more * each
            jobs += more
            terms.append((some.job.spec.flex, more * plan.start_w(some.job)))
    return _work("start", terms, after_s + _comes_up_s(plan, jobs))


def _wakes(plan: Plan, waiting: Iterable[Refused], after_s: float) -> Means:
    """Jobs that lack GPUs, at their knees on nodes in standby, and the bases of these nodes."""
    barred = plan.cordoned | plan.faults.out(plan.at)
    asleep = {gid for gid in plan.asleep() if gid not in barred and is_heard(plan, gid)}
    jobs, woken, terms = 0, list[str](), list[tuple[int, float]]()
    for some in waiting:
        if some.lacks_gpus and asleep:
            more, nodes = _housed(plan, some, asleep)
            bases_w = plan.site.overhead * math.fsum(plan.awake_w(gid) for gid in nodes)
            terms.append((some.job.spec.flex, bases_w + more * plan.start_w(some.job)))
            asleep.difference_update(nodes)
            woken += nodes
            jobs += more
    boots = [standby.boot_s for gid in woken if (standby := plan.groups[gid].spec.standby)]
    return _work("wake", terms, after_s + max(boots, default=0.0) + _comes_up_s(plan, jobs))


def _housed(plan: Plan, some: Refused, asleep: set[str]) -> tuple[int, list[str]]:
    """How many of some jobs sleeping nodes have GPUs for, and the nodes that are woken for these."""
    spec = some.job.spec
    part = 1 if spec.scatter else max(1, spec.gpus)  #: GPUs that are on one node together
    gives = {gid: len(plan.groups[gid].spec.gpus) // part * part for gid in asleep & usable(some.job, plan)}
    jobs = min(some.jobs, sum(gives.values()) // max(1, spec.total_gpus))
    missing, nodes = jobs * spec.total_gpus, list[str]()
    for gid in sorted(gid for gid, gpus in gives.items() if gpus):
        if missing <= 0:
            break
        nodes.append(gid)
        missing -= gives[gid]
    return jobs, nodes


def _comes_up_s(plan: Plan, jobs: int) -> float:
    """From their start on until the last of some jobs computes, where so many may come up at a time."""
    at_once = plan.site.starts_at_once or jobs
    return plan.site.restart_s * math.ceil(jobs / at_once) if jobs else 0.0
