"""How long a supervisor may rest: signals wake it for most things, and the time of the others it keeps itself."""

from __future__ import annotations

from barq.contract import JobStatus
from workers.instructions import LOOK_EVERY_S
from workers.ladder import Ladder
from workers.stages import Stage

TICK_S = 0.2  #: the patience of a ladder and its deadlines are kept to this
TICK_HELD_S = 0.5  #: while a job that rings when it speaks holds, and must not compute
TICK_SOON_S = 0.04  #: while an answer of a job that does not ring is due, at first
TICK_CLEARING_S = 0.01
TICK_INSPECTING_S = 0.1  #: whether the host still is too busy for a look at what was committed


def rest_s(
    stage: Stage,
    ladder: Ladder,
    status: JobStatus | None,
    *,
    silent_s: float | None,
    owes: bool,
    now_boottime_s: float,
) -> float:
    """Seconds until the next look, at the latest.

    `silent_s` is how long a job that speaks cannot say anything unheard, None where it can at any time; `owes` is
    whether something is still to be told to the guard.
    """
    if stage is Stage.CLEARING:
        return TICK_CLEARING_S
    if stage is Stage.INSPECTING:
        return TICK_INSPECTING_S
    is_due = ladder.is_held and not ladder.holds(status)
    if silent_s is not None and status is not None:
        is_timed = is_due or ladder.is_leaving or owes or stage is not Stage.RUNNING
        longest_s = TICK_S if is_timed else TICK_HELD_S if ladder.is_held else LOOK_EVERY_S
        return min(silent_s, longest_s)
    if not (is_due or ladder.is_leaving):
        return TICK_S
    waited_s = now_boottime_s - ladder.asked_at_s  # a host that is busy is not asked ever more often
    return min(TICK_S, max(TICK_SOON_S, waited_s / 2))
