"""`barq token create`, `barq token list`, `barq token revoke`: who may do what at a site, and how long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from barq.cli.connect import connect
from barq.cli.exits import exit_code_of, say_error
from barq.cli.facts import moment
from barq.cli.options import JsonOption, QuietOption, positive_duration_s
from barq.cli.output import Format, Table, chosen_format, emit, say
from barq.errors import BarqError, NotFound, Refused
from barq.roles import Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from barq.client import Client
    from barq.views import TokenView

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def token() -> None:
    """Make, list and revoke the tokens of people. For operators of the site."""


@app.command()
def create(
    *,
    user: Annotated[str, typer.Option(metavar="NAME", help="Who it is for; owns what is submitted with it.")],
    role: Annotated[Role, typer.Option(help="What it may do; each role includes those before it.")],
    expires: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="How long it is good for, such as 90d; else for ever."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What it is for, such as laptop; else named after the user."),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a token, and print it this once. With -q nothing else is printed."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    expires_in_s = positive_duration_s(expires, "--expires")
    with connect() as site:
        made = site.create_token(user, role=role.value, expires_in_s=expires_in_s, name=name)
        address = _address(site)
    emit(form, value=made, ids=[made["token"]], blocks=lambda: [made["token"]])
    if form is Format.TABLE:
        say(
            f"token {made['name']} of {made['user']}: {made['role']}, {_ends(made)}; it cannot be shown again"
        )
        say(f"its user types: barq login {address}")


@app.command(name="list")
def list_tokens(*, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """List the tokens, without their texts; expired ones too, revoked ones not."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    with connect() as site:
        found = site.tokens()
    emit(form, value=found, ids=(one["name"] for one in found), blocks=lambda: [_table(found)])


@app.command()
def revoke(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Names of tokens.")],
    *,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Take tokens back: from now on they open nothing."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    gone: list[TokenView] = []
    failed: list[BarqError] = []
    with connect() as site:
        for name in names:
            try:
                gone.append(site.revoke_token(name))
            except (NotFound, Refused) as error:
                say_error(error)
                failed.append(error)
    lines = [f"revoked {one['name']} of {one['user']}: {one['role']}" for one in gone]
    emit(form, value=gone, ids=(one["name"] for one in gone), blocks=lambda: lines)
    if failed:
        raise typer.Exit(exit_code_of(failed[0]))


def _address(site: Client) -> str:
    """Return where others reach the site, as far as can be told from here."""
    from barq.transport import is_here, parse_address

    return "URL" if is_here(parse_address(site.url).host) else site.url


def _table(found: Sequence[TokenView]) -> Table:
    rows = [[one["name"], one["user"], one["role"], moment(one["created_at"]), _ends(one)] for one in found]
    return Table(headers=("TOKEN", "USER", "ROLE", "MADE", "GOOD"), rows=rows)


def _ends(one: TokenView) -> str:
    return "without end" if one["expires_at"] is None else f"until {moment(one['expires_at'])}"
