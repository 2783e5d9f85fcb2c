"""`barq cancel`, `barq hold`, `barq release`: what a person wants of jobs that exist."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from barq.cli.connect import connect
from barq.cli.exits import exit_code_of, say_error
from barq.cli.job_text import job_line
from barq.cli.options import JobArguments, JsonOption, QuietOption
from barq.cli.output import Format, chosen_format, emit
from barq.errors import BarqError, InvalidInput, NotFound, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from barq.client import Client
    from barq.views import JobView


def cancel(job_ids: JobArguments, *, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """End jobs for good. Their checkpoints and outputs stay."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    with connect() as site:
        _control(site, site.cancel, job_ids, form)


def hold(job_ids: JobArguments, *, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Stop jobs until they are released: a running one saves first."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    with connect() as site:
        _control(site, site.hold, job_ids, form)


def release(job_ids: JobArguments, *, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Let held jobs run again, from where they saved."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    with connect() as site:
        _control(site, site.release, job_ids, form)


def _control(site: Client, verb: Callable[[str], JobView], texts: Sequence[str], form: Format) -> None:
    """Do what can be done; say each refusal, and exit by the first."""
    done: list[JobView] = []
    failed: list[BarqError] = []
    for text in texts:
        try:
            done.append(verb(site.find(text)["id"]))
        except (NotFound, Refused, InvalidInput) as error:
            say_error(error)
            failed.append(error)
    emit(form, value=done, ids=(job["id"] for job in done), blocks=lambda: map(job_line, done))
    if failed:
        raise typer.Exit(exit_code_of(failed[0]))
