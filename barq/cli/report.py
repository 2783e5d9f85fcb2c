"""`barq report`: a month on paper, for who granted the power."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from barq.cli import facts
from barq.cli.connect import connect
from barq.cli.options import JsonOption, QuietOption
from barq.cli.output import Block, Table, chosen_format, emit, say
from barq.errors import InvalidInput

if TYPE_CHECKING:
    from barq.reporting.comparison import Comparison
    from barq.reporting.meter_file import MeterFile
    from barq.reporting.views import ComplianceView
    from barq.reporting.words import Rows

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

MapOption = Annotated[
    str | None,
    typer.Option(
        "--meter-map",
        metavar="time=COLUMN,value=COLUMN[,unit=kWh]",
        help="Columns of the meter's file. Also stamps=end, format=%d.%m.%Y %H:%M.",
    ),
]


@app.callback()
def report() -> None:
    """Report what the site drew, and who allowed it."""


@app.command("compliance")
def compliance(
    *,
    month: Annotated[str, typer.Option(metavar="YYYY-MM", help="The month, such as 2026-10.")],
    tz: Annotated[
        str, typer.Option(metavar="ZONE", help="Time zone of the month, such as Asia/Karachi.")
    ] = "UTC",
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it as one page.")] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write each quarter of an hour.")] = None,
    meter: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A revenue meter's CSV file to hold it against.")
    ] = None,
    meter_map: MapOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Energy of a month by class: granted, firm, breach; with the documents that allowed it."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    zone = _zone(tz)
    readings = _meter_file(meter, meter_map, zone)
    with connect() as site:
        found = site.compliance_report(month, tz=tz)
    comparison = None
    if readings is not None:
        from barq.reporting.comparison import compare

        comparison = compare(found, readings)
    _write_files(found, comparison, html=html, csv=csv)
    value = dict(found) | ({"meter": comparison.document()} if comparison is not None else {})
    starts = (quarter["starts_at"] for quarter in found["quarters"])
    emit(form, value=value, ids=starts, blocks=lambda: _blocks(found, comparison, zone))


@app.command("correct")
def correct(
    quarter: Annotated[
        str, typer.Argument(metavar="TIME", help="When the quarter begins, such as 2026-10-03T14:15+05:00.")
    ],
    *,
    reason: Annotated[str, typer.Option(help="Shown in each report of that time.")],
    firm_kwh: Annotated[float, typer.Option(metavar="KWH", help="To add; below 0 takes away.")] = 0.0,
    granted_kwh: Annotated[float, typer.Option(metavar="KWH", help="As --firm-kwh.")] = 0.0,
    breach_kwh: Annotated[float, typer.Option(metavar="KWH", help="As --firm-kwh.")] = 0.0,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Add to the energy of a quarter of an hour that is over. What was measured stays on record."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    with connect() as site:
        made = site.correct_quarter(
            quarter,
            firm_wh=firm_kwh * 1000,
            granted_wh=granted_kwh * 1000,
            breach_wh=breach_kwh * 1000,
            reason=reason,
        )
    change = f"{made['tally']['draw_wh']:+,.1f} Wh"
    text = f"corrected the quarter from {made['starts_at']} by {change}: correction {made['number']} of it"
    emit(form, value=made, ids=[made["starts_at"]], blocks=lambda: [text])


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        remedy = "use an IANA name such as Asia/Karachi"
        raise InvalidInput(
            f"--tz: there is no time zone {name!r}", field="--tz", value=name, remedy=remedy
        ) from error


def _meter_file(path: Path | None, columns: str | None, zone: ZoneInfo) -> MeterFile | None:
    from barq.reporting.meter_file import MeterMap, read_map, read_meter_file

    if path is None:
        if columns is not None:
            raise InvalidInput(
                "--meter-map: no file is given", field="--meter-map", remedy="give --meter FILE"
            )
        return None
    return read_meter_file(path, read_map(columns) if columns else MeterMap(), zone)


def _write_files(
    found: ComplianceView, comparison: Comparison | None, *, html: Path | None, csv: Path | None
) -> None:
    from barq.reporting.page import page_of
    from barq.reporting.table import table_of

    if html is not None:
        _write(html, page_of(found, comparison, made_at=facts.utc_now()), "--html")
    if csv is not None:
        _write(csv, table_of(found, comparison), "--csv")


def _write(path: Path, text: str, option: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        message = f"{option}: {path} cannot be written: {error.strerror}"
        raise InvalidInput(message, field=option, value=str(path), remedy="give another path") from error
    say(f"wrote {path}")


def _blocks(found: ComplianceView, comparison: Comparison | None, zone: ZoneInfo) -> list[Block]:
    from barq.reporting import words

    read = [day for day in found["days"] if day["tally"]["covered_s"] or day["tally"]["draw_wh"]]
    dark = len(found["days"]) - len(read)
    by_day = f"By day, without {dark} of which nothing was read:" if dark and read else "By day:"
    blocks: list[Block] = [
        f"{found['site']}, {found['month']} ({found['tz']})",
        *([f"So far: {running}."] if (running := words.so_far(found, zone)) else []),
        Table(rows=words.summary_facts(found, zone)),
        *_titled(by_day, words.day_rows({**found, "days": read})),
        *_titled("Documents that granted power:", words.grant_rows(found)),
        *_titled("Breaches:", words.breach_rows(found, zone)),
        *_titled("Corrections:", words.correction_rows(found, zone)),
    ]
    if comparison is not None:
        blocks += ["", "Beside the revenue meter:", Table(rows=words.meter_facts(comparison, zone))]
        blocks += _titled("Largest differences:", words.largest_rows(comparison, zone))
        blocks += _titled("Missing on either side:", words.missing_rows(comparison, zone))
    return blocks


def _titled(title: str, rows: Rows) -> list[Block]:
    headers, lines = rows
    if not lines:
        return ["", f"{title[:-1]}: none"]
    right = frozenset(
        h for h in headers if h in {"DRAWN", "GRANTED", "FIRM", "FIRM UNDER IT", "BREACH", "OVER"}
    )
    return ["", title, Table(headers=headers, rows=lines, right=right)]
