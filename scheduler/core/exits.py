"""How late saves may begin that are all to be over by one instant, no more of them at a time than a storage takes."""

from __future__ import annotations

from heapq import heapreplace


class Exits:
    """The saves of one storage, told from the last to the first: each is put as late as those behind it leave room."""

    def __init__(self, most: int) -> None:
        self._taken_s = [
            0.0
        ] * most  #: before the end, from when on each of the places for a save is taken; a heap

    @property
    def over_s(self) -> float:
        """How long before the end one more would have to be over."""
        return self._taken_s[0]

    def take(self, save_s: float) -> float:
        """Put in one more that takes so long. How long before the end it has to be over."""
        over_s = self._taken_s[0]
        heapreplace(self._taken_s, over_s + save_s)
        return over_s
