"""The one place where an error becomes a line on stderr and an exit code."""

from __future__ import annotations

from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Final

import typer

from barq.errors import BarqError, InvalidInput, NotFound, Refused, Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator


_SIMULATES: Final = frozenset({"numpy", "highspy"})
_OURS: Final = frozenset({"barq", "scheduler", "workers", "api"})


class ExitCode(IntEnum):
    """What the shell is told."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    NO_SERVER = 5
    WOULD_WAIT = 6
    INTERRUPTED = 130


def exit_code_of(error: BarqError) -> ExitCode:
    """Return the exit code that `error` means; what has none of its own failed."""
    match error:
        case InvalidInput():
            return ExitCode.USAGE
        case NotFound():
            return ExitCode.NOT_FOUND
        case Refused():
            return ExitCode.REFUSED
        case Unreachable():
            return ExitCode.NO_SERVER
        case _:
            return ExitCode.FAILED


def say_error(error: BarqError) -> None:
    """Print one line: what, which field and value, what to do."""
    typer.echo(f"barq: {error}", err=True)


@contextmanager
def errors_as_exit_codes() -> Iterator[None]:
    """Turn what Barq raises on purpose, a missing package and Ctrl-C into a line and an exit code."""
    try:
        yield
    except BarqError as error:
        say_error(error)
        raise typer.Exit(exit_code_of(error)) from error
    except ModuleNotFoundError as error:
        if (error.name or "barq").partition(".")[0] in _OURS:
            raise
        say_error(_not_installed(error))
        raise typer.Exit(ExitCode.FAILED) from error
    except KeyboardInterrupt as interrupt:
        raise typer.Exit(ExitCode.INTERRUPTED) from interrupt


@contextmanager
def mistakes_in_our_words() -> Iterator[None]:
    """Let an option that makes no sense name its value and the remedy, as a field of a job file does."""
    try:
        yield
    except typer.BadParameter as error:
        error.message = _mistake(error)
        raise


def _mistake(error: typer.BadParameter) -> str:
    from pydantic import ValidationError

    from barq.refusal import explain

    if not isinstance(error.__cause__, ValidationError):
        return error.message
    details = error.__cause__.errors(include_url=False)[0]
    refusal = explain(details)
    return refusal.remedy if details["type"] == "value_error" else f"{refusal.value}; {refusal.remedy}"


def _not_installed(error: ModuleNotFoundError) -> BarqError:
    message = f"this needs the package {error.name}, which is not installed"
    if (error.name or "").partition(".")[0] in _SIMULATES:
        return BarqError(message, remedy="install what simulations need: pip install 'barq[site,simulate]'")
    return BarqError(message, remedy="install what a site needs: pip install 'barq[site]'")
