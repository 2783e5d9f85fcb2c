"""Prices of the site's capacity, step by step, as the linear program of the bound sets them (HiGHS)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import highspy
import numpy as np

from scheduler.errors import BarqError
from scheduler.sim.capacity import Floats
from scheduler.sim.pools import Pools

SCALE: Final = 3600.0
"""The solver sees GPU-hours: numbers near 1 suit its tolerances."""
MOST_ROWS: Final = 6000
"""With more rows than this, jobs that are nearly alike are lumped together before prices are sought."""


Solve = Callable[[Pools, Floats, Floats], tuple[Floats, Floats]]
"""Finds what each row does in all at the optimum, and the prices, given capacity and the lengths of the steps."""


class NotSolved(BarqError):
    """The solver gave up. The bound's program always has an optimum, so this is a fault of ours or of the solver."""


def prices_by_window(
    pools: Pools,
    capacity: Floats,
    lengths_s: Floats,
    steps: int,
    solve: Solve | None = None,
    most_rows: int | None = None,
) -> Floats:
    """A price for each step, found for `steps` of them at a time; what a window leaves undone goes to the next.

    Where there is more than one thing to be had, each with a row in `capacity`, each has a row of prices.
    """
    prices = np.zeros_like(capacity)
    solve, most_rows = solve or solved, MOST_ROWS if most_rows is None else most_rows
    carried = pools.only(slice(0, 0))
    for begins in range(0, len(lengths_s), steps):
        here = slice(begins, begins + steps)
        arrived = pools.only((pools.first >= begins) & (pools.first < begins + steps)).seen_from(begins)
        rows = carried.and_also(arrived).merged(lengths_s[here])
        if len(rows.work) > most_rows:
            rows = rows.coarse()
        if len(rows.work) == 0:
            continue
        done, prices[..., here] = solve(rows, capacity[..., here], lengths_s[here])
        carried = (
            rows.after(done, float(lengths_s[begins + steps])) if begins + steps < len(lengths_s) else rows
        )
    return prices


def solved(rows: Pools, capacity: Floats, lengths_s: Floats) -> tuple[Floats, Floats]:
    """What each row does in all at the optimum, GPU-seconds, and the price of each step. Raises `NotSolved`."""
    room = rows.room(lengths_s) / SCALE
    row, step = np.nonzero(room > 0)
    solver = quiet_solver()
    _pass_model(solver, rows, capacity / SCALE, (row, step, room[row, step]))
    values, duals = optimum(solver)
    done = np.bincount(row, weights=values, minlength=len(rows.work)).astype(np.float64)
    prices = np.abs(duals[: len(capacity)])
    return done * SCALE, np.minimum(prices, rows.weight.max())


def optimum(solver: highspy.Highs) -> tuple[Floats, Floats]:
    """What each column is at the optimum, and the price of each row. Raises `NotSolved`."""
    solver.run()
    status = solver.getModelStatus()
    if status != highspy.HighsModelStatus.kOptimal:
        raise NotSolved(f"the bound's program was not solved: {solver.modelStatusToString(status)}")
    solution = solver.getSolution()
    return np.array(solution.col_value), np.array(solution.row_dual)


def quiet_solver() -> highspy.Highs:
    """A solver that says nothing and uses one core."""
    solver = highspy.Highs()  # type: ignore[no-untyped-call] # carries types, but not on this
    solver.setOptionValue("output_flag", False)  # noqa: FBT003 - its interface
    solver.setOptionValue("solver", "ipm")  # on these programs several times as fast as the simplex method
    solver.setOptionValue("threads", 1)
    return solver


def _pass_model(
    solver: highspy.Highs, rows: Pools, capacity: Floats, entries: tuple[np.ndarray, np.ndarray, Floats]
) -> None:
    """One column for each (row of `rows`, step) with room; constraints: the steps first, then the work of each row."""
    row, step, most = entries
    columns, steps, limits = len(row), len(capacity), np.concatenate([capacity, rows.work / SCALE])
    solver.passModel(
        columns,
        len(limits),
        2 * columns,
        int(highspy.MatrixFormat.kColwise),
        int(highspy.ObjSense.kMaximize),
        0.0,
        rows.weight[row],
        np.zeros(columns),
        most.astype(np.float64),
        np.full(len(limits), -highspy.kHighsInf),
        limits,
        np.arange(0, 2 * columns, 2, dtype=np.int32),
        np.stack([step, steps + row], axis=1).ravel().astype(np.int32),
        np.ones(2 * columns),
        np.zeros(columns, dtype=np.int32),
    )
