"""Whose the watts of fillers are: they are drawn by nodes, and no AI's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from scheduler.core.decide import Decision
from scheduler.core.orders import GroupKind
from scheduler.core.partners import HOUSE
from scheduler.core.snapshot import Group, Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """All fillers of one owner at an instant: whole watts above the rest of their GPUs, each node by itself."""

    metered_w: int = 0
    granted_w: int = 0
    overdraw_w: int = 0
    is_heard: bool = True  #: all of their nodes are: of one that is not nothing is metered


NOTHING: Final = Filled()


def mining_groups(snapshot: Snapshot) -> list[str]:
    """What partners or the site itself own: all miner groups, and nodes with a filler of the site's own."""
    return [
        gid
        for gid, g in snapshot.groups.items()
        if g.spec.kind is GroupKind.MINERS or (g.spec.filler is not None and not g.spec.filler.partner)
    ]


def fillers_of(snapshot: Snapshot) -> dict[str, list[Group]]:
    """The nodes with a filler, by its owner."""
    found: dict[str, list[Group]] = {}
    for group in snapshot.groups.values():
        if group.spec.filler is not None:
            found.setdefault(group.spec.filler.partner or HOUSE, []).append(group)
    return found


def filled_w(snapshot: Snapshot, decision: Decision) -> dict[str, Filled]:
    """What the fillers of each owner draw and may draw. Of a node that nobody hears of nothing is metered."""
    return {owner: _filled(groups, snapshot, decision) for owner, groups in fillers_of(snapshot).items()}


def _filled(groups: list[Group], snapshot: Snapshot, decision: Decision) -> Filled:
    metered = granted = overdraw = 0
    all_heard = True
    for group in groups:
        told_w = round(decision.fillers_w.get(group.spec.group_id, group.miners_target_w))
        is_heard = group.is_heard(snapshot.at, snapshot.site)
        all_heard = all_heard and is_heard
        drawn_w = round(sum(m.draw_w for m in group.miners)) if is_heard else 0
        metered, granted, overdraw = metered + drawn_w, granted + told_w, overdraw + max(0, drawn_w - told_w)
    return Filled(metered_w=metered, granted_w=granted, overdraw_w=overdraw, is_heard=all_heard)
