"""Calls that may never return, made beside the caller: a driver that hangs holds up one thread and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

from workers.nvml.errors import GpuSilent

T = TypeVar("T")


class Aside:
    """One thread that does what it is given, one after another. It dies with the process, whatever it hangs in."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._newest: Future[Any] | None = None
        threading.Thread(target=self._work, name=name, daemon=True).start()

    @property
    def is_stuck(self) -> bool:
        """Whether it is still busy with what it was given last."""
        return self._newest is not None and not self._newest.done()

    def begin(self, task: Callable[[], T]) -> Future[T]:
        """Start a task. Raises GpuSilent while it is stuck with an earlier one: tasks must not pile up."""
        if self.is_stuck:
            raise GpuSilent(f"{self._name}: an earlier call to the driver has not returned")
        future: Future[T] = Future()
        self._newest = future
        self._tasks.put((future, task))
        return future

    def ask(self, task: Callable[[], T], *, patience_s: float) -> T:
        """What the task returns or raises. Raises GpuSilent if that takes too long."""
        return self.outcome(self.begin(task), patience_s=patience_s)

    def outcome(self, begun: Future[T], *, patience_s: float) -> T:
        """The end of a task that was begun. Raises GpuSilent if it does not come."""
        try:
            return begun.result(max(0.0, patience_s))
        except TimeoutError as error:
            if begun.done():
                raise  # its own, not ours
            raise GpuSilent(f"{self._name}: the driver did not answer within {patience_s:g} s") from error

    def close(self) -> None:
        """End the thread when what it does is over. Does not wait."""
        self._tasks.put(None)

    def _work(self) -> None:
        while (item := self._tasks.get()) is not None:
            future, task = item
            try:
                future.set_result(task())
            except BaseException as error:  # noqa: BLE001 - it is raised again where the outcome is asked for
                future.set_exception(error)
