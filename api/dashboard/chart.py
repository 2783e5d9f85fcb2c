"""The chart of the limit against the stacked load, made by Bokeh once; the page fills and colours it.

The figure is the same for everybody: its times are milliseconds that the page has shifted to the reader's zone, its
colours are set by the page, which knows whether it is dark.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Final

USES: Final = (("site", "rest"), ("AI", "ai"), ("mining", "mining"))
"""What is stacked, from the ground up: how it is called, and its column of watts."""
_HEIGHT_PX: Final = 240


@cache
def chart_json() -> str:
    """The figure as the JSON that Bokeh's `embed_item` takes, its columns empty."""
    from bokeh.embed import json_item  # noqa: PLC0415 - half a second that only who looks at a chart should wait

    return json.dumps(json_item(_figure()), separators=(",", ":"))


def _figure() -> Any:  # noqa: ANN401 - Bokeh is imported only when it is used
    from bokeh.models import ColumnDataSource, HoverTool, Range1d  # noqa: PLC0415
    from bokeh.plotting import figure  # noqa: PLC0415

    columns = ["t", "limit", "draw", *(name for _, name in USES), *(f"{name}_top" for _, name in USES)]
    source = ColumnDataSource({name: [] for name in ["ground", *columns]}, name="power")
    plot = figure(
        name="plot",
        height=_HEIGHT_PX,
        sizing_mode="stretch_both",
        x_axis_type="datetime",
        x_range=Range1d(start=0, end=1),
        y_range=Range1d(start=0, end=1),
        toolbar_location=None,
        tools="",
        background_fill_color=None,
        border_fill_color=None,
    )
    below = "ground"
    for _, name in USES:
        plot.varea(x="t", y1=below, y2=f"{name}_top", source=source, name=name)
        below = f"{name}_top"
    top = plot.line(x="t", y="draw", source=source, line_alpha=0)
    plot.step(x="t", y="limit", source=source, mode="after", line_width=2, name="limit")
    kilowatts = [("limit", "@limit{0.0} kW"), *((word, f"@{name}{{0.0}} kW") for word, name in USES)]
    hover = HoverTool(
        renderers=[top],
        mode="vline",
        tooltips=[("time", "@t{%H:%M:%S}"), *kilowatts],
        formatters={"@t": "datetime"},
        point_policy="follow_mouse",
    )
    plot.add_tools(hover)
    _quieten(plot)
    return plot


def _quieten(plot: Any) -> None:  # noqa: ANN401 - as above
    """Few lines and no frame: what is drawn is the power."""
    plot.outline_line_color = None
    plot.xgrid.visible = False
    plot.min_border = 0
    for axis in plot.axis:
        axis.axis_line_color = None
        axis.minor_tick_line_color = None
        axis.major_tick_line_color = None
        axis.major_label_text_font = "system-ui, sans-serif"
        axis.major_label_text_font_size = "12px"
    plot.yaxis.formatter.use_scientific = False
    ticks = plot.xaxis.formatter
    ticks.seconds = ticks.minsec = "%H:%M:%S"
    ticks.context = None
    ticks.minutes = ticks.hourmin = ticks.hours = ticks.days = "%H:%M"
