"""Who belongs to the site: the groups of the site file, and the nodes that joined from other machines.

A group that reports without being on the roll, or that rests at more than was agreed on, may exist all the same: what
it may draw counts like that of any other, and it gets no work, for nobody checked that the firm level has room for it.
GPUs that are lost, or that a filler does not give back, count in their node's base, and bar no other of it: every start
is held against what all groups really rest at.

A filler runs as the site file says now: a node that was told otherwise is given nothing for it until it joins again.

Miners whose guard runs elsewhere are on the roll by the site file; a machine that joins takes them on. Whoever else
speaks for them is not taken for their guard.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from scheduler.core.entitlement import idle_w
from scheduler.core.fillers import StatedFiller, slots
from scheduler.core.orders import GroupKind, GroupSpec, GuardReport
from scheduler.records import Member

ROUNDING_W = 1.0
_NO_GPU = ("-",)


class Roll:
    """The groups that were agreed on. Knows nothing of what they do."""

    def __init__(self, specs: Mapping[str, GroupSpec]) -> None:
        self._own = dict(specs)
        self.elsewhere = frozenset(gid for gid, spec in specs.items() if spec.elsewhere is not None)
        """Groups of miners whose guard runs on a machine that joins."""
        self._taken_on: dict[str, str] = {}  #: of these, the address of the machine that took them on
        self.moved: frozenset[str] = (
            frozenset()
        )  #: of these, those that another machine has than before the last call
        self._leaving: frozenset[str] = frozenset()
        self.agreed: dict[str, GroupSpec] = dict(specs)
        self._known: dict[
            str, tuple[GroupSpec, tuple[str, ...]]
        ] = {}  #: complaints, as long as nothing changes
        self.stated_filler: StatedFiller | None = None  #: None = whatever nodes say

    def call(self, members: Iterable[Member]) -> set[str]:
        """Take in who has joined. Returns those that are on the roll no more."""
        before = set(self.agreed)
        self._known.clear()
        all_of = {m.spec.group_id: m for m in members}
        joined = {gid: m for gid, m in all_of.items() if gid not in self._own}
        had = self._taken_on
        self._taken_on = {gid: m.spec.address for gid, m in all_of.items() if gid in self.elsewhere}
        self.moved = frozenset(gid for gid in self.elsewhere if had.get(gid) != self._taken_on.get(gid))
        self._leaving = frozenset(gid for gid, m in all_of.items() if m.leaving)
        self.agreed = self._own | {gid: m.spec for gid, m in joined.items()}
        return before - set(self.agreed)

    def guarded(self, spec: GroupSpec) -> bool:
        """Whether who describes itself so is the guard that the group is to have."""
        return spec.group_id not in self.elsewhere or not self.complaints(spec)

    def missing(self, group_id: str, *, heard: bool) -> str:
        """What to say of a group elsewhere of whose guard nothing is heard; `heard` = something once was."""
        machine = self._machine(group_id)
        address = self._taken_on.get(group_id)
        if address is None:
            why = f"nobody guards {group_id}: `barq miners join` on {machine} does"
        elif heard:
            why = f"the guard of {group_id} on {machine} ({address}) is not heard any more"
        else:
            why = f"the guard of {group_id} on {machine} ({address}) was not heard yet"
        return f"{why}; its machines count at all that they can draw"

    def is_barred(self, spec: GroupSpec) -> bool:
        """Whether no new work may go to the group that describes itself so."""
        return spec.group_id in self._leaving or bool(self.complaints(spec))

    def complaints(self, spec: GroupSpec) -> tuple[str, ...]:
        """What is wrong with its being here, in words."""
        known = self._known.get(spec.group_id)
        if known is None or known[0] != spec:
            known = self._known[spec.group_id] = (spec, self._wrong(spec))
        return known[1]

    def held_to_filler(self, report: GuardReport) -> tuple[GuardReport, tuple[str, ...]]:
        """The report, without a GPU for a filler that is not the stated one, and what is wrong with its filler.

        Such a filler stays in the node's spec: what it draws until it has ended counts.
        """
        gid, has = report.spec.group_id, report.spec.filler
        stated = has if self.stated_filler is None else self.stated_filler(gid)
        if report.spec.kind is GroupKind.MINERS:
            return report, ()
        if has == stated:
            return report, self._unusable(report.spec)
        remedy = f"let {gid} join again; if it is in the site file, start the site again"
        if has is None:
            name = "" if stated is None else stated.name
            return report, (
                f"{gid} was not told of its filler {name}: nothing fills its idle GPUs; {remedy}",
            )
        owner = "" if stated is None else stated.partner
        spec = replace(report.spec, filler=replace(has, gpu_ids=_NO_GPU, partner=owner))
        wrong = f"{gid} has filler {has.name} as the site file does not say any more: it is given nothing"
        return replace(report, spec=spec), (f"{wrong}; {remedy}",)

    def _unusable(self, spec: GroupSpec) -> tuple[str, ...]:
        """What its filler can have nothing of: GPUs that the node never had, or all of them by their caps."""
        if spec.filler is None:
            return ()
        name, agreed = spec.filler.name, self.agreed.get(spec.group_id, spec)
        here = [slot.gpu_id for slot in agreed.gpus]
        absent = [gpu_id for gpu_id in spec.filler.gpu_ids if gpu_id not in here]
        if absent:
            wrong = f"filler {name} names GPU {', '.join(absent)}, and {spec.group_id} has {', '.join(here)}"
            return (f"{wrong}; correct fillers.{name}.gpus in the site file",)
        if here and not any(slots(replace(agreed, filler=spec.filler))):
            wrong = f"filler {name} can have no GPU of {spec.group_id}: its caps leave none"
            return (f"{wrong}; correct fillers.{name}.least_w and most_w in the site file",)
        return ()

    def _wrong(self, spec: GroupSpec) -> tuple[str, ...]:
        agreed = self.agreed.get(spec.group_id)
        rests_w = idle_w(spec)
        if agreed is None:
            wrong = f"never joined this site: its {rests_w:.0f} W at rest are counted"
            remedy = "end it, or let it `barq node join`"
        elif spec.group_id in self.elsewhere:
            return self._wrong_guard(spec)
        elif spec.kind is GroupKind.MINERS:
            return ()  # those that obey nobody count in their base: that is what their guard raises alarms about
        elif rests_w > idle_w(agreed) + _lost_w(spec, agreed) + ROUNDING_W:
            wrong = f"rests at {rests_w:.0f} W, and {idle_w(agreed):.0f} W were agreed on"
            remedy = "correct it, or let it join again"
        else:
            return ()
        return (f"{spec.group_id} {wrong}; nothing is started there; {remedy}",)

    def _wrong_guard(self, spec: GroupSpec) -> tuple[str, ...]:
        """Why who speaks for a group elsewhere is not its guard."""
        gid, machine = spec.group_id, self._machine(spec.group_id)
        address = self._taken_on.get(gid)
        if address is None:
            wrong = f"has a guard at {spec.address} that did not join"
            remedy = f"there, `barq down`; on {machine}, `barq miners join`"
        elif spec.address != address:
            wrong = f"has a guard at {spec.address}, and {address} took it on: two guards fight"
            remedy = f"`barq down` at {spec.address}"
        elif spec.elsewhere != self._own[gid].elsewhere:
            wrong = "is guarded by what another site file says"
            remedy = f"on {machine}, `barq down`, then `barq miners join`"
        else:
            return ()
        return (
            f"{gid} {wrong}; its machines count at all that they can draw, and are told to sleep; {remedy}",
        )

    def _machine(self, group_id: str) -> str:
        place = self._own[group_id].elsewhere
        return place.machine if place is not None else ""


def _lost_w(spec: GroupSpec, agreed: GroupSpec) -> float:
    """What GPUs that were agreed on and cannot be had now may make a node rest at more: each up to its highest cap."""
    here = {slot.gpu_id for slot in spec.gpus}
    lost = (slot.power for slot in agreed.gpus if slot.gpu_id not in here)
    return sum(model.charge_w(model.tdp_w) - model.idle_w for model in lost)
