"""Jobs as the bound sees them: columns of numbers, and as few of them as give the very same optimum.

Time is cut into steps. In its first step a job may do at most what its arrival leaves of it, in a later one at most
what all its GPUs do in a whole step, and in all no more than its work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scheduler.sim.capacity import Floats
from scheduler.sim.workload import SimJob

_BINS_PER_E: Final = 10.0
"""Lengths that are lumped together differ by a tenth at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pools:
    """One row for each job, or for some that are as good as one. Work is in full-speed GPU-seconds."""

    first: NDArray[np.intp]  #: the step in which it arrives
    early: Floats  #: the most that it does in that step
    gpus: Floats  #: times the length of a later step: the most that it does there
    work: Floats  #: the most in all
    weight: Floats  #: what a full-speed GPU-second of it is worth

    @classmethod
    def of(cls, jobs: Sequence[SimJob], weights: Floats, edges_s: Floats) -> Pools:
        """One row for each job that has work and arrives before the last edge."""
        arrives_s = np.array([job.arrives_s for job in jobs])
        gpus = np.array([float(job.gpus) for job in jobs])
        first = np.clip(np.searchsorted(edges_s, arrives_s, side="right") - 1, 0, len(edges_s) - 2)
        work = gpus * np.array([job.work_s for job in jobs])
        here = (arrives_s < edges_s[-1]) & (work > 0)
        early_s = edges_s[first + 1] - np.maximum(arrives_s, edges_s[first])
        return cls(
            first=first,
            early=gpus * early_s,
            gpus=gpus,
            work=work,
            weight=np.asarray(weights, dtype=np.float64),
        ).only(here)

    def only(self, chosen: NDArray[np.bool_] | NDArray[np.intp] | slice) -> Pools:
        """Some of the rows."""
        return Pools(
            first=self.first[chosen],
            early=self.early[chosen],
            gpus=self.gpus[chosen],
            work=self.work[chosen],
            weight=self.weight[chosen],
        )

    def room(self, lengths_s: Floats) -> Floats:
        """The most that each row does in each step: rows x steps."""
        steps = np.arange(len(lengths_s))
        later = self.gpus[:, None] * lengths_s
        early = np.where(steps == self.first[:, None], self.early[:, None], 0.0)
        room: Floats = np.where(steps > self.first[:, None], later, early)
        return room

    def room_in_all(self, lengths_s: Floats) -> Floats:
        """The most that each row does in all steps together, were there no end to its work."""
        left_s = lengths_s.sum() - np.cumsum(lengths_s)
        room: Floats = self.early + self.gpus * left_s[self.first]
        return room

    def seen_from(self, step: int) -> Pools:
        """The same, with steps counted from a later one that none of the rows begins before."""
        return replace(self, first=self.first - step)

    def after(self, done: Floats, next_s: float) -> Pools:
        """What a window leaves to the next, whose first step lasts `next_s`: each row with the rest of its work."""
        rest = replace(
            self,
            first=np.zeros_like(self.first),
            early=self.gpus * next_s,
            work=np.maximum(self.work - done, 0.0),
        )
        return rest.only(rest.work > 0)

    def and_also(self, others: Pools) -> Pools:
        """The rows of both."""
        return _joined([self, others])

    def merged(self, lengths_s: Floats) -> Pools:
        """Fewer rows with the same optimum, whatever the capacity.

        Of the rows that begin in one step with one weight, two kinds can be lumped together: those whose work fits
        into any step (after the first step only their sum matters, for it can be dealt out at will), and those whose
        work is more than they can ever do (only what they may do in each step matters). The rest stays as it is.
        """
        endless = self.work >= self.room_in_all(lengths_s)
        short = ~endless & (self.work <= self.gpus * lengths_s.min())
        early = np.minimum(self.early, self.work)
        most = np.where(short, self.work / lengths_s.min(), self.gpus)
        kept = np.flatnonzero(~endless & ~short)
        pools = Pools(first=self.first, early=early, gpus=most, work=self.work, weight=self.weight)
        return _joined([pools.only(kept), *(pools.only(lump).lumped() for lump in (endless, short))])

    def coarse(self) -> Pools:
        """Rows that are nearly alike as one: the same first step and weight, and lengths within a tenth."""
        length = np.round(np.log(np.maximum(self.work / self.gpus, 1.0)) * _BINS_PER_E)
        return self.lumped(length)

    def lumped(self, *also: Floats) -> Pools:
        """One row for all that share first step, weight and whatever else is given."""
        by = np.stack([self.first, self.weight, *also], axis=1)
        keys, which = np.unique(by, axis=0, return_inverse=True)
        sums = [
            np.bincount(which.ravel(), weights=column, minlength=len(keys)).astype(np.float64)
            for column in (self.early, self.gpus, self.work)
        ]
        return Pools(
            first=keys[:, 0].astype(np.intp), early=sums[0], gpus=sums[1], work=sums[2], weight=keys[:, 1]
        )


def _joined(parts: Sequence[Pools]) -> Pools:
    return Pools(
        first=np.concatenate([part.first for part in parts]),
        early=np.concatenate([part.early for part in parts]),
        gpus=np.concatenate([part.gpus for part in parts]),
        work=np.concatenate([part.work for part in parts]),
        weight=np.concatenate([part.weight for part in parts]),
    )
