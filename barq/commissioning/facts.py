"""What the site file says of the site that is measured, and which limit leaves room for which step. Pure.

The limits are reckoned by the site's own books, as the scheduler charges: at rest no miner gets a watt, under
`full_w` a node's GPUs run uncapped, under `capped_w` they are capped as the loop itself would cap them, and under
`held_w` there is room for a job that holds its GPUs and computes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

CAP_STEP_W: Final = 5.0  #: caps are whole multiples of this
FRACTIONS: Final = (0.75, 0.5)  #: of the uncapped draw, at which each node is measured besides


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """One node. GPU figures are of one GPU, W."""

    node_id: str
    kind: str  #: entry of the site file
    simulated: bool
    base_w: float
    gpus: int
    gpu_model: str
    tdp_w: float
    idle_w: float
    held_w: float  #: charged while a job holds it and computes nothing
    floor_w: float  #: the least cap at which a job runs

    def caps_w(self) -> list[float]:
        """The caps below none at which it is measured: as asked for, no lower than jobs run."""
        wanted = [max(self.floor_w, CAP_STEP_W * round(self.tdp_w * f / CAP_STEP_W)) for f in FRACTIONS]
        return sorted({cap_w for cap_w in wanted if cap_w < self.tdp_w}, reverse=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class MinerFacts:
    """One group of miners, W above their rest."""

    group_id: str
    max_w: float
    rest_w: float
    min_on_s: float = 0.0
    min_off_s: float = 0.0
    simulated: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteFacts:
    """The site as its file has it."""

    name: str
    idle_base_w: float  #: site watts of the books with everything at rest
    overhead: float
    auxiliary_w: float
    margin: float
    fall_s: float
    restart_s: float
    suspend_max_s: float
    raise_delay_s: float
    nodes: Mapping[str, NodeFacts]
    miners: Mapping[str, MinerFacts]

    def rest_w(self) -> float:
        """The limit that leaves room for the idle site and nothing else."""
        return self._limit_w(self.idle_base_w)

    def full_w(self, node: NodeFacts) -> float:
        """The limit under which that node's GPUs run uncapped."""
        return self.capped_w(node, node.tdp_w)

    def capped_w(self, node: NodeFacts, cap_w: float) -> float:
        """The limit under which they are capped at `cap_w`, which is a whole step."""
        return self._over_rest_w(node, cap_w + CAP_STEP_W / 2)

    def held_w(self, node: NodeFacts) -> float:
        """The limit under which they can be held, and cannot run."""
        return self._over_rest_w(node, node.held_w + max(0.0, node.floor_w - node.held_w) / 8)

    def miners_w(self) -> float:
        """The limit that leaves room for all miners at full."""
        return self._limit_w(self.idle_base_w + sum(m.max_w for m in self.miners.values()))

    def _over_rest_w(self, node: NodeFacts, gpu_w: float) -> float:
        return self._limit_w(self.idle_base_w + self.overhead * node.gpus * (gpu_w - node.idle_w))

    def _limit_w(self, books_w: float) -> float:
        return (books_w + 1.0) / (1.0 - self.margin)
