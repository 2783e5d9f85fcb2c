"""Processes by identity: a PID may be used again, a PID with its start time and boot id may not.

Nothing here, and nothing that uses it, ever looks for a process by name: only what was recorded, its descendants and
the members of a session that it leads are signalled.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

POLL_S = 0.05
PRECEDENCE = 10  #: by so much niceness a preferred part of a site comes before jobs
_STDERR = 2
_GONE = frozenset("ZX")  #: a zombie runs no more


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat:
    """What `/proc/PID/stat` says of a process."""

    pid: int
    name: str
    state: str
    parent: int
    session: int
    starttime: int  #: clock ticks after boot


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Process:
    """One process, told from all others that had or will have its PID."""

    pid: int
    starttime: int
    boot_id: str

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """The process that has this PID now; None if there is none or it has ended."""
        stat = read_stat(pid)
        return None if stat is None or stat.state in _GONE else cls.from_stat(stat)

    @classmethod
    def from_stat(cls, stat: Stat) -> Self:
        """The process that `stat` describes."""
        return cls(pid=stat.pid, starttime=stat.starttime, boot_id=boot_id())

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """As written by `record`. Raises KeyError or ValueError."""
        return cls(
            pid=int(record["pid"]), starttime=int(record["starttime"]), boot_id=str(record.get("boot_id", ""))
        )

    def record(self) -> dict[str, object]:
        """What to write down to find it again."""
        return {"pid": self.pid, "starttime": self.starttime, "boot_id": self.boot_id}

    def is_alive(self) -> bool:
        """Whether this very process still runs."""
        return Process.of(self.pid) == self

    def send(self, number: signal.Signals) -> bool:
        """Signal this very process and no other that got its PID since; False if it has ended."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            if not self.is_alive():
                return False
            signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return False
        else:
            return True
        finally:
            os.close(handle)


def read_stat(pid: int) -> Stat | None:
    """None if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    return Stat(
        pid=pid,
        name=head.partition("(")[2],
        state=fields[0],
        parent=int(fields[1]),
        session=int(fields[3]),
        starttime=int(fields[19]),
    )


def all_stats() -> list[Stat]:
    """Every process that runs now."""
    found = (read_stat(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [stat for stat in found if stat is not None and stat.state not in _GONE]


def session_members(session: int) -> list[Stat]:
    """The processes of one session. Only meaningful while a process of ours is known to be in it."""
    return [stat for stat in all_stats() if stat.session == session]


def descendants(pids: Collection[int]) -> list[Process]:
    """Children of these processes, theirs, and so on; not these themselves."""
    stats = all_stats()
    family = set(pids)
    while grown := {stat.pid for stat in stats if stat.parent in family} - family:
        family |= grown
    return [Process.from_stat(stat) for stat in stats if stat.pid in family - set(pids)]


def spawn(command: Sequence[str], *, log: Path, environment: Mapping[str, str]) -> Process:
    """Start a program in a session of its own, its output appended to `log`. Raises OSError.

    It has no other file of ours open: what a caller left open, such as the lock of `flock LOCK barq up`, would else be
    held for as long as the site is up.
    """
    out = (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    actions = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), out, (os.POSIX_SPAWN_DUP2, 1, 2)]
    actions += [(os.POSIX_SPAWN_CLOSE, descriptor) for descriptor in _handed_on()]
    handled = [signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE]
    pid = os.posix_spawn(
        command[0],
        list(command),
        environment,
        file_actions=actions,
        setsid=True,
        setsigmask=[],
        setsigdef=handled,
    )
    stat = read_stat(pid)  # a zombie at worst: we have not waited for it
    if stat is None:
        raise ProcessLookupError(f"{command[0]} with PID {pid} vanished as it started")
    return Process.from_stat(stat)


def _handed_on() -> list[int]:
    """The files beyond the standard ones that a program started now would find open; none that Python opened."""
    found: list[int] = []
    for entry in Path("/proc/self/fd").iterdir():
        descriptor = int(entry.name)
        with contextlib.suppress(OSError):  # that of the listing itself, and what a thread closes meanwhile
            if descriptor > _STDERR and os.get_inheritable(descriptor):
                found.append(descriptor)
    return found


def prefer(process: Process) -> None:
    """Let a process, and what it starts, have the CPU before jobs do, if this host lets us (as root, as a rule).

    Where the kernel shares the CPU out by session, which is usual, niceness counts within a session only; so that of
    the session is set too.
    """
    with contextlib.suppress(OSError):
        Path(f"/proc/{process.pid}/autogroup").write_text(str(-PRECEDENCE), encoding="ascii")
    nice = os.getpriority(os.PRIO_PROCESS, 0) - PRECEDENCE
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, process.pid, nice)


def reap() -> dict[int, int]:
    """Wait for all children that have ended, also adopted ones. Exit code per PID, negative = by signal."""
    ended: dict[int, int] = {}
    with contextlib.suppress(ChildProcessError):
        while (pair := os.waitpid(-1, os.WNOHANG))[0]:
            ended[pair[0]] = os.waitstatus_to_exitcode(pair[1])
    return ended


def wait_gone(processes: Iterable[Process], *, timeout_s: float) -> list[Process]:
    """Wait until these have ended; those that have not in time."""
    deadline_s = time.monotonic() + timeout_s
    left = [process for process in processes if process.is_alive()]
    while left and time.monotonic() < deadline_s:
        time.sleep(POLL_S)
        left = [process for process in left if process.is_alive()]
    return left


def end(processes: Iterable[Process], *, grace_s: float) -> list[Process]:
    """SIGTERM, then SIGKILL for those that outlast the grace. Returns those that are stuck in the kernel."""
    processes = list(processes)
    for process in processes:
        process.send(signal.SIGTERM)
    left = wait_gone(processes, timeout_s=grace_s)
    for process in left:
        process.send(signal.SIGKILL)
    return wait_gone(left, timeout_s=5.0)


@cache
def boot_id() -> str:
    """Changes with each boot of this machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
