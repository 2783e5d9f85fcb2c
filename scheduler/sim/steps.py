"""Functions of time that are constant between steps: exact integrals, means and sliding maxima, all in numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from scheduler.sim.capacity import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """`values[i]` holds from `starts_s[i]`, strictly rising from 0, to the next; the last to `ends_s`."""

    starts_s: Floats
    values: Floats
    ends_s: float

    @property
    def lengths_s(self) -> Floats:
        """Seconds that each value holds."""
        return np.diff(self.starts_s, append=self.ends_s)

    def at(self, times_s: ArrayLike) -> Floats:
        """The values that hold at, and just after, these instants."""
        found: Floats = self.values[np.searchsorted(self.starts_s, times_s, side="right") - 1]
        return found

    def on(self, starts_s: Floats) -> Steps:
        """The same function, cut at these instants, which hold all of its own."""
        return Steps(starts_s=starts_s, values=self.at(starts_s), ends_s=self.ends_s)

    def integral(self) -> float:
        """Over all."""
        return float(self.values @ self.lengths_s)

    def integrals(self, edges_s: Floats) -> Floats:
        """Between neighbouring edges."""
        knots_s = np.append(self.starts_s, self.ends_s)
        filled = np.append(0.0, np.cumsum(self.values * self.lengths_s))
        return np.diff(np.interp(edges_s, knots_s, filled))

    def means(self, block_s: float) -> Steps:
        """Means of blocks of this length, counted from 0; the last block may be cut short by the end."""
        edges_s = block_edges(self.ends_s, block_s)
        means = self.integrals(edges_s) / np.diff(edges_s)
        return Steps(starts_s=edges_s[:-1], values=means, ends_s=self.ends_s)

    def plain(self) -> Steps:
        """The same function with a step only where the value changes."""
        changes = np.append(True, np.diff(self.values) != 0)
        return Steps(starts_s=self.starts_s[changes], values=self.values[changes], ends_s=self.ends_s)

    def highest_of_last(self, back_s: float) -> Steps:
        """The highest value of the last `back_s` seconds: falls come so much later, rises at once."""
        own = self.plain()
        starts_s = np.unique(np.append(own.starts_s, own.starts_s + back_s))
        starts_s = starts_s[starts_s < self.ends_s]
        ends_s = np.append(own.starts_s[1:], np.inf)
        first = np.searchsorted(ends_s, starts_s - back_s, side="right")
        past = np.searchsorted(own.starts_s, starts_s, side="right")
        pairs = np.stack([first, past], axis=1).ravel()
        highest = np.maximum.reduceat(np.append(own.values, -np.inf), pairs)[::2]
        return Steps(starts_s=starts_s, values=highest, ends_s=self.ends_s)


def block_edges(ends_s: float, block_s: float) -> Floats:
    """0, one block, two blocks, ... and the end. A last block that only rounding makes is none."""
    edges_s = np.arange(0.0, ends_s, block_s)
    return np.append(edges_s[edges_s < ends_s - 1e-6 * block_s], ends_s)


def aligned(*functions: Steps) -> tuple[Steps, ...]:
    """The same functions, all cut wherever one of them changes."""
    starts_s = np.unique(np.concatenate([f.starts_s for f in functions]))
    return tuple(f.on(starts_s) for f in functions)
