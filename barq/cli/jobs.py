"""`barq jobs`."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer

from barq.cli.connect import connect, silence
from barq.cli.job_text import jobs_table
from barq.cli.options import JsonOption, QuietOption
from barq.cli.output import Format, chosen_format, emit, say
from barq.cli.shadow_text import notice

_VIRTUAL_STATES = frozenset({"waiting", "active", "finished"})


def jobs(
    *,
    state: Annotated[
        str | None, typer.Option(help="Only jobs in this state, or in: waiting, active, finished.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Only jobs of this name.")] = None,
    project: Annotated[str | None, typer.Option(help="Only jobs of this project.")] = None,
    owner: Annotated[str | None, typer.Option(help="Only jobs that this user submitted.")] = None,
    array: Annotated[str | None, typer.Option(metavar="ID", help="Only jobs of this array.")] = None,
    mine: Annotated[bool, typer.Option("--mine", help="Only jobs that you submitted.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="At most so many.")] = 50,
    every: Annotated[bool, typer.Option("--all", help="All of them, however many.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """List jobs, newest first. The last column has the nodes of a job that is placed, else the reason why it is not."""
    from barq.client import PAGE_SIZE

    form = chosen_format(as_json=as_json, quiet=quiet)
    with connect() as site:
        page_size = PAGE_SIZE if every else min(limit + 1, PAGE_SIZE)
        owner = site.me()["user"] if mine else owner
        found = site.every_job(
            state=_normal_state(state),
            name=name,
            project=project,
            owner=owner,
            array=array,
            page_size=page_size,
        )
        listed = list(found if every else islice(found, limit + 1))
        silent = silence(site) if form is Format.TABLE else []
    shown = listed if every else listed[:limit]
    emit(
        form,
        value=shown,
        ids=(job["id"] for job in shown),
        blocks=lambda: [*notice(shown), jobs_table(shown), *silent],
    )
    if form is Format.TABLE and not shown:
        say("no jobs")
    if len(shown) < len(listed):
        say(f"there are more than {limit}: --limit N shows more, --all shows all")


def _normal_state(state: str | None) -> str | None:
    if state is None or state.lower() in _VIRTUAL_STATES:
        return state and state.lower()
    return state.upper()
