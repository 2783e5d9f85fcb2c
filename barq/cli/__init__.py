"""The command line. Each verb is imported when it is called, and not before, so that help is quick."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from barq import __version__
from barq.cli.connect import choose
from barq.cli.exits import ExitCode
from barq.cli.verbs import PROFILE, VERBS, VerbGroup

__all__ = ["app", "main"]

_HELP = """Run AI work where surplus electricity exists.

Commands talk to the site that --profile NAME, BARQ_URL and BARQ_TOKEN, or BARQ_PROFILE name, else to the one
on this machine, else to the one of the last `barq login`.
Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 refused, 5 no server, 6 would wait (plan), 130 interrupted."""

app = typer.Typer(
    cls=VerbGroup,
    help=_HELP,
    no_args_is_help=True,
    rich_markup_mode=None,  # rich would double the time that help takes
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command that the arguments name, and exit with its code."""
    try:
        app(prog_name="barq")
    except (
        Exception
    ) as error:  # what gets here is a bug: a person wants one line, a developer asks for the rest
        if os.environ.get("BARQ_DEBUG"):
            raise
        typer.echo(f"barq: bug: {type(error).__name__}: {error}; BARQ_DEBUG=1 shows where", err=True)
        sys.exit(ExitCode.FAILED)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"barq {__version__}")
        raise typer.Exit


@app.callback()
def _barq(
    ctx: typer.Context,
    *,
    profile: Annotated[
        str | None, typer.Option(metavar="NAME", help="The site to talk to, by the profile of a login.")
    ] = None,
    version: Annotated[  # noqa: ARG001 - its callback has printed it
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of the program itself."""
    choose(ctx.meta.get(PROFILE) or profile)


def _not_loaded() -> None:
    """Stand in the help for a verb; `VerbGroup` puts the verb itself in its place before it is called."""


for _verb in VERBS:
    app.command(_verb.name, help=_verb.help)(_not_loaded)
