"""Writes what a simulation found into a folder: figures as JSON, series as CSV, one page to look at.

All is written to a new folder beside the target and takes its name at the end, so that a reader finds all of it or
what was there before. A folder is replaced only if nothing but an earlier result is in it.
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from scheduler.errors import BarqError
from scheduler.sim.judged import Judged
from scheduler.sim.outcome import RunOutcome
from scheduler.sim.report import Section, page_of, section_of

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


class Results:
    """A folder in the making. It takes runs as they come, in any order, and lets go of them."""

    def __init__(self, made: Path, *, of: int) -> None:
        self._made = made
        self._of = of
        self._sections: dict[int, Section] = {}
        (made / SERIES).mkdir(parents=True)

    def add(self, number: int, run: Judged) -> None:
        """The run of that number: its place in the tables. Raises OSError, and ValueError for a name that is taken."""
        if self._series(run, "power").exists():
            raise ValueError(f"runs: two are called {run.name!r}; give each policy a name of its own")
        _write_csv(self._series(run, "power"), power_rows(run.outcome))
        _write_csv(self._series(run, "queue"), queue_rows(run.outcome))
        _write_csv(self._series(run, "jobs"), job_rows(run.outcome))
        self._sections[number] = section_of(run.outcome, run.figures, of=self._of)

    def close(self, about: Mapping[str, Any]) -> None:
        """The table of all figures, and the page."""
        sections = [self._sections[number] for number in sorted(self._sections)]
        table = {**about, "runs": [dict(one.figures) for one in sections]}
        text = json.dumps(table, indent=1, allow_nan=False)
        (self._made / FIGURES).write_text(text + "\n", encoding="utf-8")
        (self._made / REPORT).write_text(page_of(sections, about=about), encoding="utf-8")

    def _series(self, run: Judged, what: str) -> Path:
        return self._made / SERIES / f"{run.name}-{what}.csv"


@contextmanager
def results_in(folder: Path, *, about: Mapping[str, Any], of: int) -> Iterator[Results]:
    """Where `of` runs go to. The folder has all of them at the end of the block, or stays as it was if that fails.

    `about` are the command, versions, caveats. Raises `NotOurs`, ValueError, OSError.
    """
    folder = folder.resolve()
    check_folder(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as made_in:
        made = Path(made_in) / "new"
        results = Results(made, of=of)
        yield results
        results.close(about)
        check_folder(folder)  # hours may have passed
        if folder.exists():
            folder.rename(Path(made_in) / "old")  # goes with the temporary folder
        made.rename(folder)


def write_results(runs: Sequence[Judged], folder: Path, *, about: Mapping[str, Any]) -> None:
    """All runs at once, as `results_in`."""
    with results_in(folder, about=about, of=len(runs)) as results:
        for number, run in enumerate(runs):
            results.add(number, run)


def check_folder(folder: Path, *, only_new: bool = False) -> None:
    """Asked before hours of work too. Raises `NotOurs` if the folder is a file or holds what we did not write.

    With `only_new`, an earlier result of ours is in the way too.
    """
    if folder.is_file():
        raise NotOurs(f"--out: {folder} is a file; name a folder")
    names = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    others = [name for name in names if name not in _OURS]
    if others:
        raise NotOurs(
            f"--out: {folder} holds {others[0]!r}, which is no result of ours; name a new or empty folder"
        )
    if names and only_new:
        raise NotOurs(
            f"--out: {folder} holds an earlier result; name another folder, or replace it with --force"
        )


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
