"""`barq partners` and `barq partners show`: what mining partners may draw, until when, and why it is no more."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from barq.cli import facts
from barq.cli.connect import connect
from barq.cli.facts import NOTHING, moment, money, power
from barq.cli.options import JsonOption, QuietOption
from barq.cli.output import Block, Format, Table, chosen_format, emit, say
from barq.units import format_duration, format_energy, format_power

if TYPE_CHECKING:
    from barq.partner_views import PartnersView, PartnerView, SoFarView

app = typer.Typer(add_completion=False, rich_markup_mode=None, invoke_without_command=True)
_HEADERS = (
    "PARTNER",
    "WEIGHT",
    "TIER",
    "MAY DRAW",
    "FOR",
    "DRAWS",
    "DUE",
    "COULD TAKE",
    "OWED",
    "ON",
    "WHY NO MORE",
)
_SETTLED = (
    "PARTNER",
    "SETTLED",
    "DRAWN",
    "GRANTED",
    "CURTAILED",
    "FOR",
    "CHARGE",
    "CREDIT",
    "SHARE",
    "BY WEIGHT",
)
_SPARE = ("TIER", "WEIGHT", "COULD TAKE", "FOR", "OWED")
_SPARE_SETTLED = ("GRANTED", "BY WEIGHT", "FOR", "SHARE")
_WS_PER_WH = 3600
_WORDS = frozenset({"PARTNER", "WHY NO MORE"})


@app.callback()
def partners(ctx: typer.Context, *, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """List mining partners: what each may draw now, for how long, what it is due and owed."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    if ctx.invoked_subcommand is not None:
        return
    with connect() as site:
        found = site.partners()
    emit(form, value=found, ids=[one["name"] for one in found["partners"]], blocks=lambda: _blocks(found))
    if form is Format.TABLE and not found["partners"]:
        say(
            "the scheduler has not looked at the site yet"
            if found["at"] is None
            else "the site has no miners"
        )


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="PARTNER", help="Its name, as the site file has it.")],
    *,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show one mining partner: its contract, its grant, and why it is no more."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    with connect() as site:
        one = site.partner(name)
    emit(form, value=one, ids=[one["name"]], blocks=lambda: _details(one))


def _blocks(found: PartnersView) -> list[Block]:
    if not found["partners"]:
        return []
    blocks: list[Block] = [
        Table(
            headers=_HEADERS,
            rows=[_row(one) for one in found["partners"]],
            right=frozenset(_HEADERS) - _WORDS,
            spare=_SPARE,
        )
    ]
    settled = [row for one in found["partners"] for row in _settled_rows(one)]
    if settled:
        right = frozenset(_SETTLED) - {"PARTNER", "SETTLED"}
        blocks += ["", Table(headers=_SETTLED, rows=settled, right=right, spare=_SPARE_SETTLED), ""]
    if division := found.get("division"):
        blocks.append(f"{division[:1].upper()}{division[1:]}.")
    if change := found.get("next_change"):
        blocks.append(
            f"The site's limit is {format_power(change['limit_w'])} from {moment(change['at'])} on."
        )
    if found.get("shadow"):
        blocks.append("SHADOW: this is the twin's, nothing is acted.")
    return blocks


def _row(one: PartnerView) -> list[str]:
    return [
        one["name"],
        str(one["weight"]),
        str(one["tier"]),
        format_power(one["granted_w"]),
        _left(one["until_at"]),
        format_power(one["draw_w"]),
        power(one["due_w"]),
        format_power(one["wants_w"]),
        _owed(one["owed_wh"]),
        f"{one['machines_on']}/{one['machines']}",
        one["why"][0]["text"] if one["why"] else NOTHING,
    ]


def _settled_rows(one: PartnerView) -> list[list[str]]:
    """This month and today, as far as anything was settled in them."""
    found = (("month", one.get("month")), ("today", one.get("today")))
    return [[one["name"], name, *_settled(so_far)] for name, so_far in found if so_far is not None]


def _settled(so_far: SoFarView) -> list[str]:
    share = so_far["share"]
    return [
        *(format_energy(so_far[name] / _WS_PER_WH) for name in ("metered_ws", "granted_ws", "curtailed_ws")),
        format_duration(so_far["curtailed_s"]),
        money(so_far["charge_micro"]),
        money(so_far["credit_micro"]),
        NOTHING if share is None else f"{share:.1%}",
        f"{so_far['due_share']:.1%}",
    ]


def _details(one: PartnerView) -> list[Block]:
    reasons = (f"{why['code']}: {why['text']}{_remedy(why.get('remedy'))}." for why in one["why"])
    return [Table(rows=_facts(one)), *reasons]


def _facts(one: PartnerView) -> list[tuple[str, str]]:
    acknowledged = "" if one["acknowledged"] else ", not acknowledged yet"
    kept = f"floor {format_power(one['floor_w'])}, cap {power(one['cap_w'])}"
    return [
        ("partner", one["name"]),
        ("miners", ", ".join(one["groups"]) or NOTHING),
        *_fillers(one),
        ("contract", f"weight {one['weight']}, tier {one['tier']}, {kept}"),
        ("may draw", f"{format_power(one['granted_w'])} for {_left(one['until_at'])}{acknowledged}"),
        ("then", f"{format_power(one['then_w'])} if nothing more is said"),
        ("draws", f"{format_power(one['draw_w'])}, {one['machines_on']} of {one['machines']} machines on"),
        ("asleep", f"{format_power(one['rest_w'])} more, whatever runs"),
        ("due", power(one["due_w"])),
        ("could take", format_power(one["wants_w"])),
        ("owed", _owed(one["owed_wh"])),
        *(row for name in ("month", "today") for row in _so_far_facts(name, one)),
        *_hours(one),
    ]


def _fillers(one: PartnerView) -> list[tuple[str, str]]:
    """Whose GPUs are among its machines, each filler once with its nodes."""
    nodes: dict[str, list[str]] = {}
    for filler in one.get("fillers", ()):
        nodes.setdefault(filler["name"], []).append(filler["node"])
    told = "; ".join(f"{name} on {', '.join(sorted(on))}" for name, on in sorted(nodes.items()))
    return [("fillers", told)] if told else []


def _so_far_facts(name: Literal["month", "today"], one: PartnerView) -> list[tuple[str, str]]:
    so_far = one.get(name)
    if so_far is None:
        return []
    drawn, granted, curtailed, lasted, charge, credit, share, due = _settled(so_far)
    lines = [
        (name, f"{drawn} drawn of {granted} granted, {share} of all; {due} by weight"),
        ("", f"{curtailed} curtailed for all causes; for {lasted} notably, for causes that are not excused"),
    ]
    if so_far["charge_micro"] is not None:
        unpriced = f"; {so_far['unpriced']} intervals without a price" if so_far["unpriced"] else ""
        lines.append(("", f"charge {charge}, credit {credit}{unpriced}"))
    if so_far["notices"]:
        missed = f"{so_far['notices_missed']} of {so_far['notices']} curtailments had too little notice"
        lines.append(("", missed))
    return [*lines, ("", f"settled up to {moment(so_far['until_at'])}")]


def _hours(one: PartnerView) -> list[tuple[str, str]]:
    """How much of the month's curtailment is left, where the contract limits it."""
    most_s, so_far = one.get("max_curtailed_s"), one.get("month")
    if most_s is None:
        return []
    used_s = 0.0 if so_far is None else so_far["curtailed_s"]
    left = f"{(most_s - used_s) / 3600:.1f} h left" if used_s < most_s else "none left"
    if one.get("hours_spent"):
        left = "none left: it is shed last of its tier until the month is over"
    return [("curtailment", f"{used_s / 3600:.1f} of {most_s / 3600:g} h this month; {left}")]


def _remedy(remedy: str | None) -> str:
    return f"; {remedy}" if remedy else ""


def _left(until_at: str | None) -> str:
    """How long it is good for if nothing more is said."""
    if until_at is None:
        return "no time"
    left_s = (datetime.fromisoformat(until_at) - facts.utc_now()).total_seconds()
    return format_duration(left_s) if left_s > 0 else "no time"


def _owed(owed_wh: float | None) -> str:
    return NOTHING if owed_wh is None else format_energy(owed_wh)
