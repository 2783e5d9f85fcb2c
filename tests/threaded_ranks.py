"""Several ranks of one job as threads of this process: agreement without torch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from barq.ranks import Ranks

T = TypeVar("T")
PATIENCE_S = 60.0


class ThreadRank:
    """One of `world` ranks that share a table and a barrier."""

    def __init__(self, rank: int, table: list[list[int]], barrier: threading.Barrier) -> None:
        self.rank = rank
        self.world = len(table)
        self._table = table
        self._barrier = barrier

    def largest(self, values: Sequence[int]) -> list[int]:
        """The element-wise largest of what all ranks brought."""
        self._table[self.rank] = list(values)
        self._barrier.wait()
        result = [max(column) for column in zip(*self._table, strict=True)]
        self._barrier.wait()
        return result


def on_all_ranks(world: int, work: Callable[[Ranks], T]) -> list[Future[T]]:
    """Run `work` on each rank at once and return what became of each, once all have ended."""
    table: list[list[int]] = [[] for _ in range(world)]
    barrier = threading.Barrier(world, timeout=PATIENCE_S)
    with ThreadPoolExecutor(world) as pool:
        return [pool.submit(work, ThreadRank(rank, table, barrier)) for rank in range(world)]
