"""How late saves may begin that are all to be over by one instant, no more of them at a time than a storage takes."""

from __future__ import annotations

from heapq import heappush, heapreplace


class Exits:
    """The saves of one storage, told from the last to the first: each is put as late as those behind it leave room."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken_s: list[float] = []  #: before the end, from when on each place in use is taken; a heap

    @property
    def over_s(self) -> float:
        """How long before the end one more would have to be over."""
        return 0.0 if len(self._taken_s) < self._most else self._taken_s[0]

    def take(self, save_s: float) -> float:
        """Put in one more that takes so long. How long before the end it has to be over."""
        over_s = self.over_s
        if len(self._taken_s) < self._most:
            heappush(self._taken_s, save_s)
        else:
            heapreplace(self._taken_s, over_s + save_s)
        return over_s
