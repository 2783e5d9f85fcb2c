"""Instants at which something is to be looked at again, by id: asked for the first of them, nobody goes through all."""

from __future__ import annotations

from datetime import datetime
from heapq import heapify, heappop, heappush

_SLACK = 64  #: entries that are kept in vain before the heap is made anew


class Alarms:
    """At most one instant for each id."""

    __slots__ = ("_at", "_heap")

    def __init__(self) -> None:
        self._at: dict[str, datetime] = {}
        self._heap: list[
            tuple[datetime, str]
        ] = []  #: what was set; what is not in `_at` any more counts for nothing

    def set(self, key: str, at: datetime) -> None:
        """Have `key` looked at again from `at` on, in place of what was set for it before."""
        if self._at.get(key) == at:
            return
        self._at[key] = at
        heappush(self._heap, (at, key))
        if len(self._heap) > 2 * len(self._at) + _SLACK:
            self._heap = [(t, k) for k, t in self._at.items()]
            heapify(self._heap)

    def drop(self, key: str) -> None:
        """Forget what was set for `key`, if anything was."""
        self._at.pop(key, None)

    def due(self, at: datetime) -> list[str]:
        """Those whose instant has come, soonest first. Each is told once."""
        found = []
        while (first_at := self.next_at()) is not None and first_at <= at:
            _, key = heappop(self._heap)
            del self._at[key]
            found.append(key)
        return found

    def next_at(self) -> datetime | None:
        """The first instant that is set, None if none is."""
        heap, known = self._heap, self._at
        while heap and known.get(heap[0][1]) != heap[0][0]:
            heappop(heap)
        return heap[0][0] if heap else None
