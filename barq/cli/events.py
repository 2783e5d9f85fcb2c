"""`barq events`."""

from __future__ import annotations

from typing import Annotated

import typer

from barq.cli.connect import connect
from barq.cli.facts import moment
from barq.cli.options import JsonOption, QuietOption
from barq.cli.output import Table, chosen_format, emit

OptionalJob = Annotated[
    str | None,
    typer.Argument(
        metavar="[ID]", help="A job's id, its number, or how its id begins; without one, all of the site."
    ),
]


def events(job_id: OptionalJob = None, *, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """List what happened to a job, or lately on the site, oldest first."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    with connect() as site:
        happened = site.events(None if job_id is None else site.find(job_id)["id"])
    rows = [(moment(event["at"]), event["kind"], event["text"]) for event in happened]
    table = Table(headers=("AT", "KIND", "WHAT"), rows=rows)
    emit(form, value=happened, ids=(str(event["seq"]) for event in happened), blocks=lambda: [table])
