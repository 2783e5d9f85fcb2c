"""Who belongs to the site: the groups of the site file, and the nodes that joined from other machines.

A group that reports without being on the roll, or that rests at more than was agreed on, may exist all the same: what
it may draw counts like that of any other, and it gets no work, for nobody checked that the firm level has room for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from scheduler.core.entitlement import idle_w
from scheduler.core.orders import GroupKind, GroupSpec
from scheduler.records import Member

ROUNDING_W = 1.0


class Roll:
    """The groups that were agreed on. Knows nothing of what they do."""

    def __init__(self, specs: Mapping[str, GroupSpec]) -> None:
        self._own = dict(specs)
        self._leaving: frozenset[str] = frozenset()
        self.agreed: dict[str, GroupSpec] = dict(specs)
        self._known: dict[
            str, tuple[GroupSpec, tuple[str, ...]]
        ] = {}  #: complaints, as long as nothing changes

    def call(self, members: Iterable[Member]) -> set[str]:
        """Take in who has joined. Returns those that are on the roll no more."""
        before = set(self.agreed)
        self._known.clear()
        joined = {m.spec.group_id: m for m in members if m.spec.group_id not in self._own}
        self._leaving = frozenset(gid for gid, m in joined.items() if m.leaving)
        self.agreed = self._own | {gid: m.spec for gid, m in joined.items()}
        return before - set(self.agreed)

    def is_barred(self, spec: GroupSpec) -> bool:
        """Whether no new work may go to the group that describes itself so."""
        return spec.group_id in self._leaving or bool(self.complaints(spec))

    def complaints(self, spec: GroupSpec) -> tuple[str, ...]:
        """What is wrong with its being here, in words."""
        known = self._known.get(spec.group_id)
        if known is None or known[0] != spec:
            known = self._known[spec.group_id] = (spec, self._wrong(spec))
        return known[1]

    def _wrong(self, spec: GroupSpec) -> tuple[str, ...]:
        agreed = self.agreed.get(spec.group_id)
        rests_w = idle_w(spec)
        if agreed is None:
            wrong = f"never joined this site: its {rests_w:.0f} W at rest are counted"
            remedy = "end it, or let it `barq node join`"
        elif spec.kind is GroupKind.MINERS:
            return ()  # those that obey nobody count in their base: that is what their guard raises alarms about
        elif rests_w > idle_w(agreed) + ROUNDING_W:
            wrong = f"rests at {rests_w:.0f} W, and {idle_w(agreed):.0f} W were agreed on"
            remedy = "correct it, or let it join again"
        else:
            return ()
        return (f"{spec.group_id} {wrong}; nothing is started there; {remedy}",)
