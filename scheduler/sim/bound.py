"""The most that any schedule could reach on a site: a linear program with perfect foresight.

In each step (an hour) a job does at most what all its GPUs do at full speed from its arrival on, in all no more than
its work, and all jobs together no more than the integral of the site's capacity over the step:

    maximise    sum of weight[j] x[j, h]     (weight 1: goodput; `value_weights`: value)
    subject to  0 <= x[j, h] <= gpus[j] * (seconds of h after j's arrival)
                sum over h of x[j, h] <= gpus[j] * work_s[j]
                sum over j of x[j, h] <= integral of capacity(limit) over h

Saves, restores, boots, gangs, whole nodes and ignorance of the future are left out, so every real schedule is a
feasible x, and none is better than the optimum. What is reported is the dual bound of the solver's prices, worked out
in plain arithmetic over all jobs: by weak duality it is never below the optimum, whatever the solver's tolerances,
and whatever was lumped together or cut into windows to find the prices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from scheduler.sim.capacity import Capacity, Floats, capacity_integral
from scheduler.sim.caps_bound import caps_bound, charged
from scheduler.sim.pools import Pools
from scheduler.sim.prices import prices_by_window
from scheduler.sim.value import value_weights
from scheduler.sim.workload import PowerTrace, SimJob

HOUR_S: Final = 3600.0
WEEK_S: Final = 7 * 24 * HOUR_S
_AT_ONCE: Final = 4096
"""Jobs that are priced in one go: it keeps the memory of long traces small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What perfect foresight could reach within the window, and what there was to reach it with."""

    gpu_h: float  #: no schedule keeps more full-speed GPU-hours
    value: float  #: no schedule is worth more, by `value_weights`
    caps_gpu_h: float  #: no schedule that keeps the limit by caps keeps more: see `scheduler.sim.caps_bound`
    offered_gpu_h: float  #: all the work that arrives within the window
    reachable_gpu_h: float  #: of it, what fits between each job's arrival and the end of the window
    capacity_gpu_h: float  #: what the site could compute under the limit, were there always enough work


def upper_bound(
    site: Capacity,
    power: PowerTrace,
    jobs: Sequence[SimJob],
    *,
    window_s: float,
    step_s: float = HOUR_S,
    solve_s: float = WEEK_S,
    standby_w: float = 0.0,
) -> Bound:
    """The bound of a window, solved in pieces of at most `solve_s`: a longer window costs its length, no more.

    `standby_w` is what a node draws that is not powered; it counts for `caps_gpu_h` alone. A shorter `step_s` makes
    the bound tighter where the limit flickers. Cutting into pieces can only make it looser.
    Raises ValueError if a length is not positive or the trace does not begin at 0.
    """
    if min(window_s, step_s, solve_s) <= 0:
        raise ValueError(f"window_s, step_s, solve_s: {window_s}, {step_s}, {solve_s}; let each be above 0")
    edges_s = np.append(np.arange(0.0, window_s, step_s), window_s)
    capacity = capacity_integral(site, power.steps, edges_s)
    steps = max(1, round(solve_s / step_s))
    weights = value_weights(job.priority for job in jobs)
    pools = Pools.of(jobs, np.ones(len(jobs)), edges_s)
    goodput = _dual_bound(pools, capacity, np.diff(edges_s), steps)
    alike = bool(np.all(weights == 1.0))
    worth = (
        goodput if alike else _dual_bound(Pools.of(jobs, weights, edges_s), capacity, np.diff(edges_s), steps)
    )
    by_caps = caps_bound(charged(site, standby_w), power, jobs, edges_s=edges_s, solve_s=solve_s)
    reachable = np.minimum(pools.work, pools.room_in_all(np.diff(edges_s)))
    return Bound(
        gpu_h=goodput / HOUR_S,
        value=worth / HOUR_S,
        caps_gpu_h=min(goodput, by_caps) / HOUR_S,
        offered_gpu_h=float(pools.work.sum()) / HOUR_S,
        reachable_gpu_h=float(reachable.sum()) / HOUR_S,
        capacity_gpu_h=float(capacity.sum()) / HOUR_S,
    )


def _dual_bound(pools: Pools, capacity: Floats, lengths_s: Floats, steps: int) -> float:
    """The bound in GPU-seconds (weighted). Nothing at any price is a bound too, for what it is worth."""
    prices = prices_by_window(pools, capacity, lengths_s, steps)
    at_prices = priced(pools, capacity, lengths_s, prices)
    return min(at_prices, priced(pools, capacity, lengths_s, np.zeros_like(prices)))


def priced(pools: Pools, capacity: Floats, lengths_s: Floats, prices: Floats) -> float:
    """The dual function: capacity sold at these prices, plus what each job gains if it buys the best it can there.

    For any prices from 0 up it is an upper bound of the program's optimum.
    """
    cheap_first = np.argsort(prices, kind="stable")
    total = float(capacity @ prices)
    for begins in range(0, len(pools.work), _AT_ONCE):
        some = pools.only(slice(begins, begins + _AT_ONCE))
        bought = np.minimum(np.cumsum(some.room(lengths_s)[:, cheap_first], axis=1), some.work[:, None])
        gain = np.maximum(some.weight[:, None] - prices[cheap_first], 0.0)
        total += float((np.diff(bought, axis=1, prepend=0.0) * gain).sum())
    return total
