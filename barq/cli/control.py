"""`barq cancel`, `barq hold`, `barq release`: what a person wants of jobs that exist."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import typer

from barq.cli.connect import connect
from barq.cli.exits import exit_code_of, say_error
from barq.cli.job_text import array_line, job_line
from barq.cli.options import JobArguments, JsonOption, QuietOption
from barq.cli.output import Format, chosen_format, emit
from barq.errors import BarqError, InvalidInput, NotFound, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from barq.client import Client
    from barq.views import ArrayView, JobView


def cancel(job_ids: JobArguments, *, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """End jobs for good. Their checkpoints and outputs stay."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    with connect() as site:
        _control(site, _Verbs(site.cancel, site.cancel_array), job_ids, form)


def hold(job_ids: JobArguments, *, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Stop jobs until they are released: a running one saves first."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    with connect() as site:
        _control(site, _Verbs(site.hold, site.hold_array), job_ids, form)


def release(job_ids: JobArguments, *, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Let held jobs run again, from where they saved."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    with connect() as site:
        _control(site, _Verbs(site.release, site.release_array), job_ids, form)


class _Verbs(NamedTuple):
    """What is wanted, of a job and of all jobs of an array."""

    of_job: Callable[[str], JobView]
    of_array: Callable[[str], ArrayView]


def _control(site: Client, verbs: _Verbs, texts: Sequence[str], form: Format) -> None:
    """Do what can be done; say each refusal, and exit by the first."""
    done: list[JobView | ArrayView] = []
    lines: list[str] = []
    failed: list[BarqError] = []
    for text in texts:
        try:
            found = site.find_any(text)
            if "count" in found:
                done.append(array := verbs.of_array(found["id"]))
                lines.append(array_line(array))
            else:
                done.append(job := verbs.of_job(found["id"]))
                lines.append(job_line(job))
        except (NotFound, Refused, InvalidInput) as error:
            say_error(error)
            failed.append(error)
    emit(form, value=done, ids=(one["id"] for one in done), blocks=lambda: lines)
    if failed:
        raise typer.Exit(exit_code_of(failed[0]))
