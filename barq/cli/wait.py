"""`barq wait`, and the waiting of `barq submit --wait`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from barq.cli.connect import connect
from barq.cli.exits import ExitCode
from barq.cli.job_text import job_line, jobs_table
from barq.cli.options import JobArguments, JsonOption, QuietOption, positive_duration_s
from barq.cli.output import Format, chosen_format, emit, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from barq.client import Client


def wait(
    job_ids: JobArguments,
    *,
    timeout: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Give up after this long, such as 30m.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Wait until all these jobs have ended; exit 0 if all succeeded, else 1. Ctrl-C leaves the jobs alone."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    timeout_s = positive_duration_s(timeout, "--timeout")
    with connect() as site:
        found = [job_id for text in job_ids for job_id in _ids_of(site, text)]
        await_jobs(site, list(dict.fromkeys(found)), form, timeout_s=timeout_s)


def _ids_of(site: Client, text: str) -> list[str]:
    """The job that `text` names, or all jobs of the array."""
    found = site.find_any(text)
    if "count" not in found:
        return [found["id"]]
    return [job["id"] for job in site.every_job(array=found["id"])][::-1]


def await_jobs(site: Client, job_ids: Sequence[str], form: Format, *, timeout_s: float | None = None) -> None:
    """Tell changes on stderr, print the jobs once all have ended, and exit 1 unless all succeeded."""
    for job in site.watch(job_ids, timeout_s=timeout_s):
        if form is Format.TABLE:
            say(job_line(job))
    jobs = [site.job(job_id) for job_id in job_ids]
    emit(form, value=jobs, ids=job_ids, blocks=lambda: [jobs_table(jobs)])
    if any(job["state"] != "SUCCEEDED" for job in jobs):
        raise typer.Exit(ExitCode.FAILED)
