"""`barq logs`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from barq.cli.connect import connect
from barq.cli.options import JobArgument, JsonOption
from barq.cli.output import Format, emit, say
from barq.errors import InvalidInput

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
        pieces = site.logs(found, follow=follow, tail=tail)
        if as_json:
            emit(Format.JSON, value={"job_id": found, "text": "".join(pieces)}, ids=(), blocks=list)
            return
        for piece in pieces:
            typer.echo(piece, nl=False)
        if follow:
            say(_ended(site.find(found)))


def _ended(job: JobView) -> str:
    """What became of it: a log alone does not say."""
    why = f": {job['reason']['text']}" if job["reason"] else ""
    return f"{job['id']} {job['state']}{why}"
