"""How long a decision takes: `python -m benchmarks.decide --json`.

One living policy and one view of a site: nodes of 8 GPUs, all busy with one-GPU jobs, and a queue of ten times as many
jobs as there are nodes. Each figure is seconds for the snapshot, `shed` and `decide`, reasons included:

    cold        the first decision of a policy: it knows nothing yet
    quiet       a tick in which nothing changed
    few         a tick after 10 reports and 10 new jobs
    reports     a tick after every node reported that all is as before
    shed_cut    the snapshot and `shed` alone, when the limit fell so far that all must be suspended
    decide_cut  the `decide` right after it

by the median and the maximum of several runs (the last of each once), and the memory that the site and the policy
take, in bytes. `--curve` adds sizes between, at ten jobs queued per node, and queues of up to 1,000,000 at 1,000 nodes.
`sites["1000/10000"].quiet.median_s` is what a tick of 1,000 nodes with 10,000 jobs queued takes.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

from benchmarks.busy_site import BusySite
from scheduler.core.decide import Decision, PowerAware
from scheduler.core.jobs import Phase
from scheduler.core.power import A100_SXM
from scheduler.garbage import sweep, uncollected

QUEUED_PER_NODE = 10
FEW = 10
TICK_S = 0.1  #: so short that no lease is due for renewal within a run
_CURVE_NODES = (100, 300, 1_000, 3_000, 10_000)
_CURVE_QUEUED = (1_000, 10_000, 100_000, 1_000_000)
_CURVE_AT_NODES = 1_000
_KIB = 1024

Figures = dict[str, dict[str, float]]


class Size(NamedTuple):
    """How large a site is."""

    nodes: int
    queued: int

    def __str__(self) -> str:
        return f"{self.nodes}/{self.queued}"


def measure(size: Size, *, runs: int) -> Figures:
    """All cases at one size."""
    site = BusySite(size.nodes, size.queued)
    sweep()  # as the service does between decisions
    site_bytes = _peak_bytes()
    policy = PowerAware()
    spent_s = {"cold": [_tick_s(site, policy, lambda: None)]}
    _tick_s(site, policy, lambda: None)  # takes in that the first orders were followed
    sweep()
    for case, change in _ticks(site).items():
        spent_s[case] = [_tick_s(site, policy, change) for _ in range(runs)]
    spent_s["shed_cut"], spent_s["decide_cut"] = _cut(site, policy)
    figures = {case: {"median_s": statistics.median(s), "max_s": max(s)} for case, s in spent_s.items()}
    memory = {"site_bytes": float(site_bytes), "policy_bytes": float(_peak_bytes() - site_bytes)}
    return figures | {"memory": memory}


def _ticks(site: BusySite) -> dict[str, Callable[[], None]]:
    """What happens before each tick of a case."""

    def few() -> None:
        site.report(FEW)
        site.arrive(FEW)

    return {"quiet": lambda: None, "few": few, "reports": site.report}


def _tick_s(site: BusySite, policy: PowerAware, change: Callable[[], None]) -> float:
    """One tick in which no attempt changes."""
    site.go_on(TICK_S)
    change()
    decided: list[Decision] = []

    def tick() -> None:
        snapshot = site.snapshot()
        assert policy.shed(snapshot) is None
        decided.append(policy.decide(snapshot))

    spent_s = _timed(tick)
    site.carry_out(_checked(decided[0], changes=0))
    return spent_s


def _cut(site: BusySite, policy: PowerAware) -> tuple[list[float], list[float]]:
    """The limit falls to where all must be suspended."""
    site.go_on(TICK_S)
    site.limit(A100_SXM.held_w())
    running = len(site.view.attempts)
    decided: list[Decision | None] = []
    shed_s = _timed(lambda: decided.append(policy.shed(site.snapshot())))
    decide_s = _timed(lambda: decided.append(policy.decide(site.snapshot())))
    for decision in decided:
        assert decision is not None
        assert {a.phase for a in _checked(decision, changes=running).attempts.values()} == {Phase.SUSPEND}
    return [shed_s], [decide_s]


def _checked(decision: Decision, *, changes: int) -> Decision:
    """What is timed is what it is said to be."""
    assert len(decision.attempts) == changes
    return decision


def _timed(step: Callable[[], None]) -> float:
    """Seconds of a step, run as the service runs a tick."""
    with uncollected():
        began_s = time.perf_counter()
        step()
        return time.perf_counter() - began_s


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB


def measure_alone(size: Size, *, runs: int) -> Figures:
    """All cases at one size, in a process of its own: what another size took is not counted."""
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, size, runs=runs).result()


def _sizes(options: argparse.Namespace) -> list[Size]:
    if options.queued:
        return [Size(nodes, queued) for nodes in options.nodes for queued in options.queued]
    sizes = [Size(nodes, QUEUED_PER_NODE * nodes) for nodes in options.nodes]
    if options.curve:
        sizes += [Size(nodes, QUEUED_PER_NODE * nodes) for nodes in _CURVE_NODES]
        sizes += [Size(_CURVE_AT_NODES, queued) for queued in _CURVE_QUEUED]
    return sorted(set(sizes))


def _show(size: Size, figures: Figures) -> None:
    memory = figures["memory"]
    print(
        f"{size.nodes:,} nodes, {size.queued:,} jobs queued: site {memory['site_bytes'] / 1e6:.0f} MB, "
        f"policy {memory['policy_bytes'] / 1e6:.0f} MB"
    )
    for case in (c for c in figures if c != "memory"):
        found = figures[case]
        print(f"    {case:<11} median {found['median_s']:8.4f} s  max {found['max_s']:8.4f} s", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decide", description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--queued", type=int, nargs="+", help="jobs queued; ten per node where left out")
    parser.add_argument("--curve", action="store_true", help="sizes between, and longer queues, too")
    parser.add_argument("--runs", type=int, default=5, help="ticks of each case")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    options = parser.parse_args(arguments)
    found = {}
    for size in _sizes(options):
        found[str(size)] = figures = measure_alone(size, runs=options.runs)
        if not options.json:
            _show(size, figures)
    if options.json:
        print(json.dumps({"sites": found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
