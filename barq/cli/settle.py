"""`barq settle`: a month with a mining partner; `barq settle adjust`, `barq settle balance`."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from barq.cli.connect import connect
from barq.cli.exits import ExitCode
from barq.cli.options import JsonOption, QuietOption
from barq.cli.output import Block, Table, chosen_format, emit, say
from barq.errors import InvalidInput

if TYPE_CHECKING:
    from barq.reporting.settlement_views import StatementView
    from barq.reporting.words import Rows

app = typer.Typer(add_completion=False, rich_markup_mode=None, invoke_without_command=True)
_WS_PER_KWH = 3_600_000
_UNIT = 1_000_000
PartnerOption = Annotated[str | None, typer.Option("--partner", metavar="NAME", help="A mining partner.")]
MonthOption = Annotated[
    str | None, typer.Option(metavar="YYYY-MM", help="The month in UTC, such as 2026-10.")
]


@app.callback()
def settle(
    ctx: typer.Context,
    *,
    partner: PartnerOption = None,
    month: MonthOption = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write it there as CSV, JSON and one page.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show what a month comes to with a mining partner, and check that it adds up."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    if ctx.invoked_subcommand is not None:
        return
    partner, month = _given("--partner", partner), _given("--month", month)
    with connect() as site:
        found = site.settlement(partner, month)
    from barq.reporting.settlement import complaints

    wrong = complaints(found)
    if out is not None:
        _write_files(out, found, wrong)
    hashes = (link["hash"] for link in found["links"])
    emit(form, value=found, ids=hashes, blocks=lambda: _blocks(found, wrong))
    if wrong:
        say(f"it does not add up: {wrong[0]}" + (f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""))
        raise typer.Exit(ExitCode.FAILED)


@app.command("adjust")
def adjust(
    interval: Annotated[
        str, typer.Argument(metavar="TIME", help="When the interval begins, such as 2026-10-03T14:15Z.")
    ],
    *,
    partner: Annotated[str, typer.Option(metavar="NAME", help="A mining partner.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Shown in each statement of that month.")],
    metered_kwh: Annotated[str, typer.Option(metavar="KWH", help="To add; below 0 takes away.")] = "0",
    curtailed_kwh: Annotated[str, typer.Option(metavar="KWH", help="As --metered-kwh, with --cause.")] = "0",
    cause: Annotated[str | None, typer.Option(metavar="CAUSE", help="Such as grid or ai_preempt.")] = None,
    charge: Annotated[
        str | None, typer.Option(metavar="MONEY", help="To add; by the interval's price if left out.")
    ] = None,
    credit: Annotated[
        str | None, typer.Option(metavar="MONEY", help="To add; by its credit rate if left out.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Add to an interval that is over. What was settled stays on record."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    curtailed_ws = _whole("--curtailed-kwh", curtailed_kwh, _WS_PER_KWH)
    if bool(curtailed_ws) != (cause is not None):
        raise InvalidInput(
            "--curtailed-kwh and --cause belong together", field="--cause", remedy="give both, or neither"
        )
    with connect() as site:
        made = site.adjust_settlement(
            partner,
            interval,
            metered_ws=_whole("--metered-kwh", metered_kwh, _WS_PER_KWH),
            curtailed_ws={} if cause is None else {cause: curtailed_ws},
            charge_micro=None if charge is None else _whole("--charge", charge, _UNIT),
            credit_micro=None if credit is None else _whole("--credit", credit, _UNIT),
            reason=reason,
        )
    from barq.reporting.settlement_words import kwh, money

    text = (
        f"adjusted the interval from {made['starts_at']} of {made['partner_id']} by {kwh(made['metered_ws'])}: "
        f"charge {money(made['charge_micro'])}, credit {money(made['credit_micro'])}; "
        f"adjustment {made['number']} of it"
    )
    emit(form, value=made, ids=[made["starts_at"]], blocks=lambda: [text])


@app.command("balance")
def balance(
    *,
    month: Annotated[str, typer.Option(metavar="YYYY-MM", help="The month in UTC, such as 2026-10.")],
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show where the energy at the site's meter went: partners, AI, overhead, losses."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    with connect() as site:
        found = site.balances(month)
    from barq.reporting.settlement_words import balance_rows

    starts = (one["starts_at"] for one in found["balances"])
    emit(form, value=found, ids=starts, blocks=lambda: _titled("Balance:", balance_rows(found))[1:])


def _given(option: str, value: str | None) -> str:
    if value is None:
        raise InvalidInput(f"{option}: is missing", field=option, remedy=f"give {option}, or see --help")
    return value


def _whole(option: str, text: str, units: int) -> int:
    """The whole watt-seconds or micro-units of a number. Raises InvalidInput where it is none, or a finer one."""
    try:
        value = Decimal(text) * units
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or value != value.to_integral_value():
        remedy = f"write a number such as 1.25; the finest step is 1/{units:,}"
        raise InvalidInput(f"{option}: {text!r} is refused", field=option, value=text, remedy=remedy)
    return int(value)


def _write_files(out: Path, found: StatementView, wrong: list[str]) -> None:
    import json

    from barq.reporting.settlement import table_of
    from barq.reporting.settlement_page import page_of

    name = f"settlement-{found['partner']}-{found['month']}"
    texts = {
        ".csv": table_of(found),
        ".json": json.dumps(found, indent=1) + "\n",
        ".html": page_of(found, complaints=wrong),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for ending, text in texts.items():
            (out / (name + ending)).write_text(text, encoding="utf-8")
    except OSError as error:
        message = f"--out: {out} cannot be written: {error.strerror}"
        raise InvalidInput(message, field="--out", value=str(out), remedy="give another path") from error
    say(f"wrote {name}.csv, .json and .html to {out}")


def _blocks(found: StatementView, wrong: list[str]) -> list[Block]:
    from barq.reporting import settlement_words as words

    proof = (
        "it adds up: amounts by their rates, totals, readings, hashes" if not wrong else "it does not add up:"
    )
    return [
        f"{found['partner']} at {found['site']}, {found['month']} (UTC)",
        Table(rows=words.summary_facts(found)),
        *_titled("Sums:", words.sum_rows(found)),
        *_titled("Curtailed, by cause:", words.cause_rows(found)),
        *(_titled("Notice of curtailments:", notices) if (notices := words.notice_rows(found))[1] else ()),
        *_titled("By day:", words.day_rows(found)),
        *_titled("What prices were made of:", words.input_rows(found)),
        *_titled("Without a price:", words.unpriced_rows(found)),
        *_titled("Adjustments:", words.adjustment_rows(found)),
        "",
        proof,
        *wrong,
    ]


def _titled(title: str, rows: Rows) -> list[Block]:
    headers, lines = rows
    if not lines:
        return ["", f"{title[:-1]}: none"]
    right = frozenset(
        h for h in headers if h in {"DRAWN", "CURTAILED", "CHARGE", "CREDIT", "DUE", "VALUE", "NOTICE"}
    )
    return ["", title, Table(headers=headers, rows=lines, right=right)]
