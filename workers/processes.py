"""Processes as the kernel shows them: who is alive, who descends from whom, who uses the CPU.

A process is named by its PID *and* its start time, so that another one that got the same PID is never mistaken for it.
"""

from __future__ import annotations

import os
import signal
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
#: A parent may change when it dies, so that what was read once is read again this often, s.
FULL_SCAN_S = 5.0
_GONE = (FileNotFoundError, ProcessLookupError)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessId:
    """One process for good: `start` is its start time in clock ticks since boot."""

    pid: int
    start: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStat:
    """One line of /proc/<pid>/stat. `cpu_ticks` counts the children that it has waited for."""

    id: ProcessId
    state: str
    parent: int
    session: int
    cpu_ticks: int

    @property
    def is_dead(self) -> bool:
        """A zombie: it holds nothing but its PID."""
        return self.state in "ZX"

    @property
    def is_stopped(self) -> bool:
        """Frozen by a signal: it computes nothing until it is told to go on."""
        return self.state in "Tt"


def read_stat(pid: int) -> ProcessStat | None:
    """What the kernel says of `pid`, None if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - read some thousand times a minute
            line = file.read()
    except _GONE:
        return None
    fields = line[line.rindex(b")") + 2 :].split()  # the name may hold anything, so count from behind it
    return ProcessStat(
        id=ProcessId(pid=pid, start=int(fields[19])),
        state=fields[0].decode("ascii"),
        parent=int(fields[1]),
        session=int(fields[3]),
        cpu_ticks=sum(map(int, fields[11:15])),
    )


def is_alive(process: ProcessId) -> bool:
    """Whether exactly this process still runs."""
    stat = read_stat(process.pid)
    return stat is not None and stat.id == process and not stat.is_dead


def identify(pid: int) -> ProcessId | None:
    """The full name of a running process, None if it is gone."""
    stat = read_stat(pid)
    return None if stat is None or stat.is_dead else stat.id


def send(process: ProcessId, signum: int) -> bool:
    """Signal exactly this process; False if it is gone. Raises PermissionError for somebody else's."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        if not is_alive(process):
            return False
        signal.pidfd_send_signal(descriptor, signum)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def carrying(entry: str) -> set[ProcessId]:
    """The processes that were started with exactly this `NAME=value` in their environment, as far as we may see."""
    wanted = os.fsencode(entry)
    found = set()
    for pid in (name for name in os.listdir("/proc") if name.isdigit()):  # noqa: PTH208 - names are enough
        process = identify(int(pid))
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123 - as above
                entries = file.read().split(b"\0")
        except (*_GONE, PermissionError):
            continue
        if process is not None and wanted in entries:
            found.add(process)
    return found


class ProcessTable:
    """All processes of this host, kept up to date cheaply: old ones are read again only where it matters."""

    def __init__(self) -> None:
        self._stats: dict[int, ProcessStat] = {}
        self._children: dict[int, list[ProcessStat]] = {}
        self._read_at_s = float("-inf")
        self.sampled_at_s = float("-inf")  #: on the monotonic clock

    def refresh(self, watched: Iterable[int] = (), *, is_full: bool = False) -> None:
        """Learn of new processes and dead ones, and read the `watched` PIDs again; all of them if `is_full`."""
        now_s = time.monotonic()
        is_full = is_full or now_s - self._read_at_s >= FULL_SCAN_S
        if is_full:
            self._read_at_s = now_s
        pids = {int(name) for name in os.listdir("/proc") if name.isdigit()}  # noqa: PTH208 - names are enough
        stale = pids if is_full else (pids - self._stats.keys()) | (pids & set(watched))
        kept = {pid: stat for pid, stat in self._stats.items() if pid in pids and pid not in stale}
        read = {pid: stat for pid in stale if (stat := read_stat(pid)) is not None}
        self._stats = kept | read
        self._children = _by_parent(self._stats.values())
        self.sampled_at_s = now_s

    def get(self, pid: int) -> ProcessStat | None:
        """The process as last read."""
        return self._stats.get(pid)

    def below(self, pid: int) -> list[ProcessStat]:
        """All descendants of `pid`, nearest first."""
        found: list[ProcessStat] = []
        waiting = [pid]
        while waiting:
            children = self._children.get(waiting.pop(0), [])
            found += children
            waiting += [child.id.pid for child in children]
        return found

    def in_session(self, session: int) -> list[ProcessStat]:
        """All members of a session. Its number is not given to another process while it has any."""
        return [stat for stat in self._stats.values() if stat.session == session]


class FamilyTable(ProcessTable):
    """A table of one process and those below it, read without a look at all others.

    While somebody ends, the kernel may leave out others of that moment: what must be certain is read in full.
    """

    def __init__(self, root: int) -> None:
        super().__init__()
        self._root = root

    def refresh(self, watched: Iterable[int] = (), *, is_full: bool = False) -> None:
        """Read the family anew; by a look at all processes if `is_full`, or where the kernel knows no shorter way."""
        pids = None if is_full else family(self._root)
        if pids is None:
            super().refresh(watched, is_full=True)
            return
        self._stats = {pid: stat for pid in pids if (stat := read_stat(pid)) is not None}
        self._children = _by_parent(self._stats.values())
        self.sampled_at_s = time.monotonic()


def family(root: int) -> set[int] | None:
    """The PIDs of `root` and of all below it; None if this kernel does not list children."""
    found: set[int] = set()
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        found.add(pid)
        try:
            waiting += _children(pid)
        except _GONE:
            if pid == root:
                return None
    return found


def _children(pid: int) -> list[int]:
    """Its children, of each of its threads. Raises FileNotFoundError, ProcessLookupError."""
    children: list[int] = []
    for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - names are enough
        with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:  # noqa: PTH123 - as above
            children += map(int, file.read().split())
    return children


def _by_parent(stats: Iterable[ProcessStat]) -> dict[int, list[ProcessStat]]:
    children: dict[int, list[ProcessStat]] = defaultdict(list)
    for stat in stats:
        children[stat.parent].append(stat)
    return children


class ProcessTree:
    """The processes of one job: all that descend from its supervisor, in sessions of their own.

    Whoever was once a member stays one until it ends, also when its parents are gone.
    """

    def __init__(self, root: ProcessId, table: ProcessTable) -> None:
        self.root = root
        self._table = table
        self._members: dict[ProcessId, ProcessStat] = {}
        self._is_first = True
        self.spent_s = 0.0  #: CPU seconds of all members since the first look
        self.sampled_at_s = float("-inf")

    @property
    def members(self) -> list[ProcessStat]:
        """The living members as last seen."""
        return list(self._members.values())

    @property
    def is_stopped(self) -> bool:
        """Whether every member is frozen."""
        return all(stat.is_stopped for stat in self._members.values())

    def to_read_again(self) -> list[int]:
        """The PIDs whose next state matters. Also of what the root has just forked: it will leave its session."""
        below = self._table.below(self.root.pid) if self.root.pid else []
        return [self.root.pid, *(stat.id.pid for stat in (*below, *self._members.values()))]

    @property
    def is_gone(self) -> bool:
        """Whether neither the root nor any member is left."""
        return not self._members and not is_alive(self.root)

    def refresh(self, *, is_full: bool = False) -> None:
        """Look by itself: for a table that no other tree uses."""
        self._table.refresh(self.to_read_again(), is_full=is_full)
        self.update()

    def update(self) -> None:
        """Take over what the table knows now."""
        found = {stat.id: stat for stat in self._still_there() + self._descendants() if not stat.is_dead}
        if not self._is_first:
            self.spent_s += sum(self._spent_ticks(stat) for stat in found.values()) / TICKS_PER_S
        self._is_first = False
        self._members = found
        self.sampled_at_s = self._table.sampled_at_s

    def _still_there(self) -> list[ProcessStat]:
        now = [self._table.get(known.pid) for known in self._members]
        return [stat for stat in now if stat is not None and stat.id in self._members]

    def _descendants(self) -> list[ProcessStat]:
        """Below the root and below each member; what the supervisor forked for itself shares its session."""
        roots = [process.pid for process in self._members]
        stat = self._table.get(self.root.pid)
        if stat is not None and stat.id == self.root:
            roots.append(self.root.pid)
        return [s for pid in roots for s in self._table.below(pid) if s.session != self.root.pid]

    def _spent_ticks(self, stat: ProcessStat) -> int:
        known = self._members.get(stat.id)
        return max(0, stat.cpu_ticks - known.cpu_ticks) if known else stat.cpu_ticks


class Family(ProcessTree):
    """One process and all below it, whatever their sessions."""

    def _descendants(self) -> list[ProcessStat]:
        first = self._table.get(self.root.pid)
        known = (
            [first, *self._table.below(self.root.pid)] if first is not None and first.id == self.root else []
        )
        return known + [stat for process in self._members for stat in self._table.below(process.pid)]
