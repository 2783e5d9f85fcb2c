"""Why a waiting job waits: one test per reason, in the order of precedence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache

from scheduler.core.faults import Faulted, sentence
from scheduler.core.foresight import KEPT_TIER, MEDIAN, Shortfall, word
from scheduler.core.jobs import Job, JobState
from scheduler.core.placement import ever_fits, may_use
from scheduler.core.plan import Plan
from scheduler.core.reasons import Code, Reason
from scheduler.core.reunion import never_together, never_within
from scheduler.core.snapshot import SitePolicy


def barred(job: Job, plan: Plan, settled: Mapping[str, JobState]) -> Reason | None:
    """What keeps a job out of this round's queue altogether, None if nothing does."""
    return (
        _held(job)
        or _never_fits(job, plan)
        or plan.tenants.never(job)
        or _begin(job, plan)
        or _dependency(job, plan, settled)
        or _backoff(job, plan)
    )


def _held(job: Job) -> Reason | None:
    if job.state is not JobState.HELD:
        return None
    return Reason(code=Code.HELD, text="held by a person", remedy=f"barq release {job.id}")


def _never_fits(job: Job, plan: Plan) -> Reason | None:
    if not plan.groups or ever_fits(job, plan):
        return None
    if (kept_apart := never_within(job, plan) or never_together(job, plan)) is not None:
        return kept_apart
    spec, groups = job.spec, plan.groups.items()
    asked = f"asks for {spec.gpus} {f'{spec.gpu_type} ' if spec.gpu_type else ''}GPUs on {spec.nodes} node(s)"
    largest = max((len(g.spec.gpus) for gid, g in groups if may_use(job, gid, plan)), default=0)
    types = sorted({slot.model for _, g in groups for slot in g.spec.gpus})
    if spec.node is not None and spec.node not in plan.groups:
        found, remedy = f"{spec.node}, which it names, is no node of this site", "submit it for one that is"
    elif spec.gpu_type is not None and spec.gpu_type not in types:
        found, remedy = (
            f"this site has {', '.join(types) or 'none'}",
            "submit it for a GPU type that the site has",
        )
    else:
        found = f"the largest node that it may use has {largest}"
        remedy = "submit it with fewer GPUs per node or fewer nodes"
    return Reason(
        code=Code.NEVER_FITS,
        text=f"{asked}; {found}",
        numbers={"gpus": spec.gpus, "nodes": spec.nodes, "largest_node_gpus": largest},
        remedy=remedy,
    )


def _begin(job: Job, plan: Plan) -> Reason | None:
    begin = job.spec.begin_at
    if begin is None or begin <= plan.at:
        return None
    return Reason(code=Code.BEGIN_TIME, text=f"not before {begin:%Y-%m-%d %H:%M:%S} UTC", expected_at=begin)


def _dependency(job: Job, plan: Plan, settled: Mapping[str, JobState]) -> Reason | None:
    for other in job.spec.dependencies:
        if left := plan.arrays.unended(other):
            return Reason(
                code=Code.DEPENDENCY,
                text=f"waits for all jobs of the array {other} to succeed; {left} have not ended",
                numbers={"left": left},
                remedy=f"barq jobs --array {other}",
            )
        state = settled.get(other) or (plan.jobs[other].state if other in plan.jobs else None)
        if state is JobState.SUCCEEDED:
            continue
        return Reason(
            code=Code.DEPENDENCY,
            text=f"waits for {other} to succeed; it is {state or 'unknown'}",
            remedy=f"barq why {other}",
        )
    return None


def broken_dependency(job: Job, settled: Mapping[str, JobState]) -> str | None:
    """A dependency that can never succeed any more."""
    return next(
        (d for d in job.spec.dependencies if settled.get(d) in (JobState.FAILED, JobState.CANCELLED)), None
    )


def _backoff(job: Job, plan: Plan) -> Reason | None:
    if job.not_before_at is None or job.not_before_at <= plan.at:
        return None
    spent = f"{job.failures} of {job.spec.max_failures} retries are spent"
    return Reason(
        code=Code.RETRY_BACKOFF,
        text=f"tried again at {job.not_before_at:%H:%M:%S} UTC; {spent}",
        numbers={"failures": job.failures, "max_failures": job.spec.max_failures},
        expected_at=job.not_before_at,
    )


def no_power(plan: Plan, needed_w: float, free_w: float) -> Reason:
    """Even at the lowest cap that the job accepts, it does not fit the limit."""
    text = f"needs {needed_w / 1000:.2f} kW more, {max(0.0, free_w) / 1000:.2f} kW is free under the limit"
    return _lacks_power(plan, text, needed_w, free_w, remedy="a higher limit, or fewer GPUs")


def no_firm_power(plan: Plan, needed_w: float, free_w: float) -> Reason:
    """Its share of the fallback does not fit under the firm level."""
    text = (
        f"would rest at {needed_w / 1000:.2f} kW on loss of signal, "
        f"{max(0.0, free_w) / 1000:.2f} kW of the firm level is free"
    )
    remedy = "a flex tier above 0, fewer GPUs, or more firm power"
    return _lacks_power(plan, text, needed_w, free_w, remedy=remedy)


def _lacks_power(plan: Plan, text: str, needed_w: float, free_w: float, *, remedy: str) -> Reason:
    """Where miners without a guard take of the power that lacks, they are named, and so is the remedy."""
    numbers = {"needed_w": needed_w, "free_w": free_w}
    if lone := [gid for gid in sorted(plan.miners_w) if plan.groups[gid].unguarded]:
        names, count_w = ", ".join(lone), sum(plan.groups[gid].spec.base_w for gid in lone)
        text = f"{text}; {count_w / 1000:.2f} kW count for miners that nobody guards: {names}"
        numbers["unguarded_w"] = count_w
        remedy = f"a guard for {names} (see `barq nodes`), {remedy}"
    return Reason(code=Code.POWER_UNAVAILABLE, text=text, numbers=numbers, remedy=remedy)


def ramping(site: SitePolicy, cut_at: datetime) -> Reason:
    """Power was cut a moment ago; nothing is raised until the dwell time has passed."""
    until_at = cut_at + timedelta(seconds=site.raise_delay_s)
    return Reason(
        code=Code.POWER_RAMP_LIMITED,
        text=f"power was cut at {cut_at:%H:%M:%S} UTC; nothing is raised before {until_at:%H:%M:%S}",
        numbers={"raise_delay_s": site.raise_delay_s},
        expected_at=until_at,
    )


def coming_up(jobs: int, most: int) -> Reason:
    """So many jobs load and restore at the moment that the site wants no more of them to."""
    return Reason(
        code=Code.POWER_RAMP_LIMITED,
        text=f"no more than {most} may come up at a time, and {jobs} do; it starts when they have",
        numbers={"coming_up": jobs, "starts_at_once": most},
        remedy="a larger starts_at_once in the site file",
    )


def clearing(to_leave: int, saving: int) -> Reason:
    """Nodes are cleared, for others that are suspended to go on with their watts."""
    in_turn = f", to leave in turn: {to_leave}" if to_leave else ""
    return Reason(
        code=Code.WAITING_FOR_PREEMPTED_JOBS,
        text=f"jobs that are suspended go on first: nodes are cleared for their watts (saving: {saving}{in_turn})",
        numbers={"saving": saving, "to_leave": to_leave},
        remedy="a larger saves_at_once in the site file" if to_leave else "",
    )


def short_window(plan: Plan, window_s: float, needed_s: float) -> Reason:
    """The limit is known to fall again before a start would have paid off."""
    ends_at = plan.at + timedelta(seconds=window_s)
    return Reason(
        code=Code.WINDOW_TOO_SHORT,
        text=f"power lasts until {ends_at:%H:%M:%S} UTC as far as is known; a start pays off after {needed_s:.0f} s",
        numbers={"needed_s": needed_s},
        expected_at=ends_at,
    )


def foreseen_short(found: Shortfall, tier: int) -> Reason:
    """By the forecast, the limit may be too low before a start would have paid off."""
    is_median = found.share == MEDIAN
    below = "everything at its lowest caps" if is_median else "what must not be cut"
    may_be_cut = f"flex tier {KEPT_TIER + 1} or above: such work is planned on the {word(MEDIAN)}"
    return Reason(
        code=Code.WINDOW_TOO_SHORT,
        text=(
            f"{found.source} foresees {found.foreseen_w / 1000:.2f} kW ({word(found.share)}) from "
            f"{found.at:%H:%M:%S} UTC on; with it, {below} needs {found.needed_w / 1000:.2f} kW, "
            f"and a start pays off after {found.needed_s:.0f} s"
        ),
        numbers={
            "tier": tier,
            "quantile": found.share,
            "foreseen_w": found.foreseen_w,
            "limit_needed_w": found.needed_w,
            "needed_s": found.needed_s,
        },
        remedy="a higher forecast, or a shorter checkpoint interval" if is_median else may_be_cut,
    )


def is_foreseen(reason: Reason) -> bool:
    """Whether all that keeps a job from starting is a forecast."""
    return "quantile" in reason.numbers


def no_turn(plan: Plan, dark_at: datetime, turns_s: float, needed_s: float) -> Reason:
    """Power is known to go, and the saves of others before that leave too little time for one more start."""
    most = plan.site.saves_at_once or 0
    return Reason(
        code=Code.WINDOW_TOO_SHORT,
        text=(
            f"power is to go at {dark_at:%H:%M:%S} UTC, and before that others save for {turns_s:.0f} s, no more than "
            f"{most} at a time; a start pays off and is saved after {needed_s:.0f} s"
        ),
        numbers={"needed_s": needed_s, "turns_s": turns_s, "saves_at_once": most},
        expected_at=dark_at,
        remedy="a larger saves_at_once in the site file",
    )


def no_gpus(job: Job, *, nodes: int, free: int, leaving: int, off: int = 0) -> Reason:
    """Not enough of the `free` GPUs of so many nodes, or not together; `leaving` more are being released.

    `off` nodes are in standby, or on their way from it.
    """
    spec = job.spec
    if not nodes:
        return _no_node(off)
    needed = spec.total_gpus
    if free >= needed:
        return Reason(
            code=Code.TOPOLOGY_FRAGMENTED,
            text=f"{free} GPUs are free, but not {spec.gpus} on each of {spec.nodes} node(s)",
            numbers={"free_gpus": free, "gpus": spec.gpus, "nodes": spec.nodes},
        )
    return _too_few_gpus(needed, free, leaving)


def _no_node(off: int) -> Reason:
    if off:
        text = f"no node that takes work is on; {off} are in standby or on their way"
        return Reason(code=Code.NODE_BOOTING, text=text, numbers={"off_nodes": off}, remedy="barq nodes")
    return Reason(code=Code.NODE_BOOTING, text="no node has reported in yet", remedy="barq nodes")


@lru_cache(maxsize=1024)  # of the few sizes that wait, the same is said round after round
def _too_few_gpus(needed: int, free: int, leaving: int) -> Reason:
    return Reason(
        code=Code.WAITING_FOR_PREEMPTED_JOBS if free + leaving >= needed else Code.WAITING_FOR_RESOURCES,
        text=f"needs {needed} {'GPU' if needed == 1 else 'GPUs'}; {free} are free, {leaving} being released",
        numbers={"needed_gpus": needed, "free_gpus": free, "leaving_gpus": leaving},
    )


def passed_over(lacks: Reason, out: Mapping[str, Faulted]) -> Reason:
    """What a job lacks while nodes that it may use are passed over: at least one is."""
    first_id = min(out, key=lambda node_id: (out[node_id].until_at, node_id))
    others = f", as {len(out) - 1} more" if len(out) > 1 else ""
    return replace(
        lacks,
        text=f"{lacks.text}; {first_id} {sentence(out[first_id])}{others}",
        numbers={**lacks.numbers, "faulted_nodes": len(out)},
        expected_at=lacks.expected_at or out[first_id].until_at,
        remedy=lacks.remedy or "barq nodes",
    )


def releasing(needed_w: float, exposed_w: float) -> Reason:
    """The plan has room, but watts that were taken from others are not confirmed free yet."""
    return Reason(
        code=Code.WAITING_FOR_PREEMPTED_JOBS,
        text=f"{needed_w / 1000:.2f} kW are being released for it and not confirmed free yet",
        numbers={"needed_w": needed_w, "exposed_w": exposed_w},
    )


def behind(head: Job) -> Reason:
    """A more important job has waited long enough for everything behind it to stand back."""
    return Reason(
        code=Code.LOWER_PRIORITY,
        text=f"{head.id} is ahead and has waited for room since {head.since_at:%H:%M:%S} UTC; nothing passes it now",
        remedy=f"barq why {head.id}",
    )
