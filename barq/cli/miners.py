"""`barq miners`, `barq miners show|history`, `barq miners pause|protect|resume`; `miner_guards` has the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from barq.cli import miner_guards
from barq.cli.connect import STARTING, connect, is_starting
from barq.cli.facts import NOTHING, ago, moment, money
from barq.cli.options import JsonOption, QuietOption
from barq.cli.output import Block, Format, Table, chosen_format, emit, say
from barq.cli.shadow_text import SHADOW_LINE
from barq.errors import InvalidInput
from barq.machine_words import without_name
from barq.units import format_duration, format_power

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from barq.client import Client
    from barq.machine_views import (
        MachineHistory,
        MachineRecord,
        MachinesWished,
        MachineView,
        MachineWishView,
        MinerPage,
        MinerTotals,
    )

    Chosen = tuple[list[str] | None, str | None]

MOST: Final = 200
_STYLES: Final = {
    "running": "green",
    "faulted": "bold red",
    "lost": "bold red",
    "unusable": "red",
    "stale": "yellow",
}
_RIGHT: Final = frozenset({"TOLD", "DRAW", "J/TH", "PER MWH"})

app = typer.Typer(add_completion=False, rich_markup_mode=None, invoke_without_command=True)
for _verb in (miner_guards.invite, miner_guards.join, miner_guards.leave, miner_guards.forget):
    app.command()(_verb)

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="A miner's id, as the list gives it.")]
IdArguments = Annotated[
    list[str] | None, typer.Argument(metavar="ID", help="Miners' ids: all of them, or none is touched.")
]
GroupOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="All miners of this group that can do it, in place of ids.")
]
ReasonOption = Annotated[str, typer.Option(metavar="TEXT", help="Why; it is on record, for who asks.")]


@app.callback()
def miners(
    ctx: typer.Context,
    *,
    group: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this group.")] = None,
    partner: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this partner.")] = None,
    condition: Annotated[
        str | None,
        typer.Option(
            metavar="WORD",
            help="Only those: running, ramping, asleep, faulted, stale, lost or unusable.",
        ),
    ] = None,
    most: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=1000, help="How many.")] = MOST,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """List miners one by one: whose each is, what it does, draws and was told, and what is wrong with it."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    if ctx.invoked_subcommand is not None:
        return
    with connect() as site:
        page = site.miners(group=group, partner=partner, condition=condition, limit=most)
        none = _why_none(site, is_asked=bool(group or partner or condition)) if not page["miners"] else ""
    emit(form, value=page, ids=(one["id"] for one in page["miners"]), blocks=lambda: _listed(page))
    if form is Format.TABLE and none:
        say(none)
    for notice in page.get("notices", ()) if form is Format.TABLE else ():
        say(notice)
    if page["next"] is not None:
        say(f"there are more than {most}; --limit shows more")


def _why_none(site: Client, *, is_asked: bool) -> str:
    """Return what to say of an empty list, which is no proof that there are none."""
    if is_starting(site):
        return STARTING
    if is_asked:
        return "no miners match; `barq miners` lists all"
    untold = [node["id"] for node in site.nodes() if node["kind"] == "miners"]
    return f"{', '.join(untold)}: no guard has told of its machines yet" if untold else "no miners"


@app.command()
def show(which: IdArgument, *, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Show one miner: what it does, who it is and whose, and, to operators, the pools that it was seen with."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    with connect() as site:
        record = site.miner(which)
    emit(form, value=record, ids=[record["id"]], blocks=lambda: _shown(record))


@app.command()
def history(which: IdArgument, *, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """List what changed of a miner's identity and owner, newest first, and what people wanted of it."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    with connect() as site:
        found = site.miner_history(which)
    emit(form, value=found, ids=(str(one["event"]) for one in found["changes"]), blocks=lambda: _told(found))
    if found["next"] is not None:
        say("there are older ones; the API gives them page by page")


def _wish_command(name: str, done: str, help_text: str) -> None:
    """Add the verb `name`, which wishes something of miners; `done` says what they are then."""

    @app.command(name, help=help_text)
    def wish(
        which: IdArguments = None,
        *,
        group: GroupOption = None,
        reason: ReasonOption,
        as_json: JsonOption = False,
        quiet: QuietOption = False,
    ) -> None:
        form = chosen_format(as_json=as_json, quiet=quiet)
        with connect() as site:
            _wish(getattr(site, f"{name}_miners"), done, _chosen(which, group), reason, form)


_wish_command(
    "pause", "paused", "Put miners to sleep until `barq miners resume`. Their watts go to the others."
)
_wish_command(
    "protect",
    "protected",
    "Have miners be the last of their fleet to sleep. The limit goes before that all the same.",
)
_wish_command(
    "resume", "as their fleet", "Have miners do as their fleet does: no more paused, no more protected."
)


def _chosen(which: Sequence[str] | None, group: str | None) -> Chosen:
    """Return the ids, or the group. Raises InvalidInput for neither and for both."""
    if bool(which) is (group is not None):
        raise InvalidInput(
            "name either miners or a group", field="ID", value=group, remedy="give ids, or --group NAME"
        )
    return (list(which) if which else None), group


def _wish(verb: Callable[..., MachinesWished], word: str, chosen: Chosen, reason: str, form: Format) -> None:
    named, group = chosen
    made = verb(named, group=group, reason=reason)
    emit(form, value=made, ids=made["miners"], blocks=lambda: [_wished(made, word, group)])
    for one in made["cannot"]:
        say(f"left out: {one['id']}: {one['reason']}")


def _wished(made: MachinesWished, word: str, group: str | None) -> str:
    count = len(made["miners"])
    if group is not None:
        return f"{word}: {count} {'miner' if count == 1 else 'miners'} of {group}"
    return f"{word}: {', '.join(made['miners'])}"


# -- what people read --------------------------------------------------------------------------------------------------


def _listed(page: MinerPage) -> list[Block]:
    notice: list[Block] = [SHADOW_LINE, ""] if page["shadow"] else []
    if not page["miners"]:
        return notice
    return [*notice, _table(page["miners"]), "", _sum(page["totals"])]


def _table(found: Sequence[MachineView]) -> Table:
    headers = (
        "ID",
        "PARTNER",
        "MODEL",
        "STATE",
        "WISH",
        "TOLD",
        "DRAW",
        "J/TH",
        "PER MWH",
        "TROUBLE",
    )
    return Table(headers=headers, rows=[_row(one) for one in found], right=_RIGHT, styles=_STYLES)


def _row(one: MachineView) -> list[str]:
    wish, per_th = one["wish"], one["joule_per_th"]
    return [
        one["id"],
        one["partner"],
        _joined(one["make"], one["model"]),
        one["condition"],
        NOTHING if wish is None else wish["wish"],
        format_power(one["target_w"]),
        format_power(one["draw_w"]),
        NOTHING if per_th is None else f"{per_th:.1f}",
        money(one["micro_per_mwh"]),
        _trouble(one) or NOTHING,
    ]


def _joined(first: str, second: str) -> str:
    """Return both; the second alone where it begins with the first."""
    return (second if second.startswith(first) else f"{first} {second}".strip()) or NOTHING


def _trouble(one: MachineView) -> str:
    doubt = f"{format_power(one['in_doubt_w'])} in doubt" if one["in_doubt_w"] > 0 else ""
    return "; ".join(filter(None, (doubt, without_name(one["trouble"], one["id"]))))


def _sum(totals: MinerTotals) -> str:
    count = totals["miners"]
    conditions = ", ".join(f"{number} {word}" for word, number in totals["conditions"].items())
    parts = [
        f"{count} {'miner' if count == 1 else 'miners'}: {conditions}",
        f"{format_power(totals['draw_w'])} of {format_power(totals['nameplate_w'])} drawn",
        f"{format_power(totals['target_w'])} told",
    ]
    if totals["in_doubt_w"] > 0:
        parts.append(f"{format_power(totals['in_doubt_w'])} in doubt")
    if totals["troubled"]:
        parts.append(f"{totals['troubled']} in trouble")
    return "; ".join(parts)


def _shown(record: MachineRecord) -> list[Block]:
    now = record["now"]
    owner = f"{record['id']}, of {record['partner']} in group {record['group']}"
    facts = [("condition", f"vanished, {moment(record['vanished_at'])}")] if now is None else _facts(now)
    facts += [("first seen", moment(record["first_seen_at"])), ("last seen", moment(record["last_seen_at"]))]
    facts += [("pool", f"{p['url']} as {p['user'] or NOTHING}") for p in record["pools"] or ()]
    return [owner, "", Table(rows=facts)]


def _facts(now: MachineView) -> list[tuple[str, str]]:
    hashrate, heat, up_s = now["hashrate_th"], now["temperature_c"], now["uptime_s"]
    per_th, by = now["joule_per_th"], "metered" if now["metered"] else "as it says"
    told = "to sleep" if now["target_w"] <= now["rest_w"] else f"at most {format_power(now['target_w'])}"
    facts = [
        ("condition", now["condition"]),
        ("trouble", _trouble(now)),
        ("wish", "" if now["wish"] is None else _said(now["wish"])),
        ("told", told),
        ("draws", f"{format_power(now['draw_w'])}, {by}"),
        ("nameplate", f"{format_power(now['nameplate_w'])}, {format_power(now['rest_w'])} asleep"),
        ("hashes", "" if hashrate is None else f"{hashrate:.1f} TH/s"),
        ("efficiency", "" if per_th is None else f"{per_th:.1f} J/TH"),
        ("brings", _brings(now)),
        ("temperature", "" if heat is None else f"{heat:.0f} °C"),
        ("up for", "" if up_s is None else format_duration(up_s)),
        ("woken today", str(now["cycles_today"])),
        ("can", ", ".join(now["abilities"])),
        ("address", now["address"]),
        ("model", _joined(now["make"], now["model"])),
        ("firmware", _joined(now["firmware"], now["firmware_version"])),
        ("serial", now["serial"]),
        ("MAC", now["mac"]),
    ]
    return [(name, value) for name, value in facts if value not in ("", NOTHING)]


def _brings(now: MachineView) -> str:
    """What a MWh is worth to it; nothing is said of a machine that hashes nothing that is known."""
    if now["micro_per_mwh"] is not None:
        return f"{money(now['micro_per_mwh'])} per MWh, after its pool's fee"
    return f"not known: {now['why_no_revenue']}"


def _said(wish: MachineWishView) -> str:
    return f"{wish['wish']} by {wish['by']} {ago(wish['at'])}: {wish['reason']}"


def _told(found: MachineHistory) -> list[Block]:
    changes = [(moment(c["at"]), c["what"], str(c["event"]), c["sentence"]) for c in found["changes"]]
    blocks: list[Block] = [Table(headers=("AT", "CHANGE", "EVENT", "WHAT"), rows=changes)]
    pools = (c for c in found["changes"] if c["what"] == "pools" and c["after"])
    blocks += [f"its pools, {moment(c['at'])}: {c['after']}" for c in pools]
    if found["wishes"]:
        rows = [(moment(w["at"]), w["wish"], w["by"], w["reason"]) for w in found["wishes"]]
        blocks += ["", Table(headers=("AT", "WISH", "BY", "WHY"), rows=rows)]
    return blocks
