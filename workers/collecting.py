"""Whether the outputs of an attempt are copied once its job has ended, and how long that may take."""

from __future__ import annotations

from barq.contract import REQUEUE_CODES
from scheduler.core.jobs import Phase
from scheduler.core.orders import AttemptOrder
from workers.attempt_files import Instruction

PATIENCE_S = 600.0  #: while nobody needs the node


class Collecting:
    """The outputs of one attempt."""

    def __init__(self, order: AttemptOrder) -> None:
        self._order = order
        self._until_s = float("inf")
        self.error: str | None = None  #: why not all are where they should be

    @property
    def note(self) -> str | None:
        """The same for people, with where they are."""
        return (
            None if self.error is None else f"outputs stay in {self._order.launch.output_dir}: {self.error}"
        )

    def is_wanted(self, *, exit_code: int | None, asked_to_exit: bool, killed: bool) -> bool:
        """Whether there are any to copy: of a job that succeeded or is paused; of a gang, the first node's."""
        has_any = bool(self._order.launch.outputs) and self._order.rank.node_rank == 0
        is_good = exit_code == 0 or exit_code in REQUEUE_CODES or asked_to_exit
        return has_any and is_good and not killed

    def begin(self, now_boottime_s: float) -> None:
        """It begins now."""
        self._until_s = now_boottime_s + PATIENCE_S

    def is_late(self, wanted: Instruction, now_boottime_s: float) -> bool:
        """Whether it has to end: no GPU computes any more, so only the guard's deadline or our patience cuts it."""
        if wanted.phase is Phase.SAVE_EXIT:
            grace_s = self._order.launch.grace_s
            self._until_s = min(self._until_s, wanted.deadline_boottime_s or now_boottime_s + grace_s)
        return wanted.phase is Phase.KILL or now_boottime_s >= self._until_s
