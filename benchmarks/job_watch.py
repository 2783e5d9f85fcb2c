"""What the benchmark's jobs say of themselves, and when they are gone: from their own files and from the kernel."""

from __future__ import annotations

import json
import os
import selectors
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

LOOK_EVERY_S = 0.2  #: seldom, for a look takes CPU from the site; the processes themselves note the instants
PATIENCE_S = 120.0
STILL_FOR_S = 1.2  #: two steps of a job and more


class TooSlow(Exception):
    """What was waited for did not come; the message says how far it got."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """The newest status of one job process. `since_s` is when it entered its state, on CLOCK_BOOTTIME."""

    pid: int
    state: str
    step: int
    since_s: float


def boottime_s() -> float:
    """Now, on the clock of the jobs."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class JobWatch:
    """Knows the jobs of one site by the files that their processes write."""

    def __init__(self, state: Path) -> None:
        self._state = state

    def words(self) -> dict[str, Word]:
        """By attempt: all that ever said anything and that the guards have not cleared away yet."""
        found = {}
        for path in self._state.glob("groups/*/attempts/*/status/status.json"):
            try:
                record = json.loads(path.read_bytes())
            except FileNotFoundError:
                continue
            keys = ("pid", "state", "step", "since_s")
            found[path.parent.parent.name] = Word(**{key: record[key] for key in keys})
        return found

    def wait_for(self, state: str, jobs: Collection[str]) -> float:
        """The instant at which the last of these jobs entered `state`. Raises `TooSlow`."""

        def entered() -> float | None:
            words = self.words()
            there = {a.rpartition(".")[0]: w for a, w in words.items() if w.state == state}
            return max(there[j].since_s for j in jobs) if there.keys() >= set(jobs) else None

        return wait_for(entered, f"{len(jobs)} jobs {state}")

    def assert_still(self, jobs: Collection[str]) -> None:
        """None of these does another step. Raises `TooSlow`."""
        before = {a: w.step for a, w in self.words().items()}
        time.sleep(STILL_FOR_S)
        moved = [a for a, w in self.words().items() if w.step != before.get(a)]
        if moved or len(before) < len(jobs):
            raise TooSlow(f"{moved or 'some'} did steps while they should hold")


class Ends:
    """Sees processes end, at the moment at which the kernel says so."""

    def __init__(self, pids: Collection[int]) -> None:
        """Watch these. Raises ProcessLookupError for one that has ended already."""
        self._selector = selectors.DefaultSelector()
        for pid in pids:
            self._selector.register(os.pidfd_open(pid), selectors.EVENT_READ)

    def wait(self) -> float:
        """The instant at which the last one was gone. Raises `TooSlow`."""
        deadline_s = boottime_s() + PATIENCE_S
        while self._selector.get_map():
            ready = self._selector.select(max(0.0, deadline_s - boottime_s()))
            if not ready:
                raise TooSlow(f"{len(self._selector.get_map())} processes did not end")
            for key, _ in ready:
                self._selector.unregister(key.fileobj)
                os.close(key.fd)
        return boottime_s()


def wait_for(condition: Callable[[], float | None], what: str) -> float:
    """What `condition` says once it says anything. Raises `TooSlow`."""
    deadline_s = time.monotonic() + PATIENCE_S
    while (value := condition()) is None:
        if time.monotonic() > deadline_s:
            raise TooSlow(f"not within {PATIENCE_S:g} s: {what}")
        time.sleep(LOOK_EVERY_S)
    return value
