"""`barq miners invite|join|leave|forget`: a machine on a LAN of miners that guards them for a site elsewhere."""

from __future__ import annotations

from typing import Annotated

import typer

from barq.cli.connect import connect
from barq.cli.down import GRACE_S, StateOption
from barq.cli.members import WantedGuards, join_site, leave_site
from barq.cli.node import (
    Address,
    Lasts,
    Ports,
    TokenFile,
    directory_of,
    own_name,
    print_ticket,
    ticket_of,
)
from barq.cli.options import JsonOption, QuietOption, duration_s
from barq.cli.output import chosen_format, emit, say
from barq.errors import NotFound, Refused
from barq.site.files import SiteFiles
from barq.site.ray_head import PORTS_FROM


def invite(
    *,
    lasts: Lasts = "24h",
    state: StateOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Print the line with which another machine takes on miners of the site that runs here. It is a secret."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    print_ticket(form, "barq miners join", SiteFiles(directory_of(state)), duration_s(lasts, "--for"))


def join(
    site: Annotated[
        str | None,
        typer.Argument(
            metavar="TICKET|URL",
            help="What `barq miners invite` printed, - to read that from stdin, or the site's address with "
            "--token-file. Without it: as the last time.",
        ),
    ] = None,
    *,
    token_file: TokenFile = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Of this machine, as guard_on in the site file has it; else its own."
        ),
    ] = None,
    address: Address = None,
    ports: Ports = PORTS_FROM,
    state: StateOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Have this machine guard the miners that the site file leaves to it, or start it again as it did."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    directory = directory_of(state)
    wanted = None
    if site is not None:
        ticket = ticket_of(site, token_file)
        wanted = WantedGuards(ticket=ticket, name=name or own_name(), address=address, ports_from=ports)
    membership = join_site(wanted, directory)
    groups = SiteFiles(directory).group_ids()
    value = {"machine": membership.node, "site": membership.site, "api_url": membership.api_url}
    line = f"{membership.node} guards {', '.join(groups)} of {membership.site} ({membership.api_url})"
    emit(form, value=value | {"groups": groups}, ids=groups, blocks=lambda: [line])


def leave(
    state: StateOption = None,
    grace: Annotated[
        str, typer.Option(metavar="DURATION", help="How long the end of what runs here may take.")
    ] = f"{GRACE_S:g}s",
) -> None:
    """Guard miners here no more: they are told to sleep, and nothing of the site is left on this machine."""
    membership = leave_site(directory_of(state), grace_s=duration_s(grace, "--grace"))
    say(membership.farewell)


def forget(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A machine that guarded miners, or a group of miners.")
    ],
) -> None:
    """Let another machine take on miners whose guard is gone for good. Two guards would fight: be sure that it is."""
    with connect() as site:
        named = [n for n in site.nodes() if name in (n["id"], n.get("guard_on"))]
        groups = [n["id"] for n in named if n.get("guard_on")]
        if not groups and any(n.get("kind") == "miners" for n in named):
            raise Refused(
                f"{name} does not say guard_on in the site file: no other machine guards it",
                remedy="name one that does; `barq nodes` lists all",
            )
        if not groups:
            raise NotFound(
                f"no group of miners is called {name}, nor guarded on a machine of that name",
                remedy="see `barq nodes`",
            )
        for group in groups:
            site.forget_node(group)
    say(f"nobody guards {', '.join(groups)} now")
