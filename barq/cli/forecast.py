"""`barq forecast`: the limit of the hours to come, whose word it is, and how good forecasts have been."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from barq.cli.connect import connect
from barq.cli.facts import NOTHING, ago, clock_time
from barq.cli.options import JsonOption, QuietOption
from barq.cli.output import Block, Table, chosen_format, emit
from barq.units import format_power

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from barq.forecast_views import ExpectedView, ForecastView, LeadView, ScoreView

_STEP_S: Final = 3600
_WORDS: Final = {
    "learned": "learned from history",
    "yesterday": "persistence, as yesterday",
    "last": "persistence, as now",
}
_MOST_HOURS: Final = 48


def forecast(
    *,
    hours: Annotated[
        int, typer.Option(min=1, max=_MOST_HOURS, metavar="N", help="How many hours to list.")
    ] = 24,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show the limit of the hours to come: published, foreseen, or made from history; and how good that has been.

    It is planned on, and never a limit.
    """
    form = chosen_format(as_json=as_json, quiet=quiet)
    with connect() as site:
        found = site.forecast(step_s=_STEP_S)
    emit(form, value=found, ids=(row["at"] for row in found["rows"]), blocks=lambda: _blocks(found, hours))


def _blocks(found: ForecastView, hours: int) -> list[Block]:
    blocks: list[Block] = [_rows_table(found["rows"][: hours + 1]), "", _sentence(found)]
    if scored := [one for one in found["scores"] if one["loss_w"] is not None]:
        blocks += ["", _scores_table(scored)]
    return blocks


def _sentence(found: ForecastView) -> str:
    """What forecasts from history are worth, and whether anything follows from them."""
    why = f"{found['why'][:1].upper()}{found['why'][1:]}."
    if found["made_at"] is None:
        return why
    used = "Starts are planned on it" if found["is_used"] else "Nothing is planned on it"
    return f"{why} Made {ago(found['made_at'])}. {used}."


def _rows_table(rows: Sequence[ExpectedView]) -> Table:
    headers = ("FROM", "P10", "P50", "P90", "BY", "SOURCE")
    cells = [
        (
            clock_time(row["at"]),
            *(format_power(row[key]) for key in ("p10_w", "p50_w", "p90_w")),
            row["by"],
            row["source"],
        )
        for row in rows
    ]
    return Table(headers=headers, rows=cells, right=frozenset({"P10", "P50", "P90"}))


def _scores_table(scores: Iterable[ScoreView]) -> Table:
    """The mean pinball loss by lead time, and how much came between p10 and p90."""
    scores = list(scores)
    leads = [f"< {lead['until_h']} h" for lead in scores[0]["by_lead"]]
    rows = [
        (
            _WORDS[one["method"]],
            *(_lead(lead) for lead in one["by_lead"]),
            NOTHING if one["loss_w"] is None else format_power(one["loss_w"]),
        )
        for one in scores
    ]
    headers = ("PINBALL LOSS, COVERED", *leads, "MEAN")
    return Table(headers=headers, rows=rows, right=frozenset(headers[1:]))


def _lead(lead: LeadView) -> str:
    losses, covered = lead["pinball_w"], lead["covered"]
    if losses is None or covered is None:
        return NOTHING
    return f"{format_power(sum(losses) / len(losses))}, {covered:.0%}"
