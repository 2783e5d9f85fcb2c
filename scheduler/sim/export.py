"""Writes what a simulation found into a folder: figures as JSON, series as CSV, one page to look at.

All is written to a new folder beside the target and takes its name at the end, so that a reader finds all of it or
what was there before. A folder is replaced only if nothing but an earlier result is in it.
"""

from __future__ import annotations

import csv
import json
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scheduler.errors import BarqError
from scheduler.sim.outcome import RunOutcome
from scheduler.sim.report import html_report

FIGURES: Final = "figures.json"
REPORT: Final = "report.html"
SERIES: Final = "series"
_OURS: Final = {FIGURES, REPORT, SERIES}
_JOB_COLUMNS: Final = (
    "id",
    "arrives_s",
    "gpus",
    "work_s",
    "priority",
    "flex",
    "project",
    "started_s",
    "finished_s",
    "kept_gpu_s",
    "lost_gpu_s",
    "pauses",
    "kills",
    "energy_wh",
)


class NotOurs(BarqError):
    """The folder to write to holds something else. The message names it and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A run and its figures, as `summary` makes them."""

    outcome: RunOutcome
    figures: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What sets it apart from the others of one simulation; fit for a file's name."""
        words = (self.outcome.jobs_name, self.outcome.power_name, self.outcome.policy, str(self.outcome.seed))
        return "-".join(re.sub(r"[^A-Za-z0-9_.]+", "_", word) for word in words)


def write_results(runs: Sequence[Judged], folder: Path, *, about: Mapping[str, Any]) -> None:
    """All runs and `about` (the command, versions, caveats) into `folder`. Raises `NotOurs`, ValueError, OSError."""
    folder = folder.resolve()
    check_folder(folder)
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        raise ValueError(f"runs: {sorted(names)} are not all different; give each policy a name of its own")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as made_in:
        made = Path(made_in) / "new"
        _write(runs, made, about)
        if folder.exists():
            folder.rename(Path(made_in) / "old")  # goes with the temporary folder
        made.rename(folder)


def check_folder(folder: Path) -> None:
    """Asked before hours of work too. Raises `NotOurs` if the folder is a file or holds what we did not write."""
    if folder.is_file():
        raise NotOurs(f"--out: {folder} is a file; name a folder")
    others = (
        sorted(path.name for path in folder.iterdir() if path.name not in _OURS) if folder.exists() else []
    )
    if others:
        raise NotOurs(
            f"--out: {folder} holds {others[0]!r}, which is no result of ours; name a new or empty folder"
        )


def _write(runs: Sequence[Judged], folder: Path, about: Mapping[str, Any]) -> None:
    (folder / SERIES).mkdir(parents=True)
    table = {**about, "runs": [dict(run.figures) for run in runs]}
    text = json.dumps(table, indent=1, allow_nan=False)
    (folder / FIGURES).write_text(text + "\n", encoding="utf-8")
    for run in runs:
        _write_csv(folder / SERIES / f"{run.name}-power.csv", power_rows(run.outcome))
        _write_csv(folder / SERIES / f"{run.name}-queue.csv", queue_rows(run.outcome))
        _write_csv(folder / SERIES / f"{run.name}-jobs.csv", job_rows(run.outcome))
    page = html_report([(run.outcome, run.figures) for run in runs], about=about)
    (folder / REPORT).write_text(page, encoding="utf-8")


def _write_csv(path: Path, rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def power_rows(outcome: RunOutcome) -> Iterable[Sequence[object]]:
    """Watts at the site meter from `starts_s` on, with a column for each partner."""
    partners = sorted({partner for interval in outcome.intervals for partner in interval.miners_w})
    yield ["starts_s", "limit_w", "site_w", "ai_w", "idle_w", *(f"miner_{partner}_w" for partner in partners)]
    for at in outcome.intervals:
        miners_w = [at.miners_w.get(partner, 0.0) for partner in partners]
        yield [at.starts_s, at.limit_w, at.site_w, at.ai_w, at.idle_w, *miners_w]


def queue_rows(outcome: RunOutcome) -> Iterable[Sequence[object]]:
    """GPUs that wait and run from `starts_s` on."""
    yield ["starts_s", "waiting_gpus", "running_gpus", "powered_nodes"]
    for at in outcome.intervals:
        yield [at.starts_s, at.waiting_gpus, at.running_gpus, at.powered_nodes]


def job_rows(outcome: RunOutcome) -> Iterable[Sequence[object]]:
    """What became of each job."""
    yield _JOB_COLUMNS
    for one in outcome.jobs:
        job = one.job
        asked = [job.id, job.arrives_s, job.gpus, job.work_s, job.priority, job.flex, job.project]
        became = [one.started_s, one.finished_s, one.kept_gpu_s, one.lost_gpu_s]
        yield [*asked, *became, one.pauses, one.kills, one.energy_wh]
