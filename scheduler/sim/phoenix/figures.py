"""The figures of an event, from measured minutes or from a simulated run: how deep, how soon, how far off, how fast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from scheduler.sim.outcome import RunOutcome
from scheduler.sim.phoenix.event import Event, PhoenixSite

_MINUTE_S = 60.0
_EPSILON_W = 1e-6
_NEAR = 1.05  #: settled = at most so much of the level that is held ..
_STAYS = 10  #: .. for so many minutes


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a meter's minutes say of an event. Cuts are shares of the baseline."""

    baseline_w: float
    held_cuts: tuple[float, ...]  #: mean of each stage, once its ramp is over
    settled_after_s: float | None  #: from the first fall to the level of the first stage; None = never
    deepest_cut: float  #: of a single minute between the first fall and the release
    overshoot: float  #: the most that a minute was below the level at which its stage settled
    rebound: float  #: the highest minute after the release, over the baseline


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpeed:
    """How fast one job ran from the end of the first ramp to the release, relative to no cap."""

    job: str
    tier: int
    speed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarts:
    """What stopping and starting again cost."""

    pauses: int
    kills: int
    dead_s: float | None  #: per pause, GPU time lost over GPUs held; None = nothing was paused


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """How a run kept to its limit."""

    over_limit_s: float  #: in which the site drew more than the limit in force
    comply_s: float  #: the longest time at a stretch of that
    under_limit: tuple[
        float, ...
    ]  #: over-curtailment per stage: mean share of the limit that was left unused


def shape(minutes_w: Sequence[float], event: Event, *, baseline_w: float) -> Shape:
    """Of one value a minute. Raises ValueError where they end before the event is over."""
    release = _minute(event.release_s)
    if len(minutes_w) <= release:
        raise ValueError(f"{event.name}: {len(minutes_w)} minutes; more than {release} are needed")
    cuts = [1.0 - w / baseline_w for w in minutes_w]
    held = [_mean(cuts[_minute(a) : _minute(b)]) for a, b in map(event.held_s, event.stages)]
    starts = [_minute(s.starts_s) for s in event.stages]
    parts = [cuts[a:b] for a, b in pairwise([*starts, release])]
    return Shape(
        baseline_w=baseline_w,
        held_cuts=tuple(held),
        settled_after_s=_settled_after_s(parts[0], held[0]),
        deepest_cut=max(map(max, parts)),
        overshoot=max([0.0, *(max(part) - level for part, level in zip(parts, held, strict=True))]),
        rebound=max(1.0 - cut for cut in cuts[release:]),
    )


def _settled_after_s(cuts: Sequence[float], held: float) -> float | None:
    near = [cut >= 1.0 - _NEAR * (1.0 - held) for cut in cuts]
    settled = (i for i in range(len(near) - _STAYS + 1) if all(near[i : i + _STAYS]))
    return next((minute * _MINUTE_S for minute in settled), None)


def site_minutes_w(outcome: RunOutcome) -> list[float]:
    """The site's draw as the mean of each whole minute of the window."""
    means = [0.0] * _minute(outcome.window_s)
    for starts_s, ends_s, interval in _spans(outcome):
        first, last = int(starts_s // _MINUTE_S), int(-(-ends_s // _MINUTE_S))
        for minute in range(first, min(last, len(means))):
            begins_s = minute * _MINUTE_S
            part_s = min(ends_s, begins_s + _MINUTE_S) - max(starts_s, begins_s)
            means[minute] += interval * part_s / _MINUTE_S
    return means


def _spans(outcome: RunOutcome) -> list[tuple[float, float, float]]:
    """From, to and watts of each interval."""
    ends = [*(i.starts_s for i in outcome.intervals[1:]), outcome.window_s]
    return [(i.starts_s, end_s, i.site_w) for i, end_s in zip(outcome.intervals, ends, strict=True)]


def gpu_minutes_w(outcome: RunOutcome, site: PhoenixSite) -> list[float]:
    """The same of the GPUs alone, which is what their files measure."""
    rest_w = site.nodes * site.node_base_w
    return [(w - site.auxiliary_w) / site.overhead - rest_w for w in site_minutes_w(outcome)]


def keeping(outcome: RunOutcome, event: Event) -> Keeping:
    """How the whole run kept to its limit, and how much of it each stage left."""
    over_s, comply_s = _over(outcome)
    under = tuple(_unused(outcome, *event.held_s(stage)) for stage in event.stages)
    return Keeping(over_limit_s=over_s, comply_s=comply_s, under_limit=under)


def _over(outcome: RunOutcome) -> tuple[float, float]:
    """Seconds over the limit: all, and the most at a stretch."""
    all_s = longest_s = stretch_s = 0.0
    for (start_s, end_s, site_w), interval in zip(_spans(outcome), outcome.intervals, strict=True):
        over_s = end_s - start_s if site_w > interval.limit_w + _EPSILON_W else 0.0
        stretch_s = stretch_s + over_s if over_s else 0.0
        all_s, longest_s = all_s + over_s, max(longest_s, stretch_s)
    return all_s, longest_s


def _unused(outcome: RunOutcome, from_s: float, to_s: float) -> float:
    """The mean share of the limit that was left."""
    left = 0.0
    for (start_s, end_s, site_w), interval in zip(_spans(outcome), outcome.intervals, strict=True):
        part_s = min(end_s, to_s) - max(start_s, from_s)
        left += max(0.0, part_s) * (1.0 - site_w / interval.limit_w)
    return left / (to_s - from_s)


def job_speeds(before: RunOutcome, after: RunOutcome) -> tuple[JobSpeed, ...]:
    """Progress between the ends of two windows of the same run, over what the GPUs could have done uncapped."""
    seconds = after.window_s - before.window_s
    kept = {o.job.id: o.kept_gpu_s for o in before.jobs}
    return tuple(
        JobSpeed(
            job=o.job.id, tier=o.job.flex, speed=(o.kept_gpu_s - kept[o.job.id]) / (o.job.gpus * seconds)
        )
        for o in after.jobs
    )


def by_tier(speeds: Sequence[JobSpeed], gpus: Mapping[str, int]) -> dict[int, float]:
    """The mean speed of each tier, weighted by GPUs."""
    tiers = sorted({s.tier for s in speeds})
    return {t: mean_speed([s for s in speeds if s.tier == t], gpus) for t in tiers}


def mean_speed(speeds: Sequence[JobSpeed], gpus: Mapping[str, int]) -> float:
    """The mean over all GPUs."""
    return sum(gpus[s.job] * s.speed for s in speeds) / sum(gpus[s.job] for s in speeds)


def restarts(outcome: RunOutcome) -> Restarts:
    """What pauses cost in this run."""
    held = sum(o.pauses * o.job.gpus for o in outcome.jobs)
    lost_gpu_s = sum(o.lost_gpu_s for o in outcome.jobs)
    return Restarts(
        pauses=sum(o.pauses for o in outcome.jobs),
        kills=sum(o.kills for o in outcome.jobs),
        dead_s=lost_gpu_s / held if held else None,
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _minute(seconds: float) -> int:
    return round(seconds / _MINUTE_S)
