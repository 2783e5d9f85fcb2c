"""The live table of the demo: limit against draw, jobs with their reasons, miners."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from barq.client import Client
from barq.site_views import PowerView, SummaryView
from barq.views import JobView

REFRESH_S = 0.5
LINE_EVERY_S = 5.0
FINAL = {"SUCCEEDED", "FAILED", "CANCELLED"}
COLOURS = {
    "RUNNING": "green",
    "SUSPENDED": "yellow",
    "PREEMPTING": "yellow",
    "PAUSED": "yellow",
    "FAILED": "red",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """The site's meters at both ends of the day."""

    dawn: SummaryView
    dusk: SummaryView

    def energy_wh(self, use: str) -> float:
        """What went into one use between dawn and dusk, in real Wh."""
        return self.dusk["energy"][use] - self.dawn["energy"][use]


def watch_day(
    client: Client, ids: Sequence[str], *, began_at: datetime, seconds: float, patience_s: float
) -> Day:
    """Show the site until the day is over and the jobs are done, at most `patience_s` longer.

    Returns the site's meters as they stood when the day began and when it was over.
    Without a terminal a plain line is printed every few seconds instead of the table.
    """
    console = Console(stderr=True)
    plain_at_s = float("-inf")
    dawn = dusk = client.summary()
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        while True:
            passed_s = (datetime.now(UTC) - began_at).total_seconds()
            if passed_s < seconds:
                dusk = client.summary()
            if passed_s < 0:
                dawn = dusk
            power, jobs = client.power(), [client.job(job_id) for job_id in ids]
            if console.is_terminal:
                live.update(picture(power, jobs, passed_s / seconds))
            elif passed_s >= plain_at_s:
                plain_at_s = passed_s + LINE_EVERY_S
                console.print(plain_line(power, jobs, passed_s / seconds), soft_wrap=True, highlight=False)
            done = all(job["state"] in FINAL for job in jobs)
            if passed_s >= seconds and (done or passed_s >= seconds + patience_s):
                return Day(dawn=dawn, dusk=dusk)
            time.sleep(REFRESH_S)


def picture(power: PowerView, jobs: Sequence[JobView], day: float) -> Group:
    """One frame of the live table."""
    return Group(_headline(day), _power_table(power), _job_table(jobs))


def plain_line(power: PowerView, jobs: Sequence[JobView], day: float) -> str:
    """The same in one line."""
    states = " ".join(f"{job['name']}={job['state'].lower()}@{job['step'] or 0}" for job in jobs)
    return f"{clock(day)} {power['sentence']} | {states}"


def clock(day: float) -> str:
    """Time of the replayed day."""
    minutes = int(min(max(day, 0.0), 1.0) * 24 * 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _headline(day: float) -> Text:
    if day < 1.0:
        return Text(f"Barq demo: hour {clock(day)} of a replayed day of surplus power", style="bold")
    return Text("Barq demo: the day is over, the last jobs finish", style="bold")


def _power_table(power: PowerView) -> Table:
    """Bars on one scale, so that limit and draw can be compared by eye."""
    rows = [
        ("limit", power["limit_w"], "cyan"),
        ("draw", power["draw_w"], "white"),
        ("AI", power["ai_w"], "green"),
        ("mining", power["miners_w"], "magenta"),
    ]
    top_w = max(12_000.0, *(watts for _, watts, _ in rows))
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, watts, colour in rows:
        bar = ProgressBar(
            total=top_w, completed=watts, width=60, complete_style=colour, finished_style=colour
        )
        table.add_row(name, Text(f"{watts / 1000:5.1f} kW", justify="right"), bar)
    return table


def _job_table(jobs: Sequence[JobView]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("JOB", "NAME", "TIER", "STATE", "STEP", "ATTEMPT", "WHERE, OR WHY NOT"):
        table.add_column(title, overflow="ellipsis", no_wrap=True)
    for job in jobs:
        state = Text(job["state"], style=COLOURS.get(job["state"], ""))
        table.add_row(
            job["id"],
            job["name"],
            str(job["flex"]),
            state,
            str(job["step"] or 0),
            str(job["attempt"] or ""),
            where(job),
        )
    return table


def where(job: JobView) -> str:
    """The nodes and GPUs that a job holds, and the reason why it stands still, waits, or is slow."""
    held = ", ".join(f"{p['node_id']}: GPU {' '.join(p['gpu_ids'])}" for p in job["placements"])
    why = job["reason"]["text"] if job["reason"] else ""
    return "; ".join(part for part in (held, why) if part)
