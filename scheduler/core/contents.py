"""What is desired of each group, as last put together, and for which of them that has to be done anew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set as AbstractSet

from scheduler.core.jobs import Attempt
from scheduler.core.orders import AttemptOrder, Draft

Attempts = Mapping[str, Attempt]
"""Attempts with a member on a group, by id and in that order."""


class Contents:
    """Undated drafts by group, each with the attempts that it was put together of."""

    def __init__(self, on: Mapping[str, Attempts]) -> None:
        self._on = on  #: who is where by now
        self.news: set[str] = set()  #: groups of which something else is desired than was ordered
        self.unjudged: set[str] = set()  #: groups of which that is to be seen
        self._known: dict[str, tuple[Draft, Attempts]] = {}
        self._shuffled: set[str] = set()
        self._moved: set[str] = set()  #: groups of which nothing but the attempts is other than it was
        self._open: set[str] = set()
        self._stopped: tuple[object, ...] = ()

    def shuffle(self, groups: Iterable[str]) -> None:
        """Note that the attempts on groups may be others, or ordered otherwise, than those that were known."""
        self._shuffled.update(groups)

    def reopen(self, groups: Iterable[str]) -> None:
        """Note that what is desired of groups has to be put together anew, though attempts be the same."""
        self._open.update(groups)

    def reopen_all(self) -> None:
        """As for one, for all that are known."""
        self._open |= self._known.keys()

    def drop(self, group_id: str) -> None:
        """Forget a group that went, or is another than it was."""
        self._known.pop(group_id, None)
        self.news.discard(group_id)
        self._open.add(group_id)

    def to_compose(self, groups: AbstractSet[str], *stop: object) -> dict[str, Attempts]:
        """The groups whose orders have to be put together anew, and of whom; all once a stop comes or goes."""
        if stop != self._stopped:
            self._stopped = stop
            self._open |= groups
        members = {gid: self.members(gid) for gid in self._shuffled | self._moved | self._open}
        self._moved.update(gid for gid in self._shuffled if not self._is_of(gid, members[gid]))
        self._shuffled.clear()
        return {gid: here for gid, here in members.items() if gid in self._moved or gid in self._open}

    def _is_of(self, group_id: str, members: Attempts) -> bool:
        known = self._known.get(group_id)
        return known is not None and known[1] == members

    def ordered(self, group_id: str, members: Attempts) -> Iterable[tuple[Attempt, AttemptOrder] | None]:
        """Of each of the attempts on a group, how it was known and what was ordered of it, if that still holds."""
        known = None if group_id in self._open else self._known.get(group_id)
        if known is None:
            return [None] * len(members)
        content, before = known
        ordered = zip(before.values(), content.attempts, strict=True)
        if list(before) == list(members):
            return ordered
        found = dict(zip(before, ordered, strict=True))
        return [found.get(attempt_id) for attempt_id in members]

    def members(self, group_id: str) -> Attempts:
        """Attempts with a member on a group, as they are now."""
        return dict(self._on.get(group_id, {}))

    def compose(self, group_id: str, content: Draft, members: Attempts) -> None:
        """Keep what is desired of a group, and of whom on it."""
        self._known[group_id] = (content, members)
        self._open.discard(group_id)
        self._moved.discard(group_id)
        self.unjudged.add(group_id)

    def judge(self, group_id: str, *, is_news: bool) -> None:
        """Keep whether what is desired of a group is something else than was ordered."""
        self.unjudged.discard(group_id)
        (self.news.add if is_news else self.news.discard)(group_id)

    def of(self, group_id: str) -> Draft | None:
        """What is desired of a group, if that is still so."""
        known = self._known.get(group_id)
        if known is None or group_id in self._shuffled or group_id in self._moved or group_id in self._open:
            return None
        return known[0]
