"""Empty jobs, as the peers of Barq run them: each writes its PID where the benchmark finds it, and sleeps."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from benchmarks.job_watch import PATIENCE_S, TooSlow, boottime_s, wait_for
from workers.processes import ProcessStat, read_stat

#: They do not note the instant at which a signal reached them, so the benchmark has to look closely.
LOOK_CLOSELY_EVERY_S = 0.005


class Sleepers:
    """The jobs of one run, known by the files that their processes write."""

    def __init__(self, directory: Path) -> None:
        """`directory` is made."""
        directory.mkdir()
        self._directory = directory

    def command(self, name: str) -> str:
        """For a shell; `name` may be a variable of that shell."""
        return f"echo $$ > {shlex.quote(str(self._directory))}/{name}; exec sleep 100000"

    def wait_for_all(self, names: Collection[str]) -> float:
        """The instant at which the last of these jobs began. Raises `TooSlow`."""

        def began() -> float | None:
            words = {entry.name: entry.stat() for entry in os.scandir(self._directory)}
            if not all(name in words and words[name].st_size for name in names):
                return None
            return max(words[name].st_mtime for name in names) - time.time() + boottime_s()

        return wait_for(began, f"{len(names)} jobs running")

    def pids(self, names: Sequence[str]) -> list[int]:
        """In the same order. All must have begun."""
        return [int((self._directory / name).read_text()) for name in names]


def wait_until(pids: Sequence[int], is_there: Callable[[ProcessStat], bool], what: str) -> float:
    """The instant at which `is_there` was seen of the last of these processes. Raises `TooSlow`.

    One process that is not there yet is looked at, and the next only when it is: a look costs next to nothing.
    """
    missing = list(pids)
    deadline_s = boottime_s() + PATIENCE_S
    while missing:
        if is_there(stat_of(missing[-1])):
            missing.pop()
        elif boottime_s() > deadline_s:
            raise TooSlow(f"{len(missing)} processes were not {what} within {PATIENCE_S:g} s")
        else:
            time.sleep(LOOK_CLOSELY_EVERY_S)
    return boottime_s()


def stat_of(pid: int) -> ProcessStat:
    """Of a job that must be alive. Raises `TooSlow`."""
    stat = read_stat(pid)
    if stat is None or stat.is_dead:
        raise TooSlow(f"process {pid} ended by itself")
    return stat


def is_stopped(stat: ProcessStat) -> bool:
    """Whether it computes nothing until it is told to go on."""
    return stat.is_stopped
