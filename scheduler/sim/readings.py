"""A run's intervals as columns of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter

import numpy as np

from scheduler.sim.capacity import Floats
from scheduler.sim.outcome import Interval, RunOutcome
from scheduler.sim.steps import Steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """One row for each interval that lasts; watts at the site meter."""

    starts_s: Floats
    ends_s: float
    limit_w: Floats
    site_w: Floats
    ai_w: Floats
    idle_w: Floats
    miners_w: Mapping[str, Floats]  #: by partner, in the order of their names
    waiting_gpus: Floats
    running_gpus: Floats
    powered_nodes: Floats
    smallest_waiting_gpus: Floats

    @classmethod
    def of(cls, outcome: RunOutcome) -> Readings:
        """The columns of a run."""
        starts_s = _column(outcome.intervals, "starts_s")
        lasting = np.diff(starts_s, append=outcome.window_s) > 0
        names = ("limit_w", "site_w", "ai_w", "idle_w", "waiting_gpus", "running_gpus", "powered_nodes")
        columns = {
            name: _column(outcome.intervals, name)[lasting] for name in (*names, "smallest_waiting_gpus")
        }
        partners = sorted({partner for interval in outcome.intervals for partner in interval.miners_w})
        miners_w = {
            partner: np.array([interval.miners_w.get(partner, 0.0) for interval in outcome.intervals])[
                lasting
            ]
            for partner in partners
        }
        return cls(starts_s=starts_s[lasting], ends_s=outcome.window_s, miners_w=miners_w, **columns)

    @property
    def lengths_s(self) -> Floats:
        """Seconds that each row holds."""
        return np.diff(self.starts_s, append=self.ends_s)

    @property
    def mined_w(self) -> Floats:
        """What all miners draw."""
        return sum(self.miners_w.values(), np.zeros_like(self.starts_s))

    def steps(self, values: Floats) -> Steps:
        """A column, or what was made of some, as a function of time."""
        return Steps(starts_s=self.starts_s, values=values, ends_s=self.ends_s)

    def total(self, values: Floats) -> float:
        """The integral of a column over the window."""
        return float(values @ self.lengths_s)


def _column(intervals: tuple[Interval, ...], name: str) -> Floats:
    return np.fromiter(map(attrgetter(name), intervals), dtype=np.float64, count=len(intervals))
