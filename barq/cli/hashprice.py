"""`barq hashprice`: what mining brings, on whose word, and how old that is; `set` tells it, `history` lists it."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Final

import typer

from barq.cli.connect import connect
from barq.cli.facts import NOTHING, ago, moment, money
from barq.cli.job_text import text_of
from barq.cli.options import JsonOption, QuietOption, past_instant
from barq.cli.output import Block, Table, chosen_format, emit
from barq.errors import InvalidInput
from barq.units import format_duration, format_power

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from barq.revenue_views import EarnsView, FiguresView, HashpriceView, PartnerEarnsView

app = typer.Typer(add_completion=False, rich_markup_mode=None, invoke_without_command=True)

_MICRO: Final = 1_000_000
_SATOSHI: Final = 100_000_000
_MOST: Final = Decimal(10) ** 20
_UNTOLD: Final = (
    "Nobody has told what mining brings. Tell it: barq hashprice set --btc PRICE --difficulty D --height H --fees BTC "
    "--source TEXT; or name a source in the site file, revenue.sources."
)


@app.callback()
def hashprice(
    ctx: typer.Context,
    *,
    machines: Annotated[bool, typer.Option("--machines", help="List each machine too.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show what mining brings by the MWh: at common efficiencies, and to each fleet by its measured one."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    if ctx.invoked_subcommand is not None:
        return
    with connect() as site:
        now = site.hashprice(machines=machines)
    emit(form, value=now, ids=_hashprice(now["figures"]), blocks=lambda: _blocks(now))


@app.command("set")
def tell(
    *,
    btc: Annotated[str, typer.Option(metavar="PRICE", help="Of one bitcoin, in the site's currency.")],
    difficulty: Annotated[str, typer.Option(metavar="D", help="As a node tells it, such as 152.27e12.")],
    height: Annotated[int, typer.Option(metavar="BLOCKS", help="Of the chain.")],
    fees: Annotated[str, typer.Option(metavar="BTC", help="Mean fees of a block, in BTC, such as 0.03.")],
    source: Annotated[str, typer.Option(metavar="TEXT", help="Where these are from; kept with them.")],
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", metavar="TIME", help="Their date, or 2h for two hours ago; now if left out."),
    ] = None,
    correct: Annotated[
        bool,
        typer.Option("--correct", help="Those that are known are wrong: these need not follow from them."),
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Tell what mining brings is reckoned from. It is on the record, with who told it."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    told = {
        "btc_micro": _whole(btc, "--btc", _MICRO),
        "difficulty": _whole(difficulty, "--difficulty"),
        "fees_sat": _whole(fees, "--fees", _SATOSHI),
    }
    with connect() as site:
        made = site.tell_figures(
            **told, height=height, source=source, as_of_at=past_instant(as_of, "--as-of"), corrects=correct
        )
    line = f"{money(made['hashprice_micro'])} per PH/s and day, as of {moment(made['as_of_at'])}"
    emit(form, value=made, ids=_hashprice(made), blocks=lambda: [f"hashprice is {line}"])


@app.command()
def history(
    *,
    limit: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="How many to list.")] = 20,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Of this date or later.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Of an earlier date.")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """List the figures that were taken in, what was told last first."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    with connect() as site:
        page = site.figures_told(
            limit=limit, since=past_instant(since, "--since"), until=past_instant(until, "--until")
        )
    ids = (str(one["number"]) for one in page["figures"])
    emit(form, value=page, ids=ids, blocks=lambda: [_history_table(page["figures"])])


def _whole(text: str, option: str, unit: int = 1) -> int:
    """Whole units of a number that may be written like 152.27e12. Raises InvalidInput."""
    try:
        number = Decimal(text.replace(",", ""))
    except InvalidOperation:
        number = Decimal("NaN")
    if not (number.is_finite() and 0 <= number <= _MOST):
        raise InvalidInput(
            f"{option}: {text!r} is no such number",
            field=option,
            value=text,
            remedy="write a number of 0 or more, such as 91000, 0.03 or 152.27e12",
        )
    return int(number * unit)


def _hashprice(figures: FiguresView | None) -> list[str]:
    return [] if figures is None else [money(figures["hashprice_micro"]).replace(",", "")]


def _blocks(now: HashpriceView) -> list[Block]:
    figures = now["figures"]
    if figures is None:
        return [_UNTOLD, *_fleets(now)]
    stale = [f"STALE: {now['why']}. Nothing is ranked or reckoned by them.", ""] if now["is_stale"] else []
    return [*stale, Table(rows=_facts(figures, now)), "", _per_mwh_table(now), *_fleets(now)]


def _facts(figures: FiguresView, now: HashpriceView) -> list[tuple[str, str]]:
    by = figures["origin"] if figures["by"] is None else figures["by"]
    subsidy, fees = figures["subsidy_sat"] / _SATOSHI, figures["fees_sat"] / _SATOSHI
    return [
        ("hashprice", f"{money(figures['hashprice_micro'])} per PH/s and day, before the pool's fee"),
        ("bitcoin", money(figures["btc_micro"])),
        ("difficulty", f"{figures['difficulty']:,}"),
        ("block", f"{subsidy:g} BTC and {fees:g} BTC of fees, at height {figures['height']}"),
        ("as of", f"{moment(figures['as_of_at'])}, trusted for {format_duration(figures['stale_after_s'])}"),
        ("state", "stale" if now["is_stale"] else "fresh"),
        ("source", f"{text_of(figures['source'])}, told by {by} {ago(figures['told_at'])}"),
    ]


def _per_mwh_table(now: HashpriceView) -> Table:
    rows = [(f"{one['joule_per_th']:g}", money(one["micro_per_mwh"])) for one in now["per_mwh"]]
    headers = ("J/TH", "PER MWH")
    return Table(headers=headers, rows=rows, right=frozenset(headers))


def _fleets(now: HashpriceView) -> list[Block]:
    if not now["partners"]:
        return []
    headers = ("PARTNER", "MINERS", "DRAW", "J/TH", "MEASURED", "PER MWH", "POOL", "WHY NOT")
    rows = [row for partner in now["partners"] for row in _partner_rows(partner)]
    read = f"Machines as read {ago(now['read_at'])}."
    right = frozenset({"DRAW", "J/TH", "MEASURED", "PER MWH"})
    return ["", Table(headers=headers, rows=rows, right=right), "", read]


def _partner_rows(partner: PartnerEarnsView) -> Iterable[Sequence[str]]:
    pool = f"{partner['pool_fee']:.2%} {partner['pool_scheme'] or ''}".strip()
    if len(partner["groups"]) > 1:
        yield _row(partner["name"], "all", partner, pool)
    for group in partner["groups"]:
        yield _row(partner["name"], group["name"], group, pool)
        for machine in group["machines"] or []:
            yield _row("", f"  {machine['name']}", machine, "")


def _row(partner: str, miners: str, earns: EarnsView, pool: str) -> Sequence[str]:
    joules = earns["joule_per_th"]
    return (
        partner,
        miners,
        format_power(earns["draw_w"]),
        NOTHING if joules is None else f"{joules:.1f}",
        f"{earns['known_share']:.0%}",
        money(earns["micro_per_mwh"]),
        pool,
        text_of(earns["why"] or ""),
    )


def _history_table(figures: Sequence[FiguresView]) -> Table:
    rows = [
        (
            str(one["number"]),
            moment(one["as_of_at"]),
            money(one["hashprice_micro"]),
            money(one["btc_micro"]),
            f"{one['difficulty']:,}",
            str(one["height"]),
            f"{one['fees_sat'] / _SATOSHI:g}",
            one["by"] or one["origin"],
            text_of(one["source"]) + (" (a correction)" if one["corrects"] else ""),
        )
        for one in figures
    ]
    headers = ("NO", "AS OF", "HASHPRICE", "BITCOIN", "DIFFICULTY", "HEIGHT", "FEES", "BY", "SOURCE")
    return Table(headers=headers, rows=rows, right=frozenset(headers[2:7]))
