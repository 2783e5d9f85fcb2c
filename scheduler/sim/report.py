"""One page that needs nothing else: a table of the figures of all runs, and plots of each, drawn when it is opened."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from bokeh.embed import json_item
from bokeh.layouts import column as stacked
from bokeh.resources import Resources
from jinja2 import Environment, PackageLoader

from scheduler.sim.outcome import RunOutcome
from scheduler.sim.pictures import gantt_plot, power_plot, queue_plot
from scheduler.sim.readings import Readings

Run = tuple[RunOutcome, Mapping[str, Any]]
"""What happened, and the figures made of it by `summary`."""
_POINTS: Final = (200, 2000)
_POINTS_IN_ALL: Final = 24_000
"""Shared out among the runs, within the bounds above: a page of any number of runs stays at a few MB."""
NOTHING: Final = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A figure in the table: its heading, what it says in full, and how it is written."""

    key: str
    heading: str
    meaning: str
    written: Callable[[float], str]


def _plain(digits: int) -> Callable[[float], str]:
    return lambda value: f"{value:,.{digits}f}"


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:,.2f}"


COLUMNS: Final = tuple(
    Column(key=key, heading=heading, meaning=meaning, written=written)
    for key, heading, meaning, written in (
        ("goodput_gpu_h", "goodput GPU-h", "full-speed GPU-hours of progress that is kept", _plain(0)),
        ("share_of_bound", "of bound", "goodput over what perfect foresight could reach", _percent),
        ("value", "value", "goodput weighted by priority", _plain(0)),
        ("violation_s", "over limit s", "seconds over the limit in force", _plain(1)),
        ("violation_kwh", "over limit kWh", "energy over the limit in force", _plain(2)),
        (
            "surplus_used_share",
            "surplus used",
            "of the energy that the limit granted, miners included",
            _percent,
        ),
        (
            "wasted_share",
            "wasted",
            "mined or unused while a job that could have run waited, of all offered",
            _percent,
        ),
        ("lost_gpu_h", "lost GPU-h", "saving, restoring and rolled back work", _plain(0)),
        ("pauses", "pauses", "saved or killed for another or for power", _plain(0)),
        ("kills", "kills", "pauses without a save", _plain(0)),
        ("flow_mean_s", "flow mean h", "arrival to end, or to the end of the window", _hours),
        ("jct_mean_s", "JCT mean h", "arrival to end of the finished", _hours),
        ("jct_p50_s", "p50 h", "median of it", _hours),
        ("jct_p99_s", "p99 h", "its 99th percentile", _hours),
        ("bounded_slowdown_mean", "slowdown", "mean bounded slowdown of the finished, 10 s", _plain(2)),
        ("finished", "finished", "jobs that ended within the window", _plain(0)),
        ("unfinished", "unfinished", "jobs that did not", _plain(0)),
        ("jain_projects", "Jain", "fairness over projects, 1 is best", _plain(3)),
        ("kwh_per_gpu_h", "kWh per GPU-h", "energy without mining for a GPU-hour kept", _plain(3)),
        ("miner_kwh", "mined kWh", "energy of all partners", _plain(0)),
        ("wall_s", "took s", "wall time of the simulation", _plain(1)),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What the page keeps of a run: its figures, and its plots as text, thinned. The run itself may go."""

    figures: Mapping[str, Any]
    plots: str


def section_of(outcome: RunOutcome, figures: Mapping[str, Any], *, of: int) -> Section:
    """That of one run of `of` on the page."""
    points = min(max(_POINTS_IN_ALL // max(of, 1), _POINTS[0]), _POINTS[1])
    return Section(figures=figures, plots=_embedded(plots_of(outcome, points)))


def html_report(runs: Sequence[Run], *, about: Mapping[str, Any]) -> str:
    """The page. `about` is printed above the table: the command, versions, caveats of the data."""
    return page_of([section_of(*run, of=len(runs)) for run in runs], about=about)


def page_of(sections: Sequence[Section], *, about: Mapping[str, Any]) -> str:
    """As `html_report`, of runs that are gone."""
    page = (
        _environment()
        .get_template("report.html")
        .render(
            about={name: _said(value) for name, value in about.items()},
            script=_bokeh_script(),
            columns=COLUMNS,
            rows=[(one.figures, [_cell(one.figures, column) for column in COLUMNS]) for one in sections],
            items=[one.plots for one in sections],
        )
    )
    return page + "\n"


def _said(value: object) -> str:
    """A fact about all runs, a list line by line."""
    if isinstance(value, list | tuple):
        return "\n".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value)


def plots_of(outcome: RunOutcome, points: int) -> list[Any]:
    """The plots of a run, each thinned to so many points."""
    readings = Readings.of(outcome)
    power, queue = power_plot(readings, points), queue_plot(readings, points)
    queue.x_range = power.x_range
    gantt = gantt_plot(outcome, readings)
    return [power, queue, *([gantt] if gantt else [])]


def _embedded(plots: list[Any]) -> str:
    text = json.dumps(json_item(stacked(plots, sizing_mode="stretch_width")), separators=(",", ":"))
    return text.replace("<", "\\u003c")  # a job may be called </script>


def _cell(figures: Mapping[str, Any], column: Column) -> str:
    value = figures.get(column.key)
    return NOTHING if value is None else column.written(value)


@cache
def _bokeh_script() -> str:
    return Resources(mode="inline", components=["bokeh"]).render_js()


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("scheduler.sim", "pages"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
