"""Submissions that wait for each other share a transaction: a disk takes milliseconds for one, however little is in it.

Whoever comes first writes; who comes meanwhile is written together by the next. Each is answered after its commit, and
refused for what is wrong with its own jobs only.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from scheduler.store.database import writing
from scheduler.store.views import JobView, NewJob

MOST_JOBS: Final = 256  #: in a transaction of several, so that nobody waits for the crowd of another

Add = Callable[[Session, Sequence[NewJob]], Sequence[JobView]]


class _Submission:
    """What one asks for, and its answer."""

    def __init__(self, jobs: Sequence[NewJob]) -> None:
        self.jobs = jobs
        self.made: Sequence[JobView] | None = None
        self.error: Exception | None = None

    @property
    def is_open(self) -> bool:
        return self.made is None and self.error is None

    def answer(self) -> tuple[JobView, ...]:
        if self.error is not None:
            raise self.error
        return tuple(self.made or ())


class Submissions:
    """Those of one process, from any of its threads."""

    def __init__(self, engine: Engine, add: Add) -> None:
        """`add` puts all jobs of one submission into the session, or raises."""
        self._engine = engine
        self._add = add
        self._news = threading.Condition()
        self._is_writing = False
        self._waiting: deque[_Submission] = deque()

    @property
    def waiting(self) -> int:
        """How many wait for those that are being written."""
        return len(self._waiting)

    def submit(self, jobs: Sequence[NewJob]) -> tuple[JobView, ...]:
        """The jobs, all of them committed. Raises what `add` raises for these jobs, and `StoreError`."""
        mine = _Submission(jobs)
        with self._news:
            self._waiting.append(mine)
            self._news.wait_for(lambda: not (mine.is_open and self._is_writing))
            if not mine.is_open:
                return mine.answer()
            self._is_writing, group = True, self._group(mine)
        try:
            self._write(group)
        finally:
            with self._news:
                self._is_writing = False
                self._news.notify_all()
        return mine.answer()

    def _group(self, mine: _Submission) -> list[_Submission]:
        """This one, and as many of those that wait as fit."""
        if mine in self._waiting:  # it is not, if who took it along was cut off
            self._waiting.remove(mine)
        group, room = [mine], MOST_JOBS - len(mine.jobs)
        while self._waiting and (room := room - len(self._waiting[0].jobs)) >= 0:
            group.append(self._waiting.popleft())
        return group

    def _write(self, group: Sequence[_Submission]) -> None:
        """Answer all of a group. If one is refused, each is written by itself: nothing was committed then."""
        made: list[Sequence[JobView]] = []
        try:
            with writing(self._engine) as session:
                for one in group:
                    made.append(self._add(session, one.jobs))  # noqa: PERF401 - how many there were before an error
        except Exception as error:  # noqa: BLE001 - it is raised to those who asked
            is_of_one = len(made) < len(group) and len(group) > 1
            for one in group:
                if is_of_one:
                    self._write([one])
                else:
                    one.error = error
        else:
            for one, views in zip(group, made, strict=True):
                one.made = views
