"""The last word of each guard: which boot of its machine spoke, when, and that nothing older is taken for news."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from scheduler.core.orders import GuardReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """The last word of a guard, and when it came by the scheduler's own clock."""

    boot_id: str
    boottime_s: float
    version: int
    heard_s: float  #: monotonic
    inventory_version: int = 0  #: of a miner group's machines; 0 = there are none

    def tells_more_than(self, before: Link | None) -> bool:
        """Whether something is new since the word `before`."""
        return before is None or (before.boot_id, before.version) != (self.boot_id, self.version)


class Links:
    """By group."""

    def __init__(self) -> None:
        self.newest: dict[str, Link] = {}
        self._past_boots: set[tuple[str, str]] = set()  #: of each group

    def take(self, report: GuardReport, *, heard_s: float) -> Link | None:
        """The link that a report makes the newest of its group; None if it is older than the one heard last.

        Older is an earlier instant of the same boot, or an earlier boot.
        """
        gid, known = report.spec.group_id, self.newest.get(report.spec.group_id)
        if known is not None and known.boot_id != report.boot_id:
            if (gid, report.boot_id) in self._past_boots:
                return None
            self._past_boots.add((gid, known.boot_id))
        elif known is not None and known.boottime_s > report.boottime_s:
            return None
        self.newest[gid] = link = Link(
            boot_id=report.boot_id,
            boottime_s=report.boottime_s,
            version=report.version,
            heard_s=heard_s,
            inventory_version=report.inventory_version,
        )
        return link

    def forget(self, group_id: str) -> None:
        """Another guard may speak for the group from now on: whichever boots it had say nothing of that one's."""
        self.newest.pop(group_id, None)

    def forget_boots(self, group_ids: Collection[str]) -> None:
        """These are guarded by another machine: none of its boots is over."""
        self._past_boots = {past for past in self._past_boots if past[0] not in group_ids}
