"""`barq logs`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from barq.cli.connect import connect
from barq.cli.options import JobArgument, JsonOption
from barq.cli.output import Format, emit, say
from barq.errors import InvalidInput
from barq.units import format_size

if TYPE_CHECKING:
    from barq.views import JobView


def logs(
    job_id: JobArgument,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on printing until the job has ended.")
    ] = False,
    tail: Annotated[int | None, typer.Option(min=0, help="Only the last N lines of what there is.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print a job's output, that of all its attempts."""
    if follow and as_json:
        remedy = "leave one of them out"
        raise InvalidInput("--follow and --json exclude each other", field="--follow", remedy=remedy)
    with connect() as site:
        found = site.find(job_id)["id"]
        if as_json:
            text = "".join(site.logs(found, tail=tail))
            emit(Format.JSON, value={"job_id": found, "text": text}, ids=(), blocks=list)
            return
        for piece in site.logs(found, follow=follow, tail=tail, missing=_say_missing):
            typer.echo(piece, nl=False)
        if follow:
            say(_ended(site.find(found)))


def _say_missing(dropped_bytes: int) -> None:
    """Before the first line: it is not the first that the job wrote."""
    say(
        f"the first {format_size(dropped_bytes)} of this output are gone: only the newest part of a log is kept"
    )


def _ended(job: JobView) -> str:
    """What became of it: a log alone does not say."""
    why = f": {job['reason']['text']}" if job["reason"] else ""
    return f"{job['id']} {job['state']}{why}"
