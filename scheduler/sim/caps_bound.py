"""The most that any schedule could reach that keeps the limit by caps: a bound like `scheduler.sim.bound`, and tighter.

That one takes GPUs for what they draw, nodes in standby for nothing, and lets a job have all the speed of its GPUs at
the price of the thriftiest cap. Here a GPU counts with its cap, as a limit has to be kept that holds whatever work
does; a node in standby draws what it draws; and each job has the curve of its own GPUs: what it does beyond the
thriftiest cap takes more watts for each bit of speed. The curve is cut into layers of speed, `share` of full speed
each, at `rate` times the watts per speed of the first. With x[j, h, k] the full-speed GPU-seconds of job j in step h
and layer k:

    maximise    sum of x[j, h, k]
    subject to  0 <= x[j, h, k] <= gpus[j] * (seconds of h after j's arrival) * share[k]
                sum over h, k of x[j, h, k] <= gpus[j] * work_s[j]
                sum over j, k of x[j, h, k] <= integral of capacity(limit) over h, by caps
                sum over j, k of rate[k] x[j, h, k] <= integral of the watts at work over h, in watts of the first layer

A real schedule gives a feasible x. Of a step in which it ran j at this cap and at that, its mean speed is filled in
from the lowest layer up; since the curve is concave, that takes no more watts than the caps did, a GPU's part in its
node's base included. Reported is the dual function at the solver's prices, in plain arithmetic, as there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import highspy
import numpy as np

from scheduler.sim.capacity import Capacity, Floats, capacity_integral, integral, upper_hull
from scheduler.sim.pools import Pools
from scheduler.sim.prices import SCALE, optimum, prices_by_window, quiet_solver
from scheduler.sim.workload import PowerTrace, SimJob

_AT_ONCE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """The curve of a GPU at work, from no speed up."""

    shares: Floats  #: of full speed
    rates: Floats  #: watts for a bit of speed in each, of what they are in the first
    first_w: float  #: W before overhead of a full-speed GPU, were all its speed in the first

    @classmethod
    def of(cls, site: Capacity) -> Layers:
        """With a GPU's part in what its node draws more than in standby."""
        base_w = (site.node_base_w - site.standby_w) / site.gpus_per_node
        hull = upper_hull([(0.0, 0.0), *((base_w + p.draw_w, p.speed) for p in site.gpu.curve)])
        watts, speeds = np.array(hull).T
        rates = np.diff(watts) / np.diff(speeds)
        return cls(shares=np.diff(speeds), rates=rates / rates[0], first_w=float(rates[0]))

    @property
    def full_w(self) -> float:
        """Watts of a GPU at full speed, with its part in its node."""
        return float(self.shares @ self.rates) * self.first_w


def charged(site: Capacity, standby_w: float) -> Capacity:
    """The same site by what its caps entitle to, and with what a node in standby draws."""
    curve = tuple(replace(p, draw_w=max(p.cap_w, p.draw_w)) for p in site.gpu.curve)
    return replace(site, gpu=replace(site.gpu, curve=curve), standby_w=standby_w)


def caps_bound(
    site: Capacity, power: PowerTrace, jobs: Sequence[SimJob], *, edges_s: Floats, solve_s: float
) -> float:
    """The bound in GPU-seconds of a site that counts caps, see `charged`; solved in pieces of about `solve_s`."""
    layers, lengths_s = Layers.of(site), np.diff(edges_s)
    limit_w = np.array([w for _, w in power.steps])
    spare_w = (limit_w - site.auxiliary_w) / site.overhead - site.nodes * site.standby_w
    at_work_w = np.clip(spare_w, 0.0, site.gpus * layers.full_w)
    capacity = capacity_integral(site, power.steps, edges_s)
    supply = np.stack([capacity, integral(power.steps, at_work_w, edges_s) / layers.first_w])
    pools = Pools.of(jobs, np.ones(len(jobs)), edges_s)
    steps = max(1, round(solve_s / float(lengths_s[0])))
    prices = prices_by_window(pools, supply, lengths_s, steps, partial(_solve, layers), most_rows=0)
    at_no_price = float(np.minimum(pools.work, pools.room_in_all(lengths_s)).sum())
    return min(_priced(layers, pools, supply, lengths_s, prices), at_no_price)


def _solve(layers: Layers, rows: Pools, supply: Floats, lengths_s: Floats) -> tuple[Floats, Floats]:
    """What each row does at the optimum, and the prices of capacity and watts of each step. Raises `NotSolved`."""
    room = rows.room(lengths_s) / SCALE
    row, step = np.nonzero(room > 0)
    kinds, columns = len(layers.shares), len(row) * len(layers.shares)
    owner, when = np.repeat(row, kinds), np.repeat(step, kinds)
    most = np.outer(room[row, step], layers.shares).ravel()
    limits = np.concatenate([*(supply / SCALE), rows.work / SCALE])
    steps = len(lengths_s)
    solver = quiet_solver()
    solver.passModel(
        columns,
        len(limits),
        3 * columns,
        int(highspy.MatrixFormat.kColwise),
        int(highspy.ObjSense.kMaximize),
        0.0,
        np.ones(columns),
        np.zeros(columns),
        most,
        np.full(len(limits), -highspy.kHighsInf),
        limits,
        np.arange(0, 3 * columns, 3, dtype=np.int32),
        np.stack([when, steps + when, 2 * steps + owner], axis=1).ravel().astype(np.int32),
        np.stack([np.ones(columns), np.tile(layers.rates, len(row)), np.ones(columns)], axis=1).ravel(),
        np.zeros(columns, dtype=np.int32),
    )
    done, duals = optimum(solver)
    prices = np.minimum(np.abs(duals[: 2 * steps]), 1.0).reshape(2, steps)
    return np.bincount(owner, weights=done, minlength=len(rows.work)) * SCALE, prices


def _priced(layers: Layers, pools: Pools, supply: Floats, lengths_s: Floats, prices: Floats) -> float:
    """The dual function: what is sold at these prices, and what each job gains that buys the best layers there."""
    each = (prices[0][:, None] + prices[1][:, None] * layers.rates).ravel()
    cheap_first = np.argsort(each, kind="stable")
    gain = np.maximum(1.0 - each[cheap_first], 0.0)
    total = float((supply * prices).sum())
    for begins in range(0, len(pools.work), _AT_ONCE):
        some = pools.only(slice(begins, begins + _AT_ONCE))
        room = (some.room(lengths_s)[:, :, None] * layers.shares).reshape(len(some.work), -1)
        bought = np.minimum(np.cumsum(room[:, cheap_first], axis=1), some.work[:, None])
        total += float((np.diff(bought, axis=1, prepend=0.0) @ gain).sum())
    return total
