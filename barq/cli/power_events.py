"""`barq power events`, `barq power event`."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from barq.cli.connect import connect
from barq.cli.facts import NOTHING, lines_of, moment
from barq.cli.options import JsonOption, QuietOption, past_instant
from barq.cli.output import Block, Format, Table, chosen_format, emit, say
from barq.errors import InvalidInput
from barq.units import format_duration, format_power

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

    from barq.client import Client
    from barq.event_views import PlanProofView, PowerEventDetail, PowerEventView

_PAGE_SIZE = 500
_HEADERS = (
    "ID",
    "BEGAN",
    "LIMIT",
    "BEFORE",
    "HELD AT",
    "DEPTH",
    "COMPLIED",
    "LASTED",
    "OVER",
    "REBOUND",
    "SOURCE",
)
_SPARE = ("REBOUND", "BEFORE", "HELD AT", "OVER")
_LOCAL = frozenset({"id", "began_at", "plan"})
"""What a single event says in words of its own."""

SinceOption = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Only those that began from then on: 2026-03-01T13:00Z, or 24h for a day ago.",
    ),
]
UntilOption = Annotated[str | None, typer.Option(metavar="TIME", help="Only those that began before then.")]


def events(
    *,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="At most so many.")] = 50,
    every: Annotated[bool, typer.Option("--all", help="All of them, however many.")] = False,
    csv_file: Annotated[
        Path | None,
        typer.Option(
            "--csv", metavar="FILE", help="Write all of them there, units in the column names; - = stdout."
        ),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """List falls of the limit, newest first: how deep and how fast the site went down, and how it came back."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    most = None if every or csv_file is not None else limit
    with connect() as site:
        found = _found(
            site, since=past_instant(since, "--since"), until=past_instant(until, "--until"), most=most
        )
    if csv_file is not None:
        _export(csv_file, found)
        return
    shown = found[:most]
    emit(form, value=shown, ids=(event["id"] for event in shown), blocks=lambda: [_table(shown)])
    if form is Format.TABLE and not shown:
        say("no power events")
    if len(shown) < len(found):
        say(f"there are more than {limit}: --limit N shows more, --all shows all")


def event(
    event_id: Annotated[str, typer.Argument(metavar="ID", help="As `barq power events` lists it.")],
    *,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show one fall of the limit, what would have been drawn without it, and where the log proves that."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    if not (event_id.isascii() and event_id.isdigit()):
        raise InvalidInput(
            f"{event_id!r} is no power event",
            field="ID",
            value=event_id,
            remedy="give a number that `barq power events` lists",
        )
    with connect() as site:
        found = site.power_event(event_id)
    emit(form, value=found, ids=[found["id"]], blocks=lambda: _blocks(found))


def _found(site: Client, *, since: str | None, until: str | None, most: int | None) -> list[PowerEventView]:
    """All that match, newest first; with `most` at least one more than that, if there are."""
    found: list[PowerEventView] = []
    after = None
    while most is None or len(found) <= most:
        size = _PAGE_SIZE if most is None else min(_PAGE_SIZE, most + 1)
        page = site.power_events(since=since, until=until, limit=size, after=after)
        found += page["events"]
        after = page["next"]
        if after is None:
            break
    return found


def _table(found: Sequence[PowerEventView]) -> Table:
    return Table(
        headers=_HEADERS, rows=[_row(e) for e in found], right=frozenset(_HEADERS[2:-1]), spare=_SPARE
    )


def _row(one: PowerEventView) -> tuple[str, ...]:
    share = one["depth_share"]
    rebound = one["rebound_ratio"]
    return (
        one["id"],
        moment(one["began_at"]),
        format_power(one["limit_w"]),
        _power(one["baseline_w"]),
        _power(one["held_mean_w"]),
        NOTHING if share is None else f"{share:.0%}",
        _complied(one),
        "goes on" if one["duration_s"] is None else format_duration(one["duration_s"]),
        format_duration(one["over_limit_s"]),
        NOTHING if rebound is None else f"{rebound:.2f}",
        one["source"],
    )


def _complied(one: PowerEventView) -> str:
    """After how long. A limit that was raised again before is none that was complied with, and asks nothing more."""
    if one["time_to_comply_s"] is not None:
        return format_duration(one["time_to_comply_s"])
    return "not yet" if one["released_at"] is None else "released"


def _power(power_w: float | None) -> str:
    return NOTHING if power_w is None else format_power(power_w)


def _blocks(found: PowerEventDetail) -> list[Block]:
    head = f"power event {found['id']}: the limit fell at {moment(found['began_at'])}"
    known = lines_of({name: value for name, value in found.items() if name not in _LOCAL})
    return [head, Table(rows=known), "", *_plan(found["plan"])]


def _plan(plan: PlanProofView | None) -> list[Block]:
    if plan is None:
        return ["What would have been drawn without it is not on record: nothing had been read before."]
    line = plan["line"]
    where = "in no line of the log" if line is None else f"in event {line['seq']} of the log"
    return [
        f"Without it, as planned; on record since {moment(plan['made_at'])}, its hash {where}:",
        plan["text"],
    ]


def _export(file: Path, found: Sequence[PowerEventView]) -> None:
    if str(file) == "-":
        _write(sys.stdout, found)
        return
    try:
        with file.open("w", encoding="utf-8", newline="") as opened:
            _write(opened, found)
    except OSError as error:
        raise InvalidInput(
            f"--csv: {file} cannot be written: {error.strerror}",
            field="--csv",
            value=str(file),
            remedy="name another file",
        ) from error
    say(f"wrote {len(found)} power events to {file}")


def _write(file: TextIO, found: Sequence[PowerEventView]) -> None:
    """One row each, oldest first; what is not known is empty."""
    from barq.event_views import PowerEventView

    rows = csv.DictWriter(file, fieldnames=list(PowerEventView.__annotations__), extrasaction="ignore")
    rows.writeheader()
    rows.writerows(reversed(found))
