"""A group of miners on the page: how many of its machines do what, and which are in trouble."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from api.dashboard.words import machines_text
from api.machines import read
from api.wire.site import GpuView, NodeView
from barq.machine_words import without_name
from scheduler.core.fillers import miner_id
from scheduler.core.inventory import Condition, MachineDetail

SHOWN_TROUBLES: Final = 3
"""Of a group; the command line lists them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A node or a group of miners, with what is known of its machines one by one."""

    node: NodeView
    counts: str = ""  #: of machines; empty = there are none, or nothing is known of each
    troubles: tuple[str, ...] = ()

    def mined_w(self, gpu: GpuView) -> float:
        """What a filler draws on a GPU above its rest, W."""
        name = miner_id(self.node.id, gpu.id)
        return next((m.draw_w for m in self.node.miners if m.id == name), 0.0)


def tiles(nodes: Iterable[NodeView], inventories: Iterable[str]) -> list[Tile]:
    """Each node, with the machines of its newest inventory where it has one."""
    machines = {kept.inventory.group_id: kept.inventory.machines for kept in map(read, inventories) if kept}
    return [_tile(node, machines.get(node.id, ())) for node in nodes]


def _tile(node: NodeView, machines: Sequence[MachineDetail]) -> Tile:
    if not machines or node.unguarded:
        return Tile(node=node, counts=machines_text(node.miners))
    troubled = [machine for machine in machines if machine.trouble]
    told = [
        f"{m.miner_id} is {m.condition}: {without_name(m.trouble, m.miner_id)}"
        for m in troubled[:SHOWN_TROUBLES]
    ]
    if more := len(troubled) - len(told):
        told.append(f"{more} more in trouble")
    return Tile(node=node, counts=_counts(node, machines), troubles=tuple(told))


def _counts(node: NodeView, machines: Iterable[MachineDetail]) -> str:
    """Each condition that any is in; of those that run, how many are trimmed."""
    counts = Counter(machine.condition for machine in machines)
    trimmed = sum(miner.state == "trimmed" for miner in node.miners)
    words = [f"{counts[condition]} {condition}" for condition in Condition if counts[condition]]
    counted = ", ".join([*words, f"{trimmed} trimmed"] if trimmed else words)
    return f"fillers: {counted}" if node.kind == "node" else counted
