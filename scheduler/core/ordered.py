"""A set that is sorted once for all who ask, until it changes."""

from __future__ import annotations

from collections.abc import Sequence


class Ordered(set[str]):
    """Changed by `add` and `discard` alone."""

    def __init__(self) -> None:
        super().__init__()
        self._order: list[str] | None = None

    def add(self, name: str) -> None:
        """Take one in."""
        if name not in self:
            self._order = None
            super().add(name)

    def discard(self, name: object) -> None:
        """Take one out, if it is in."""
        if name in self:
            self._order = None
            super().discard(name)

    def in_order(self) -> Sequence[str]:
        """All that are in, sorted; the same object until one comes or goes."""
        if self._order is None:
            self._order = sorted(self)
        return self._order
