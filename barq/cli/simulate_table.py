"""What `barq simulate` shows: how far it is, and the figures of all runs as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from barq.cli.output import Block, Table

NOTHING: Final = "-"
_RECENT_S: Final = 600.0
"""The time left is reckoned from the pace of so long: neighbouring cases may differ twofold."""


def _plain(value: float) -> str:
    return f"{value:,.0f}"


def _tenths(value: float) -> str:
    return f"{value:,.1f}"


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:,.2f}"


_NAMES: Final = (("Jobs", "jobs"), ("Power", "power"), ("Policy", "policy"))
_FIGURES: Final[tuple[tuple[str, str, Callable[[float], str]], ...]] = (
    ("Goodput GPU-h", "goodput_gpu_h", _plain),
    ("Of bound", "share_of_bound", _percent),
    ("Over limit s", "violation_s", _tenths),
    ("Surplus used", "surplus_used_share", _percent),
    ("Wasted", "wasted_share", _percent),
    ("Lost GPU-h", "lost_gpu_h", _tenths),
    ("Pauses", "pauses", _plain),
    ("Kills", "kills", _plain),
    ("Flow h", "flow_mean_s", _hours),
    ("p50 h", "jct_p50_s", _hours),
    ("p99 h", "jct_p99_s", _hours),
    ("Finished", "finished", _plain),
    ("Unfinished", "unfinished", _plain),
    ("Mined kWh", "miner_kwh", _plain),
    ("Took s", "wall_s", _tenths),
)

_SPARE: Final = (
    "Took s",
    "Unfinished",
    "p50 h",
    "Finished",
    "Mined kWh",
    "p99 h",
    "Wasted",
    "Pauses",
    "Kills",
    "Flow h",
    "Lost GPU-h",
    "Surplus used",
    "Of bound",
)


def blocks(runs: Sequence[Mapping[str, Any]], notes: Sequence[str]) -> list[Block]:
    """A row for each run, and below what belongs beside them."""
    headers = [header for header, _ in _NAMES] + [header for header, *_ in _FIGURES]
    rows = [_row(run) for run in runs]
    table = Table(
        headers=headers, rows=rows, right=frozenset(header for header, *_ in _FIGURES), spare=_SPARE
    )
    below = [*notes, *dict.fromkeys(_faults(run) for run in runs if "faults" in run)]
    return [table, *(["", *below] if below else [])]


def _faults(run: Mapping[str, Any]) -> str:
    """What went wrong: under each policy the same, but that nothing in standby crashes."""
    happened = ", ".join(f"{fault} {times}" for fault, times in run["faults"].items())
    return f"{run['jobs']} on {run['power']}: went wrong: {happened or 'messages and saves at most'}"


def _row(run: Mapping[str, Any]) -> list[str]:
    figures = [(run[key], written) for _, key, written in _FIGURES]
    return [
        *(str(run[key]) for _, key in _NAMES),
        *(NOTHING if value is None else written(value) for value, written in figures),
    ]


@contextmanager
def progress(names: Sequence[str]) -> Iterator[Callable[[Sequence[float]], None]]:
    """A bar on a terminal, with the time left; nothing anywhere else. It is told the share of each case, 0 to 1."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>5.1f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, speed_estimate_period=_RECENT_S) as bar:
        task = bar.add_task(_where(names, [0.0] * len(names)), total=float(len(names)))
        yield lambda shares: bar.update(task, completed=sum(shares), description=_where(names, shares))


def _where(names: Sequence[str], shares: Sequence[float]) -> str:
    """The first case that is not done."""
    at = next((number for number, share in enumerate(shares) if share < 1.0), len(names) - 1)
    return f"{at + 1} of {len(names)}: {names[at]}"
