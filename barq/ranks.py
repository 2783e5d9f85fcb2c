"""Agreement between the ranks of one job, so that all of them pause or save at the same step.

One operation is enough: the element-wise largest of what each rank brings. It runs on the CPU over gloo, in a
group of its own, and is only ever entered at a step boundary, never while a job is held.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final, Protocol, TypeVar

_Result = TypeVar("_Result")
PATIENCE: Final = timedelta(hours=1)
"""How long a rank waits for the others: one may be hashing a large commit. Death is noticed at once."""


class PeerFailed(Exception):
    """Another rank could not do its part; its own log says why."""


class PeerGone(PeerFailed):
    """Another rank has ended, or is not heard of any more: there is nobody to go on with."""


class Ranks(Protocol):
    """All ranks of a job, this one included."""

    rank: int
    world: int

    def largest(self, values: Sequence[int]) -> list[int]:
        """Return, for each place, the largest value that any rank brought; every rank must call this.

        Raises PeerGone if one has.
        """


class Alone:
    """A job of one rank: whatever it brings is agreed."""

    rank = 0
    world = 1

    def largest(self, values: Sequence[int]) -> list[int]:
        """Return `values`."""
        return list(values)


class GlooRanks:
    """Several ranks, found through what torchrun sets; joins the default group first if nobody has."""

    def __init__(self, rank: int, world: int) -> None:
        from torch import distributed

        if not distributed.is_initialized():
            distributed.init_process_group("gloo")
        atexit.register(_end_process_groups)
        self.rank = rank
        self.world = world
        self._group = distributed.new_group(backend="gloo", timeout=PATIENCE)

    def largest(self, values: Sequence[int]) -> list[int]:
        """Return, for each place, the largest value that any rank brought. Raises PeerGone if one has."""
        import torch
        from torch import distributed

        agreed = torch.tensor(list(values), dtype=torch.int64)
        try:
            distributed.all_reduce(agreed, op=distributed.ReduceOp.MAX, group=self._group)
        except RuntimeError as error:
            message = (
                f"rank {self.rank}: another rank has gone, or was not heard of for {PATIENCE}; see its log"
            )
            raise PeerGone(message) from error
        return [int(value) for value in agreed]


def _end_process_groups() -> None:
    """Stop the threads of every process group, whoever set it up, while the interpreter still stands.

    Those that outlive it now and then abort a rank that was leaving in order (SIGABRT instead of its exit code).
    """
    from torch import distributed

    if distributed.is_initialized():
        distributed.destroy_process_group()


def join(rank: int, world: int) -> Ranks:
    """Return the ranks of this job; with more than one, wait until all are there."""
    return Alone() if world == 1 else GlooRanks(rank, world)


def all_or_none(ranks: Ranks, work: Callable[[], _Result]) -> _Result:
    """Do `work` on every rank; return its result once all have done it.

    Raises what `work` raised here, and PeerFailed on the ranks whose own work was fine.
    """
    try:
        result = work()
    except BaseException:
        ranks.largest([1])
        raise
    if ranks.largest([0]) != [0]:
        message = f"rank {ranks.rank}: another rank failed; look into the logs of the other {ranks.world - 1}"
        raise PeerFailed(message)
    return result
