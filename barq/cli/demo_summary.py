"""What the demo came to: was the limit kept, was work lost, where did the energy go."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from barq.cli.demo_table import Day
from barq.client import Client
from barq.site_views import SummaryView
from barq.views import JobView


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The demo's outcome. `kept` is false if the limit was broken, or a step was lost, or a job failed."""

    kept: bool
    faults: tuple[str, ...]
    withdrawals: int
    comply_p50_s: float | None
    comply_max_s: float | None
    over_limit_s: float
    steps: int  #: done in all
    steps_lost: int  #: done twice, because what they had brought was not in the commit that was resumed
    checkpoints_verified: int
    pauses: int
    finished: int
    jobs: int
    offered_kwh: float  #: of the replayed day
    ai_kwh: float
    miners_kwh: float
    site_kwh: float
    unused_kwh: float


def judge(client: Client, ids: Sequence[str], state: Path, day: Day, *, seconds_per_day: float) -> Verdict:
    """Sum up from the site's own record, and from what the jobs themselves wrote down, step by step."""
    summary: SummaryView = client.summary()
    jobs = [client.job(job_id) for job_id in ids]
    logs = [_steps(state / "jobs" / job_id / "output" / "steps.jsonl") for job_id in ids]
    lost = sum(_done_twice(log) for log in logs)
    scale = 86_400.0 / seconds_per_day / 1000.0
    faults = tuple(_faults(summary, jobs, lost))
    return Verdict(
        kept=not faults,
        faults=faults,
        withdrawals=summary["withdrawals"],
        comply_p50_s=summary["comply_p50_s"],
        comply_max_s=summary["comply_max_s"],
        over_limit_s=summary["over_limit_s"],
        steps=sum(len(set(log)) for log in logs),
        steps_lost=lost,
        checkpoints_verified=summary["checkpoints_verified"],
        pauses=sum(max(0, job["attempts"] - 1) for job in jobs),
        finished=sum(job["state"] == "SUCCEEDED" for job in jobs),
        jobs=len(jobs),
        offered_kwh=day.energy_wh("offered_wh") * scale,
        ai_kwh=day.energy_wh("ai_wh") * scale,
        miners_kwh=day.energy_wh("miners_wh") * scale,
        site_kwh=day.energy_wh("overhead_wh") * scale,
        unused_kwh=day.energy_wh("unused_wh") * scale,
    )


def _steps(path: Path) -> list[int]:
    if not path.exists():
        return []
    return [int(json.loads(line)["step"]) for line in path.read_text(encoding="utf-8").splitlines()]


def _done_twice(steps: Iterable[int]) -> int:
    return sum(times - 1 for times in Counter(steps).values())


def _faults(summary: SummaryView, jobs: Sequence[JobView], lost: int) -> Iterable[str]:
    if summary["over_limit_s"] > 0:
        yield f"the limit was broken for {summary['over_limit_s']:.1f} s outside the reaction time"
    if lost:
        yield f"{lost} steps were lost"
    for job in jobs:
        if job["state"] == "FAILED":
            yield f"{job['id']} ({job['name']}) failed: {job['reason']['text'] if job['reason'] else 'see its log'}"


def show_summary(verdict: Verdict, *, as_json: bool) -> None:
    """Print the summary as a table for people, or as one JSON value."""
    if as_json:
        print(json.dumps(asdict(verdict)))  # noqa: T201 - this is the output
        return
    console = Console()
    table = Table(
        box=None, show_header=False, pad_edge=False, title="What the day came to", title_justify="left"
    )
    for name, value in _rows(verdict):
        table.add_row(name, value)
    console.print(table)
    for fault in verdict.faults:
        console.print(f"[red]FAULT[/red] {fault}")
    if verdict.kept:
        console.print("[green]The limit was kept and no step was lost.[/green]")


def _rows(v: Verdict) -> Iterable[tuple[str, str]]:
    comply = (
        "none needed" if v.comply_p50_s is None else f"p50 {v.comply_p50_s:.1f} s, max {v.comply_max_s:.1f} s"
    )
    yield "power withdrawn", f"{v.withdrawals} times"
    yield "time to comply", comply
    yield "over the limit beyond the reaction time", f"{v.over_limit_s:.1f} s"
    yield "jobs finished", f"{v.finished} of {v.jobs}, paused and resumed {v.pauses} times"
    yield "steps done / lost", f"{v.steps} / {v.steps_lost}"
    yield "checkpoints verified", str(v.checkpoints_verified)
    yield "energy offered (replayed day)", f"{v.offered_kwh:.1f} kWh"
    for name, kwh in (
        ("AI", v.ai_kwh),
        ("mining", v.miners_kwh),
        ("site", v.site_kwh),
        ("unused", v.unused_kwh),
    ):
        share = 100 * kwh / v.offered_kwh if v.offered_kwh else 0.0
        yield f"  {name}", f"{kwh:.1f} kWh ({share:.0f} %)"
