"""A real site for a benchmark: `barq up` with a generated site file, simulated GPUs, in a directory of its own."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from barq.cli.down import stop_site
from barq.cli.up import start_site
from barq.client import Client
from benchmarks.job_watch import wait_for
from scheduler.core.power import A100_SXM
from workers.processes import TICKS_PER_S, ProcessTable

OVERHEAD = 1.25
MARGIN = 0.03
BASE_W = 600.0
SETTLE_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """So many nodes with so many GPUs each."""

    nodes: int
    gpus: int

    def limit_w(self, gpu_w: float) -> float:
        """The limit under which every GPU may have `gpu_w` and none a watt to speak of more."""
        it_w = self.nodes * (BASE_W + self.gpus * gpu_w)
        return (OVERHEAD * it_w + 1.0) / (1 - MARGIN)

    @property
    def hold_w(self) -> float:
        """Enough for every job to hold its GPU, too little for a single one to run."""
        return self.limit_w(A100_SXM.held_w())

    @property
    def rest_w(self) -> float:
        """Enough for idle GPUs only."""
        return self.limit_w(A100_SXM.idle_w)


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSite:
    """A site that is up."""

    state: Path
    client: Client


def site_file(size: Size) -> dict[str, Any]:
    """The site file: documented options only. Nothing dwells after a cut, as an operator may choose."""
    return {
        "name": "bench",
        "power": {
            "firm_w": size.hold_w,
            "overhead": OVERHEAD,
            "margin": MARGIN,
            "auxiliary_w": 0,
            "reaction_s": 30,
        },
        "timing": {"raise_delay_s": 0, "restart_s": 1},
        "nodes": [{"count": size.nodes, "gpus": size.gpus, "base_w": BASE_W, "simulated": True}],
        "signals": [{"type": "constant", "name": "contract", "limit_w": 2 * size.limit_w(A100_SXM.tdp_w)}],
    }


@contextmanager
def running_site(size: Size, changes: Mapping[str, Any] = MappingProxyType({})) -> Iterator[BenchSite]:
    """A site, up; `changes` replace parts of its file. Down again at the end, or by SIGTERM, with nothing left."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    directory = Path(tempfile.mkdtemp(prefix="barq-bench-"))
    state = directory / "state"
    try:
        (directory / "site.yaml").write_text(
            yaml.safe_dump(site_file(size) | dict(changes)), encoding="utf-8"
        )
        start_site(directory / "site.yaml", state)
        with Client.from_environment({"BARQ_STATE": str(state)}) as client:
            wait_for(lambda: _all_heard(client), "every node")
            time.sleep(SETTLE_S)
            yield BenchSite(state=state, client=client)
    finally:
        stop_site(state)
        shutil.rmtree(directory)


def _all_heard(client: Client) -> float | None:
    return 1.0 if all(node["reachable"] for node in client.nodes()) else None


def cpu_s(root: int) -> float:
    """CPU seconds of a process and all that descend from it, as far as they live or were waited for."""
    table = ProcessTable()
    table.refresh(is_full=True)
    family = [table.get(root), *table.below(root)]
    return sum(stat.cpu_ticks for stat in family if stat is not None) / TICKS_PER_S
