"""CPU seconds of a process and all that descends from it, those that have ended among them.

The kernel adds what an ended process spent to its parent, if that waits for it; of one that nobody waits for it says
nothing any more. What was seen of such a one before it ended counts on here, so that the sum never falls.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from workers.processes import TICKS_PER_S, ProcessId, ProcessStat, ProcessTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """CPU ticks of a process: its own, and those of the children that it has waited for."""

    parent: int
    own: int
    waited: int

    @property
    def total(self) -> int:
        """Both."""
        return self.own + self.waited


Family = Mapping[ProcessId, Spent]


class Ledger:
    """Sums up one look at a family after the other."""

    def __init__(self) -> None:
        self._known: Family = {}
        self._lost = 0  #: ticks of those that ended, and that nobody waited for

    def take(self, alive: Family) -> int:
        """The ticks of all so far, after a look at those that live."""
        gone = {process: spent for process, spent in self._known.items() if process not in alive}
        ended: dict[ProcessId | None, int] = defaultdict(int)
        for spent in gone.values():
            ended[self._heir(spent, alive)] += spent.total
        for heir, ticks in ended.items():
            inherited = 0 if heir is None else alive[heir].waited - self._known[heir].waited
            self._lost += max(0, ticks - inherited)
        self._known = dict(alive)
        return self._lost + sum(spent.total for spent in alive.values())

    def _heir(self, spent: Spent, alive: Family) -> ProcessId | None:
        """The nearest ancestor that still lives: what is waited for on the way ends up there."""
        by_pid = {process.pid: process for process in self._known}
        while (parent := by_pid.get(spent.parent)) is not None:
            if parent in alive:
                return parent
            spent = self._known[parent]
        return None


class CpuMeter:
    """Reads the family of one process, members that were left behind by their parents too."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._ledger = Ledger()
        self._members: set[ProcessId] = set()

    def read_s(self) -> float:
        """CPU seconds so far."""
        table = ProcessTable()
        table.refresh(is_full=True)
        left = [stat for member in self._members if (stat := table.get(member.pid)) and stat.id == member]
        roots = [stat.id.pid for stat in left] + [self._root]
        family = {s.id: s for pid in roots for s in (table.get(pid), *table.below(pid)) if s is not None}
        alive = {process: spent for process, stat in family.items() if (spent := _spent(stat)) is not None}
        self._members = set(alive)
        return self._ledger.take(alive) / TICKS_PER_S


def _spent(stat: ProcessStat) -> Spent | None:
    """None for one that has ended meanwhile."""
    try:
        with open(f"/proc/{stat.id.pid}/stat", "rb") as file:  # noqa: PTH123 - as in workers.processes
            line = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    own, own_system, waited, waited_system = map(int, line[line.rindex(b")") + 2 :].split()[11:15])
    return Spent(parent=stat.parent, own=own + own_system, waited=waited + waited_system)
