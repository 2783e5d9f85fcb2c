"""Figures of a run's jobs: progress, times, slowdown, fairness. Formulas: docs/metrics.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from scheduler.sim.capacity import Floats
from scheduler.sim.outcome import JobOutcome, RunOutcome
from scheduler.sim.value import value_weights

Figure = float | int | str | None
BOUNDED_AT_S: Final = 10.0
"""Jobs shorter than this count as this long in the slowdown, or the shortest would rule the mean."""
_S_PER_H: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTable:
    """One row for each job that arrived within the window; NaN where something never came."""

    jobs: tuple[JobOutcome, ...]
    window_s: float
    arrives_s: Floats
    gpus: Floats
    work_s: Floats
    weight: Floats
    finished_s: Floats
    kept_gpu_s: Floats
    lost_gpu_s: Floats
    pauses: Floats
    energy_wh: Floats

    @classmethod
    def of(cls, outcome: RunOutcome) -> JobTable:
        """The jobs of a run."""
        jobs = tuple(one for one in outcome.jobs if one.job.arrives_s < outcome.window_s)

        def column(value: Callable[[JobOutcome], float]) -> Floats:
            return np.fromiter(map(value, jobs), dtype=np.float64, count=len(jobs))

        return cls(
            jobs=jobs,
            window_s=outcome.window_s,
            arrives_s=column(lambda one: one.job.arrives_s),
            gpus=column(lambda one: one.job.gpus),
            work_s=column(lambda one: one.job.work_s),
            weight=value_weights(one.job.priority for one in jobs),
            finished_s=column(lambda one: np.nan if one.finished_s is None else one.finished_s),
            kept_gpu_s=column(lambda one: one.kept_gpu_s),
            lost_gpu_s=column(lambda one: one.lost_gpu_s),
            pauses=column(lambda one: one.pauses),
            energy_wh=column(lambda one: one.energy_wh),
        )

    @property
    def finished(self) -> np.ndarray:
        """Which ones ended within the window."""
        return self.finished_s <= self.window_s

    @property
    def flow_s(self) -> Floats:
        """From arrival to the end, or to the end of the window."""
        ends_s: Floats = np.where(self.finished, self.finished_s, self.window_s)
        return ends_s - self.arrives_s

    @property
    def slowdown(self) -> Floats:
        """Bounded slowdown: flow time over time alone at full speed, at least 1."""
        bounded: Floats = np.maximum(self.flow_s / np.maximum(self.work_s, BOUNDED_AT_S), 1.0)
        return bounded


def times(table: JobTable, chosen: np.ndarray | slice = slice(None)) -> dict[str, Figure]:
    """How long some jobs took: completion of those that ended, flow of all."""
    ended = table.finished[chosen]
    flow_s = table.flow_s[chosen]
    jct_s, slowdown = flow_s[ended], table.slowdown[chosen][ended]
    return {
        "finished": int(ended.sum()),
        "unfinished": int((~ended).sum()),
        "jct_mean_s": _mean(jct_s),
        "jct_p50_s": _percentile(jct_s, 50),
        "jct_p99_s": _percentile(jct_s, 99),
        "flow_mean_s": _mean(flow_s),
        "bounded_slowdown_mean": _mean(slowdown),
        "bounded_slowdown_p50": _percentile(slowdown, 50),
    }


def progress(table: JobTable, chosen: np.ndarray | slice = slice(None)) -> dict[str, Figure]:
    """What some jobs got done, what it was worth, what was lost on the way."""
    kept_gpu_h = table.kept_gpu_s[chosen] / _S_PER_H
    return {
        "goodput_gpu_h": float(kept_gpu_h.sum()),
        "value": float(kept_gpu_h @ table.weight[chosen]),
        "lost_gpu_h": float(table.lost_gpu_s[chosen].sum()) / _S_PER_H,
        "pauses": int(table.pauses[chosen].sum()),
    }


def by(table: JobTable, key: Callable[[JobOutcome], str | int]) -> dict[str, dict[str, Figure]]:
    """Progress and times for each group of jobs, in the order of the groups."""
    keys = [key(one) for one in table.jobs]
    of = np.array([str(one) for one in keys])
    groups = sorted(set(keys), key=lambda k: (isinstance(k, str), k))
    return {str(k): progress(table, of == str(k)) | times(table, of == str(k)) for k in groups}


def jain_over_projects(table: JobTable) -> float | None:
    """Jain's index over the projects' shares: what each kept of what it could have had alone on an endless site."""
    projects, which = np.unique([one.job.project for one in table.jobs], return_inverse=True)
    reach_gpu_s = table.gpus * np.minimum(table.work_s, table.window_s - table.arrives_s)
    kept = np.bincount(which, weights=table.kept_gpu_s, minlength=len(projects))
    asked = np.bincount(which, weights=reach_gpu_s, minlength=len(projects))
    return jain(kept[asked > 0] / asked[asked > 0])


def jain(shares: Floats) -> float | None:
    """(sum x)^2 / (n sum x^2): 1 if all are equal, 1/n if one has all. None if nobody has anything."""
    squares = float(shares @ shares)
    return float(shares.sum()) ** 2 / (len(shares) * squares) if squares > 0 else None


def deadlines(table: JobTable) -> dict[str, Figure]:
    """How many jobs whose deadline fell within the window had ended by then."""
    stated = [
        (one.job.arrives_s + s, one.finished_s) for one in table.jobs if (s := one.job.deadline_s) is not None
    ]
    due = [(by_s, ended_s) for by_s, ended_s in stated if by_s <= table.window_s]
    return {
        "deadlines": len(due),
        "deadlines_met": sum(ended_s is not None and ended_s <= by_s for by_s, ended_s in due),
    }


def _mean(values: Floats | Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _percentile(values: Floats, percent: float) -> float | None:
    return float(np.percentile(values, percent)) if len(values) else None
