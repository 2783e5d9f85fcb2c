"""The plots of a run, made by Bokeh: limit against load, queue, and who had the GPUs in the worst hour.

Each is thinned to a number of points that a browser likes. Means over buckets of equal length are drawn, so that areas
are energy; the highest draw of a bucket is drawn too, or a short breach would vanish in its mean.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from bokeh.models import ColumnDataSource, FactorRange, HoverTool, Range1d
from bokeh.plotting import figure

from scheduler.sim.capacity import Floats
from scheduler.sim.outcome import RunOutcome, Span
from scheduler.sim.readings import Readings
from scheduler.sim.steps import Steps, aligned, block_edges

USES: Final = (("idle", "idle_w", "#a9b4bc"), ("AI", "ai_w", "#3d7abd"), ("mining", "mined_w", "#dcab52"))
"""What is stacked, from the ground up: its name, its column and its colour (those of the dashboard)."""
INK: Final = "#182026"
BREACH: Final = "#ad1f17"
_SPANS: Final = {"run": "#3d7abd", "save": "#845400", "restore": "#dcab52", "boot": "#a9b4bc"}
_GREY: Final = "#5a6770"
_HOUR_S: Final = 3600.0
_KW: Final = 1e3
MOST_BARS: Final = 120
"""Jobs on the picture of an hour: the largest."""


def power_plot(readings: Readings, points: int) -> Any:  # noqa: ANN401 - Bokeh's models are made at run time
    """The limit as a line over what the site draws, stacked by use, kW over hours."""
    block_s = readings.ends_s / points
    columns = {"limit": _means(readings, readings.limit_w, block_s), "draw": _highest(readings, block_s)}
    ground = np.zeros_like(columns["limit"])
    for name, column, _ in USES:
        columns[name] = _means(readings, getattr(readings, column), block_s)
        columns[f"{name}_from"], ground = ground, ground + columns[name]
        columns[f"{name}_to"] = ground
    source = _source(readings, block_s, columns)
    plot = _figure("kW", 260, readings)
    for name, _, colour in USES:
        plot.varea_step(
            x="hours",
            y1=f"{name}_from",
            y2=f"{name}_to",
            source=source,
            step_mode="after",
            color=colour,
            legend_label=name,
        )
    plot.step(
        x="hours",
        y="draw",
        source=source,
        mode="after",
        color=BREACH,
        line_width=0.5,
        legend_label="highest draw",
    )
    limit = plot.step(
        x="hours", y="limit", source=source, mode="after", color=INK, line_width=1.5, legend_label="limit"
    )
    tips = [(name, f"@{{{name}}}{{0.0}} kW") for name in ("limit", "draw", *(name for name, _, _ in USES))]
    plot.add_tools(HoverTool(renderers=[limit], mode="vline", tooltips=[("hour", "@hours{0.00}"), *tips]))
    return _with_legend(plot)


def queue_plot(readings: Readings, points: int) -> Any:  # noqa: ANN401 - as above
    """GPUs that run, and those that waiting jobs ask for."""
    block_s = readings.ends_s / points
    columns = {
        "running": _means(readings, readings.running_gpus, block_s) * _KW,
        "waiting": _means(readings, readings.waiting_gpus, block_s) * _KW,
    }
    source = _source(readings, block_s, columns)
    plot = _figure("GPUs", 160, readings)
    for name, colour in (("waiting", _GREY), ("running", USES[1][2])):
        plot.step(
            x="hours", y=name, source=source, mode="after", color=colour, line_width=1.5, legend_label=name
        )
    tips = [("hour", "@hours{0.00}"), ("running", "@running{0}"), ("waiting", "@waiting{0}")]
    plot.add_tools(HoverTool(mode="vline", tooltips=tips))
    return _with_legend(plot)


def gantt_plot(outcome: RunOutcome, readings: Readings) -> Any:  # noqa: ANN401 - as above
    """Who had GPUs in the worst hour, the largest jobs on top. None without spans in it."""
    begins_s = worst_hour_s(outcome, readings)
    ends_s = min(begins_s + _HOUR_S, outcome.window_s)
    spans = [span for span in outcome.spans if span.starts_s < ends_s and span.ends_s > begins_s]
    if not spans:
        return None
    gpus = {span.job_id: span.gpus for span in spans}
    jobs = sorted(gpus, key=lambda job_id: (-gpus[job_id], job_id))[:MOST_BARS]
    bars = [span for span in spans if span.job_id in set(jobs)]
    plot = figure(
        height=60 + 12 * len(jobs),
        sizing_mode="stretch_width",
        y_range=FactorRange(factors=jobs[::-1]),
        x_range=Range1d(start=begins_s / 60, end=ends_s / 60),
        x_axis_label="minutes since the window began",
        tools="",
        toolbar_location=None,
    )
    for what in sorted({span.what for span in bars}):
        source = _bars([span for span in bars if span.what == what])
        colour = _SPANS.get(what, _GREY)
        plot.hbar(
            y="job", left="left", right="right", height=0.8, source=source, color=colour, legend_label=what
        )
    plot.add_tools(
        HoverTool(tooltips=[("job", "@job"), ("GPUs", "@gpus"), ("minutes", "@left{0.0} .. @right{0.0}")])
    )
    plot.ygrid.visible = False
    return _with_legend(plot)


def worst_hour_s(outcome: RunOutcome, readings: Readings) -> float:
    """When the worst hour begins: that with the most energy over the limit, then that in which most spans begin."""
    edges_s = block_edges(outcome.window_s, _HOUR_S)
    limit = readings.steps(readings.limit_w).highest_of_last(outcome.reaction_s)
    draw, limit = aligned(readings.steps(readings.site_w), limit)
    over = Steps(
        starts_s=draw.starts_s, values=np.maximum(draw.values - limit.values, 0.0), ends_s=draw.ends_s
    )
    broken = np.round(over.integrals(edges_s), 3)
    begun, _ = np.histogram([span.starts_s for span in outcome.spans], bins=edges_s)
    return float(edges_s[np.lexsort((begun, broken))[-1]])


def _bars(spans: list[Span]) -> ColumnDataSource:
    return ColumnDataSource(
        {
            "job": [span.job_id for span in spans],
            "left": [span.starts_s / 60 for span in spans],
            "right": [span.ends_s / 60 for span in spans],
            "gpus": [span.gpus for span in spans],
        }
    )


def _means(readings: Readings, values: Floats, block_s: float) -> Floats:
    return readings.steps(values).means(block_s).values / _KW


def _highest(readings: Readings, block_s: float) -> Floats:
    edges_s = block_edges(readings.ends_s, block_s)[:-1]
    starts_s = np.unique(np.append(readings.starts_s, edges_s))
    draw = readings.steps(readings.site_w).at(starts_s)
    highest: Floats = np.maximum.reduceat(draw, np.searchsorted(starts_s, edges_s)) / _KW
    return highest


def _source(readings: Readings, block_s: float, columns: dict[str, Floats]) -> ColumnDataSource:
    """With the last value once more at the end: a step needs somewhere to go. Half the precision is enough to see."""
    hours = block_edges(readings.ends_s, block_s) / _HOUR_S
    closed = {name: np.append(values, values[-1]).astype(np.float32) for name, values in columns.items()}
    return ColumnDataSource({"hours": hours.astype(np.float32), **closed})


def _figure(label: str, height: int, readings: Readings) -> Any:  # noqa: ANN401 - as above
    return figure(
        height=height,
        sizing_mode="stretch_width",
        x_range=Range1d(start=0.0, end=readings.ends_s / _HOUR_S),
        x_axis_label="hours since the window began",
        y_axis_label=label,
        tools="xpan,xwheel_zoom,xbox_zoom,reset",
        toolbar_location="right",
    )


def _with_legend(plot: Any) -> Any:  # noqa: ANN401 - as above
    plot.outline_line_color = None
    plot.xgrid.visible = False
    plot.add_layout(plot.legend[0], "above")
    plot.legend[0].orientation = "horizontal"
    plot.legend[0].border_line_color = None
    plot.toolbar.logo = None
    return plot
