"""How long a decision takes: `python -m benchmarks.decide --json`.

`shed` and `decide` over snapshots of 100, 1,000 and 10,000 nodes of 8 GPUs, all busy with one-GPU jobs, and with ten
times as many jobs queued as there are nodes. For each size and case

    quiet    nothing changed: all runs at full power, the queue waits for GPUs
    cut      the limit fell so far that all must be suspended

seconds by the median and the maximum of several runs, and the peak of the memory that one run takes beside its
snapshot, in bytes. `nodes[1000].decide_quiet.median_s` is the figure that README quotes.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from scheduler.core.decide import decide, shed
from scheduler.core.entitlement import charged_w, entitlement_w, idle_w, nameplate_w
from scheduler.core.envelope import Envelope, Segment
from scheduler.core.jobs import Attempt, AttemptState, Job, JobSpec, JobState, Launch, Phase, Placement
from scheduler.core.ledger import Account, OpenOrder
from scheduler.core.orders import (
    AttemptFacts,
    FallbackStep,
    Fence,
    GpuReading,
    GpuSlot,
    GroupKind,
    GroupSpec,
    Observed,
)
from scheduler.core.power import A100_SXM
from scheduler.core.snapshot import Group, SitePolicy, Snapshot

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
GPUS = 8
BASE_W = 600.0
QUEUED_PER_NODE = 10
FENCE = Fence(epoch=1, seq=1)
LAUNCH = Launch(command=("python",), working_dir="/w", checkpoint_dir="/c", output_dir="/o", log_path="/l")


def snapshot(nodes: int, *, gpu_w: float) -> Snapshot:
    """A busy site with a queue, under a limit that gives each GPU `gpu_w`."""
    limit_w = _site_w(nodes, gpu_w)
    site = SitePolicy(name="bench", firm_w=_site_w(nodes, A100_SXM.tdp_w), margin=0.0)
    attempts = {a.id: a for n in range(nodes) for a in _attempts(n)}
    jobs = {a.job_id: _job(a.job_id, i, JobState.RUNNING) for i, a in enumerate(attempts.values())}
    first = len(jobs)
    queued = (f"bench-q{i}" for i in range(QUEUED_PER_NODE * nodes))
    jobs |= {name: _job(name, first + i, JobState.PENDING) for i, name in enumerate(queued)}
    groups = [_group(n, [attempts[f"bench-{n}-{g}.1"] for g in range(GPUS)]) for n in range(nodes)]
    limit = Envelope(
        source="grid",
        issued_at=AT,
        read_at=AT,
        reaction_s=30,
        segments=(Segment(starts_at=AT - timedelta(hours=1), limit_w=limit_w),),
    )
    return Snapshot(
        at=AT,
        site=site,
        envelopes=(limit,),
        groups={g.spec.group_id: g for g in groups},
        jobs=jobs,
        attempts=attempts,
        epoch=1,
        led_since_at=AT - timedelta(hours=1),
    )


def _site_w(nodes: int, gpu_w: float) -> float:
    return SitePolicy(name="bench", firm_w=0).overhead * nodes * (BASE_W + GPUS * gpu_w) + 1.0


def _job(job_id: str, number: int, state: JobState) -> Job:
    submitted_at = AT - timedelta(seconds=100)
    return Job(
        id=job_id,
        number=number,
        spec=JobSpec(name=job_id, launch=LAUNCH),
        submitted_at=submitted_at,
        state=state,
        since_at=submitted_at,
        attempts=int(state is JobState.RUNNING),
    )


def _attempts(node: int) -> list[Attempt]:
    return [
        Attempt(
            id=f"bench-{node}-{gpu}.1",
            job_id=f"bench-{node}-{gpu}",
            number=1,
            state=AttemptState.RUNNING,
            since_at=AT - timedelta(seconds=90),
            placements=(Placement(node_id=f"node-{node}", gpu_ids=(str(gpu),)),),
            cap_w=A100_SXM.tdp_w,
            created_at=AT - timedelta(seconds=90),
            running_at=AT - timedelta(seconds=80),
            last_step=7,
            resumed_step=0,
        )
        for gpu in range(GPUS)
    ]


def _group(node: int, attempts: Sequence[Attempt]) -> Group:
    slots = tuple(GpuSlot(gpu_id=str(g), model=A100_SXM.name) for g in range(GPUS))
    spec = GroupSpec(group_id=f"node-{node}", kind=GroupKind.NODE, base_w=BASE_W, gpus=slots, simulated=True)
    readings = tuple(
        GpuReading(gpu_id=str(g), draw_w=380.0, cap_w=A100_SXM.tdp_w, processes=1) for g in range(GPUS)
    )
    order = OpenOrder(
        fence=FENCE,
        entitlement_w=entitlement_w(spec, attempts),
        fallback=(FallbackStep(after_s=0.0, limit_w=BASE_W + GPUS * A100_SXM.held_w()),),
        expires_at=AT + timedelta(seconds=10),
    )
    account = Account(
        group_id=spec.group_id,
        idle_w=idle_w(spec),
        nameplate_w=nameplate_w(spec),
        known=True,
        acked=FENCE,
        sent=FENCE,
        charged_w=charged_w(spec, readings),
        charged_at=AT,
        open=(order,),
    )
    facts = tuple(
        AttemptFacts(attempt_id=a.id, observed=Observed.RUNNING, step=7, resumed_step=0) for a in attempts
    )
    return Group(
        spec=spec, account=account, reported_at=AT, draw_w=account.charged_w, gpus=readings, facts=facts
    )


def measure(nodes: int, *, runs: int) -> dict[str, dict[str, float]]:
    """All cases at one size."""
    quiet = snapshot(nodes, gpu_w=A100_SXM.tdp_w)
    deep = snapshot(nodes, gpu_w=A100_SXM.held_w())
    _check(quiet, deep)
    gc.collect()
    gc.freeze()  # as the service does between decisions
    return {
        "shed_quiet": _timed(lambda: shed(quiet), runs),
        "shed_cut": _timed(lambda: shed(deep), runs),
        "decide_quiet": _timed(lambda: decide(quiet), runs),
        "decide_cut": _timed(lambda: decide(deep), runs),
    }


def _check(quiet: Snapshot, deep: Snapshot) -> None:
    """What is timed is what it is said to be."""
    assert shed(quiet) is None
    assert not decide(quiet).attempts
    cut = decide(deep).attempts.values()
    assert {a.phase for a in cut} == {Phase.SUSPEND}, "all are suspended"
    assert len(cut) == len(deep.attempts)


def _timed(step: Callable[[], object], runs: int) -> dict[str, float]:
    spent_s = []
    for _ in range(runs):
        began_s = time.perf_counter()
        step()
        spent_s.append(time.perf_counter() - began_s)
    tracemalloc.start()
    step()
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {"median_s": statistics.median(spent_s), "max_s": max(spent_s), "peak_bytes": peak_bytes}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decide", description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    options = parser.parse_args(arguments)
    figures = {str(nodes): measure(nodes, runs=options.runs) for nodes in options.nodes}
    if options.json:
        print(json.dumps({"nodes": figures}))
        return 0
    for nodes, cases in figures.items():
        for case, f in cases.items():
            print(
                f"{nodes:>6} nodes {case:<13} median {f['median_s']:8.4f} s  max {f['max_s']:8.4f} s  "
                f"{f['peak_bytes'] / 1e6:8.1f} MB"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
