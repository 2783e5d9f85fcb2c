"""`barq dispatch list`, `barq dispatch show`, `barq dispatch ack`, `barq dispatch refuse`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from barq.cli.connect import connect
from barq.cli.facts import NOTHING, ago, moment
from barq.cli.options import JsonOption, QuietOption
from barq.cli.output import Block, Format, Table, chosen_format, emit, say
from barq.units import format_duration, format_power

if TYPE_CHECKING:
    from collections.abc import Sequence

    from barq.dispatch_views import InstructionView

MOST: Final = 50
_OPEN: Final = frozenset({"received", "accepted", "complied", "breached"})
_STYLES: Final = {"complied": "green", "breached": "bold red", "refused": "yellow"}

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="An instruction's id, such as d12.")]


@app.callback()
def dispatch() -> None:
    """Look at what givers of the limit told, and answer it. What binds holds whatever is answered."""


@app.command(name="list")
def list_instructions(
    *,
    state: Annotated[
        str | None,
        typer.Option(
            metavar="STATE",
            help="Only those: active, accepted, complied, breached, ended, superseded or refused.",
        ),
    ] = None,
    source: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only those of this source of the limit.")
    ] = None,
    most: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=1000, help="How many.")] = MOST,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """List instructions: those that hold or will hold first, then the newest."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    with connect() as site:
        page = site.instructions(state=state, source=source, limit=most)
    found = page["instructions"]
    emit(form, value=found, ids=(one["id"] for one in found), blocks=lambda: [_table(found)])
    if form is Format.TABLE and not found:
        say("no instructions")
    if page["next"] is not None:
        say(f"there are more than {most}; --limit shows more")


@app.command()
def show(which: IdArgument, *, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Show one instruction: from whom, what, until when, who answered, and whether it was kept."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    with connect() as site:
        one = site.instruction(which)
    emit(form, value=one, ids=[one["id"]], blocks=lambda: _blocks(one))


@app.command()
def ack(
    which: IdArgument,
    *,
    note: Annotated[str | None, typer.Option(metavar="TEXT", help="Kept with the record.")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Say that you have seen an instruction. It holds either way."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    with connect() as site:
        one = site.acknowledge(which, note=note)
    emit(form, value=one, ids=[one["id"]], blocks=lambda: [f"{one['id']} is acknowledged: {one['sentence']}"])


@app.command()
def refuse(
    which: IdArgument,
    *,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it is on record, for who asks.")],
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Refuse an instruction, for the record.

    A limit that binds holds all the same: who must draw more agrees that with its giver. One of a source with
    `binding: false` does not count any more.
    """
    form = chosen_format(as_json=as_json, quiet=quiet)
    with connect() as site:
        one = site.refuse(which, reason=reason)
    emit(form, value=one, ids=[one["id"]], blocks=lambda: [f"{one['id']}: {one['sentence']}"])


def _in_order(found: Sequence[InstructionView]) -> list[InstructionView]:
    """What holds, what comes next, and so on; then what is over."""
    open_now = [one for one in found if one["state"] in _OPEN]
    over = [one for one in found if one["state"] not in _OPEN]
    return sorted(open_now, key=lambda one: one["starts_at"]) + over


def _table(found: Sequence[InstructionView]) -> Table:
    rows = [
        [
            one["id"],
            one["state"],
            _limit(one),
            one["source"],
            moment(one["starts_at"]),
            _until(one),
            _answered(one),
            one["giver_id"] or NOTHING,
        ]
        for one in _in_order(found)
    ]
    headers = ("ID", "STATE", "LIMIT", "SOURCE", "FROM", "UNTIL", "ANSWER", "CALLED")
    return Table(headers=headers, rows=rows, right=frozenset({"LIMIT"}), styles=_STYLES)


def _blocks(one: InstructionView) -> list[Block]:
    evidence, answer = one["evidence"], one["answer"]
    facts = [
        ("state", one["state"] + ("" if one["reason"] is None else f": {one['reason']}")),
        ("source", one["source"]),
        ("called", one["giver_id"] or NOTHING),
        ("document", one["provenance"] or NOTHING),
        ("limit", _limit(one)),
        ("binding", "yes" if one["binding"] else "no: it may be refused"),
        ("issued", moment(one["issued_at"])),
        ("received", moment(one["received_at"])),
        ("starts", moment(one["starts_at"])),
        ("due", moment(one["due_at"])),
        ("ends", _until(one)),
        ("accepted by", one["accepted_by"] or NOTHING),
        ("complied", _complied(one)),
        ("over the limit", format_duration(evidence["over_s"])),
    ]
    if answer is not None:
        note = f": {answer['note']}" if answer["note"] else ""
        facts.append((answer["verdict"], f"by {answer['by']}, {moment(answer['at'])}{note}"))
    return [f"{one['id']}: {one['sentence']}", "", Table(rows=facts)]


def _limit(one: InstructionView) -> str:
    return NOTHING if one["limit_w"] is None else format_power(one["limit_w"])


def _until(one: InstructionView) -> str:
    return "further notice" if one["ends_at"] is None else moment(one["ends_at"])


def _answered(one: InstructionView) -> str:
    answer = one["answer"]
    return NOTHING if answer is None else f"{answer['verdict']} by {answer['by']} {ago(answer['at'])}"


def _complied(one: InstructionView) -> str:
    at, draw_w = one["evidence"]["complied_at"], one["evidence"]["complied_w"]
    return NOTHING if at is None or draw_w is None else f"{moment(at)}, at {format_power(draw_w)}"
