"""`barq events`."""

from __future__ import annotations

from barq.cli.connect import connect
from barq.cli.facts import moment
from barq.cli.options import JobArgument, JsonOption, QuietOption
from barq.cli.output import Table, chosen_format, emit


def events(job_id: JobArgument, *, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """List what happened to a job, oldest first."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    with connect() as site:
        happened = site.events(site.find(job_id)["id"])
    rows = [(moment(event["at"]), event["kind"], event["text"]) for event in happened]
    table = Table(headers=("AT", "KIND", "WHAT"), rows=rows)
    emit(form, value=happened, ids=(str(event["seq"]) for event in happened), blocks=lambda: [table])
