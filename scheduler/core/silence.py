"""Who was not heard of for long: found without a look at everybody, as long as nobody can be so."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from scheduler.core.snapshot import Group

_NEVER_HEARD = datetime.min.replace(tzinfo=UTC)
_NOBODY = datetime.max.replace(tzinfo=UTC)


class Silence:
    """Kept up with the groups of a plan, one report at a time."""

    def __init__(self) -> None:
        self._first_at = _NOBODY  #: no group was last heard of earlier

    def note(self, group: Group) -> None:
        """A group is new, or was heard of."""
        self._first_at = min(self._first_at, _heard_at(group))

    def since(self, groups: Mapping[str, Group], cutoff: datetime) -> set[str]:
        """Those of whom nothing was heard from `cutoff` on."""
        if cutoff <= self._first_at:
            return set()
        heard = {gid: _heard_at(group) for gid, group in groups.items()}
        self._first_at = min(heard.values(), default=_NOBODY)
        return {gid for gid, at in heard.items() if at < cutoff}


def _heard_at(group: Group) -> datetime:
    return group.reported_at or _NEVER_HEARD
