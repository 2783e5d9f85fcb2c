"""The emergency stops that hold now."""

from __future__ import annotations

from collections.abc import Iterable

from scheduler.core.estop import EmergencyStop
from scheduler.core.snapshot import Group


class Stops:
    """Those that stand, by who made them: people over the API, and guards told while the scheduler was dead.

    A stop goes only when it was released, not when the store does not name it: one that a guard told of may not be
    stored yet.
    """

    def __init__(self) -> None:
        self._by_id: dict[str, EmergencyStop] = {}
        self._released: frozenset[str] = frozenset()

    @property
    def ids(self) -> frozenset[str]:
        """Of those that stand."""
        return frozenset(self._by_id)

    def standing(self) -> tuple[EmergencyStop, ...]:
        """The oldest first."""
        return tuple(sorted(self._by_id.values(), key=lambda s: (s.at, s.id)))

    def take(self, standing: Iterable[EmergencyStop], released: frozenset[str] = frozenset()) -> None:
        """Count these from now on, and those that were released no more, ever."""
        self._released |= released
        known = self._by_id | {s.id: s for s in standing}
        self._by_id = {i: s for i, s in known.items() if i not in self._released}

    def released_but_held(self, groups: Iterable[Group]) -> tuple[str, ...]:
        """Stops that were released and that some guard still holds."""
        if not self._released:
            return ()
        held = {g.stop.id for g in groups if g.stop is not None}
        return tuple(sorted(held & self._released))
