"""`barq project list`: quotas of projects, what they use, and whose turn it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from barq.cli.connect import connect
from barq.cli.facts import NOTHING, ago
from barq.cli.options import JsonOption, QuietOption
from barq.cli.output import Block, Format, Table, chosen_format, emit, say
from barq.units import format_duration, format_energy

if TYPE_CHECKING:
    from barq.site_views import ProjectsView, ProjectView

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

_HEADERS = (
    "RANK",
    "PROJECT",
    "WEIGHT",
    "USED",
    "NOMINAL",
    "BORROWED",
    "LENT",
    "GPU-HOURS",
    "ENERGY",
    "SHARE",
    "DUE",
)


@app.callback()
def project() -> None:
    """Show the projects that share the site."""


@app.command("list")
def list_projects(*, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """List projects: GPUs used, nominal, borrowed and lent, what was used so far, and who goes first."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    with connect() as site:
        found = site.projects()
    names = [one["name"] for one in found["projects"]]
    emit(form, value=found, ids=names, blocks=lambda: _blocks(found))
    if form is Format.TABLE and not names:
        say("the site file names no projects")


def _blocks(found: ProjectsView) -> list[Block]:
    if not found["projects"]:
        return []
    order = sorted(found["projects"], key=lambda one: one["rank"])
    rows = [_row(one) for one in order]
    blocks: list[Block] = [Table(headers=_HEADERS, rows=rows, right=frozenset(_HEADERS) - {"PROJECT"})]
    if pot := found.get("unassigned"):
        blocks.append(
            f"Without a nominal: {pot['used_gpus']} of {pot['nominal_gpus']} GPUs used, "
            f"{pot['borrowed_gpus']} borrowed, {pot['lent_gpus']} lent"
        )
    half_life_s, energy_weight = found.get("half_life_s"), found.get("energy_weight")
    if half_life_s is not None and energy_weight is not None:
        blocks.append(
            f"Use as of {ago(found.get('used_at'))}; it counts half after {format_duration(half_life_s)}, "
            f"energy {energy_weight:.0%} of it"
        )
    return blocks


def _row(one: ProjectView) -> list[str]:
    return [
        str(one["rank"]),
        one["name"],
        f"{one['weight']:g}",
        str(one["used_gpus"]),
        *(_count(one[key]) for key in ("nominal_gpus", "borrowed_gpus", "lent_gpus")),
        f"{one['gpu_h']:.1f}",
        format_energy(one["energy_wh"]),
        f"{one['used_share']:.0%}",
        f"{one['due_share']:.0%}",
    ]


def _count(gpus: int | None) -> str:
    return NOTHING if gpus is None else str(gpus)
