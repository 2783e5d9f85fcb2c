"""Dictionaries that note what changed, so that a decision costs what changed and not what there is.

A `Tracked` is changed by its one owner and logs the keys. A `Shot` is a copy of it that is not changed any more and
knows up to where the log had got. What differs between two shots is read off the log where they share one, and found
by comparing every entry where they do not: the log is a shortcut, never the truth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

V = TypeVar("V")

_LONG = 200_000  #: entries of a log before a new one is begun


class Tracked(dict[str, V]):
    """A dictionary with a log of the keys that were set or taken out."""

    __slots__ = ("_shot", "log")

    def __init__(self, entries: Mapping[str, V] | Iterable[tuple[str, V]] = ()) -> None:
        super().__init__(entries)
        self.log: list[str] = []
        self._shot: Shot[V] | None = None

    def __setitem__(self, key: str, value: V) -> None:
        self.log.append(key)
        super().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        self.log.append(key)
        super().__delitem__(key)

    def pop(self, key: str, *default: Any) -> Any:  # noqa: ANN401 - as dict.pop
        """Take an entry out."""
        self.log.append(key)
        return super().pop(key, *default)

    def update(self, other: Mapping[str, V]) -> None:  # type: ignore[override] # only this form is tracked
        """Set the entries of another mapping."""
        self.log.extend(other)
        super().update(other)

    def __ior__(self, other: Mapping[str, V]) -> Tracked[V]:  # type: ignore[override,misc]
        self.update(other)
        return self

    def shot(self) -> Shot[V]:
        """The entries as they are now; the same object as long as nothing changes."""
        if self._shot is None or self._shot.end != len(self.log) or self._shot.log is not self.log:
            if len(self.log) > _LONG:
                self.log = []
            self._shot = Shot(self, self.log)
        return self._shot


class Shot(dict[str, V]):
    """A copy that nobody changes."""

    __slots__ = ("end", "log")

    def __init__(self, entries: Mapping[str, V], log: list[str]) -> None:
        super().__init__(entries)
        self.log = log
        self.end = len(log)


def changed(old: Mapping[str, V], new: Mapping[str, V]) -> set[str]:
    """The keys whose values are not the same objects: some may be, none that is not is left out."""
    if old is new:
        return set()
    if isinstance(old, Shot) and isinstance(new, Shot) and old.log is new.log and old.end <= new.end:
        return set(new.log[old.end : new.end])
    found = {k for k, v in new.items() if old.get(k) is not v}
    found.update(k for k in old if k not in new)
    return found
