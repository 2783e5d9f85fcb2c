"""What the cluster's GPUs draw, minute by minute, under a commanded cut: fitted on one day, scored on another.

    P(t) = calibration x sum over jobs of GPUs x P_workload(cap_job(t))

The sums over workloads come from the sweep alone. Five numbers are fitted, all on the first day: the calibration of
the sweep to the meter, the share of the GPUs in the power that the command is about, the paces of the ways down and up,
and the level that the cluster comes back to. Of the second day only its command goes in, unless a score says otherwise.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from scheduler.sim.phoenix.emerald import MinutePower
from scheduler.sim.phoenix.mix import MixJob, cap_for_speed_w, full_w

#: Least speed that a tier is promised, as published with the event's performances.
PROMISED_SPEED = {0: 1.0, 1: 0.9, 2: 0.75, 3: 0.5, 4: 0.5}

_SETTLE_MINUTES = 20  #: after an order; what is steady is looked at from then on
_PACES = tuple(n / 1000 for n in range(10, 101))  #: tried ones: 1 to 10 % of the baseline per minute
_SAVES_BELOW = 0.97  #: a minute that much under the hour's median is one in which jobs save
_HOUR = 60
_BISECTIONS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """From a minute on, the cluster is to draw `cut` (share of its baseline) less; 0 = it may come back."""

    minute: int
    cut: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What the first day taught."""

    calibration: float  #: measured baseline over the sweep's sum without caps
    gpu_share: float  #: a cut of so much of this is a cut of the GPUs by so much: commanded over measured cut
    down_per_minute: float  #: share of the baseline
    up_per_minute: float
    return_level: float  #: after the event, share of the baseline


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How far predicted and measured minutes are apart."""

    rmse_w: float
    mean_error_w: float  #: predicted less measured
    baseline_w: float  #: measured before the first order
    minutes: int

    @property
    def rmse_share(self) -> float:
        """Of the baseline."""
        return self.rmse_w / self.baseline_w


def fair_caps_w(mix: Sequence[MixJob], level: float) -> dict[str, float]:
    """A cap per job under which all draw `level` of what they draw without caps, as far as promises allow.

    Every job gives up the same share of the way from no cap to the cap of its promise.
    """
    floors_w = {job.name: cap_for_speed_w(job.curve, PROMISED_SPEED[job.tier]) for job in mix}

    def caps_w(share: float) -> dict[str, float]:
        return {j.name: j.curve.tdp_w - share * (j.curve.tdp_w - floors_w[j.name]) for j in mix}

    low, high, wanted_w = 0.0, 1.0, level * full_w(mix)
    if wanted_w >= full_w(mix):
        return caps_w(0.0)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if capped_w(mix, caps_w(middle)) > wanted_w:
            low = middle
        else:
            high = middle
    return caps_w(high)


def capped_w(mix: Iterable[MixJob], caps_w: Mapping[str, float]) -> float:
    """All jobs under their caps, by the sweep."""
    return sum(job.draw_w(caps_w[job.name]) for job in mix)


def implied_w(mix: Iterable[MixJob], fit: Fit) -> float:
    """What the meter should have shown if every job had run at its published speed under one steady cap."""
    return fit.calibration * sum(j.draw_w(cap_for_speed_w(j.curve, j.speed)) for j in mix)


def fitted(day: MinutePower, commands: Sequence[Command], mix: Sequence[MixJob]) -> Fit:
    """Levels are the means of steady stretches; the two paces are those with the least squares over the whole day.

    Takes a day with one cut and its end. Raises ValueError for any other, or for one without a steady stretch.
    """
    cut, back = _one_cut(commands)
    baseline_w = day.mean_w(0, cut.minute)
    held = day.mean_w(cut.minute + _SETTLE_MINUTES, back.minute) / baseline_w
    fit = Fit(
        calibration=baseline_w / full_w(mix),
        gpu_share=cut.cut / (1.0 - held),
        down_per_minute=1.0,
        up_per_minute=1.0,
        return_level=day.mean_w(back.minute + _SETTLE_MINUTES, len(day.draws_w)) / baseline_w,
    )
    down = _best(lambda x: replace(fit, down_per_minute=x), day, commands, slice(0, back.minute))
    return _best(lambda x: replace(down, up_per_minute=x), day, commands, slice(back.minute, None))


def _one_cut(commands: Sequence[Command]) -> tuple[Command, Command]:
    match commands:
        case [Command(cut=cut) as first, Command(cut=0.0) as last] if cut > 0:
            return first, last
    raise ValueError(f"commands {commands!r}: to fit, one cut and its end are needed")


def _best(fit: Callable[[float], Fit], day: MinutePower, commands: Sequence[Command], part: slice) -> Fit:
    """The candidate whose levels are nearest to the measured ones in `part`."""
    baseline_w = day.mean_w(0, commands[0].minute)
    measured = [w / baseline_w for w in day.draws_w][part]

    def error(candidate: Fit) -> float:
        path = levels(candidate, commands, len(day.draws_w))[part]
        return sum((p - m) ** 2 for p, m in zip(path, measured, strict=True))

    return min((fit(pace) for pace in _PACES), key=error)


def levels(fit: Fit, commands: Sequence[Command], minutes: int) -> list[float]:
    """The share of the baseline at which the GPUs are in each minute: from level to level at the fitted paces."""
    targets = {c.minute: 1.0 - c.cut / fit.gpu_share if c.cut else fit.return_level for c in commands}
    level = target = 1.0
    path = []
    for minute in range(minutes):
        target = targets.get(minute, target)
        step = -fit.down_per_minute if target < level else fit.up_per_minute
        level = target if abs(target - level) <= abs(step) else level + step
        path.append(level)
    return path


def predicted_w(fit: Fit, commands: Sequence[Command], mix: Sequence[MixJob], minutes: int) -> list[float]:
    """The GPU watts of each minute, by caps on the jobs."""
    path = levels(fit, commands, minutes)
    by_level = {x: fit.calibration * capped_w(mix, fair_caps_w(mix, x)) for x in set(path)}
    return [by_level[x] for x in path]


def score(
    day: MinutePower, commands: Sequence[Command], predicted: Sequence[float], *, first: int = 0
) -> Score:
    """Of the minutes from `first` on."""
    errors_w = [p - m for p, m in zip(predicted, day.draws_w, strict=True)][first:]
    return Score(
        rmse_w=math.sqrt(sum(e * e for e in errors_w) / len(errors_w)),
        mean_error_w=sum(errors_w) / len(errors_w),
        baseline_w=day.mean_w(0, commands[0].minute),
        minutes=len(errors_w),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HourBefore:
    """What the hour before the first order of a day tells an operator who has a meter."""

    steady_w: float  #: while no job saves
    saves: tuple[
        float, ...
    ]  #: share of the steady level in each minute of the clock's hour; 1 where none saves


def hour_before(day: MinutePower, commands: Sequence[Command]) -> HourBefore:
    """The last whole hour before the first order. Raises ValueError where there is none."""
    first = commands[0].minute
    if first < _HOUR:
        raise ValueError(f"{day.name}: {first} minutes before the first order; 60 are needed")
    hour = {minute % _HOUR: day.draws_w[minute] for minute in range(first - _HOUR, first)}
    median_w = statistics.median(hour.values())
    steady_w = statistics.fmean(w for w in hour.values() if w >= _SAVES_BELOW * median_w)
    saves = (hour[m] / steady_w if hour[m] < _SAVES_BELOW * median_w else 1.0 for m in range(_HOUR))
    return HourBefore(steady_w=steady_w, saves=tuple(saves))


def rebased(predicted: Sequence[float], hour: HourBefore, *, saves: bool) -> list[float]:
    """A prediction moved to the level of the hour before, `saves` with its saves repeated every hour."""
    mean_w = hour.steady_w * statistics.fmean(hour.saves)
    scale = (hour.steady_w if saves else mean_w) / predicted[0]
    return [scale * w * (hour.saves[m % _HOUR] if saves else 1.0) for m, w in enumerate(predicted)]
