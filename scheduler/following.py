"""Which leader the groups of a site follow, kept up by what changed: no round looks at all of them for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from scheduler.core.snapshot import Group
from scheduler.core.tracked import changed


class Following:
    """The epochs that groups acknowledged, and the groups of which nothing is known yet."""

    def __init__(self) -> None:
        self.unknown: set[str] = set()
        self._seen: Mapping[str, Group] = {}
        self._epochs: Counter[int] = Counter()

    def follow(self, groups: Mapping[str, Group]) -> None:
        """Take in the groups as they are now; nobody may change the mapping afterwards."""
        for gid in changed(self._seen, groups):
            self._leave(self._seen.get(gid))
            self.unknown.discard(gid)
            if (group := groups.get(gid)) is not None:
                self._epochs[group.account.acked.epoch] += 1
                if not group.account.known:
                    self.unknown.add(gid)
        self._seen = groups

    def _leave(self, group: Group | None) -> None:
        if group is not None:
            epoch = group.account.acked.epoch
            self._epochs[epoch] -= 1
            if not self._epochs[epoch]:
                del self._epochs[epoch]

    def all_follow(self, epoch: int) -> bool:
        """Whether there is no group that acknowledged another epoch last."""
        return self._epochs.keys() <= {epoch}

    @property
    def newest(self) -> int:
        """The highest epoch that any of them follows, 0 without any."""
        return max(self._epochs, default=0)
