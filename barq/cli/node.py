"""`barq node`: machines that belong to a site whose head is elsewhere."""

from __future__ import annotations

import os
import re
import secrets
import socket
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from barq.cli.connect import connect
from barq.cli.down import GRACE_S, StateOption
from barq.cli.local_site import checked_machine
from barq.cli.members import Wanted, join_site, leave_site
from barq.cli.options import JsonOption, QuietOption, duration_s
from barq.cli.output import Format, chosen_format, emit, say
from barq.errors import InvalidInput, Refused, Unreachable
from barq.location import state_dir
from barq.site.files import SiteFiles, read_json
from barq.site.ray_head import LOOPBACK, PORTS_FROM
from barq.site.ticket import Ticket, is_ticket

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scheduler.core.orders import GroupSpec

BaseW = Annotated[
    float | None, typer.Option(min=1, metavar="WATTS", help="What this machine draws without its GPUs.")
]
Topology = Annotated[
    list[str] | None,
    typer.Option(metavar="LEVEL=NAME", help="Where it is, by levels of the site, such as rack=r4."),
]

Lasts = Annotated[str, typer.Option("--for", metavar="DURATION", help="How long the ticket is good.")]
TokenFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Holds a token of the site, for use with its address.")
]
Address = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="By which the other machines reach this one.")
]
Ports = Annotated[int, typer.Option(min=1024, max=65435, metavar="N", help="First of 100 TCP ports for Ray.")]

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

_NAME_CHARACTERS: Final = "abcdefghijklmnopqrstuvwxyz0123456789-"
_LONGEST_NAME: Final = 32
_REMEDY: Final = "see `barq doctor`, or give --simulated --gpus N"


@app.callback()
def node() -> None:
    """Add this machine to a site elsewhere, or take it out."""


@app.command()
def invite(
    *,
    lasts: Lasts = "24h",
    state: StateOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Print the line with which another machine joins the site that runs here. It is a secret."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    print_ticket(form, "barq node join", SiteFiles(directory_of(state)), duration_s(lasts, "--for"))


@app.command()
def join(
    site: Annotated[
        str | None,
        typer.Argument(
            metavar="TICKET|URL",
            help="What `barq node invite` printed, - to read that from stdin, or the site's address with "
            "--token-file. Without it: as the last time.",
        ),
    ] = None,
    *,
    token_file: TokenFile = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the node; else this machine's own.")
    ] = None,
    address: Address = None,
    ports: Ports = PORTS_FROM,
    simulated: Annotated[
        bool, typer.Option("--simulated", help="Simulated GPUs; jobs are real all the same.")
    ] = False,
    gpus: Annotated[int, typer.Option(min=0, max=64, metavar="N", help="How many simulated ones.")] = 0,
    gpu_model: Annotated[str, typer.Option(metavar="MODEL", help="Their model.")] = "a100-sxm-400w",
    base_w: BaseW = None,
    topology: Topology = None,
    state: StateOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make this machine a node of a site elsewhere, or start it again as the node that it is."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    wanted = None
    if site is not None:
        wanted = Wanted(
            ticket=ticket_of(site, token_file),
            spec=_own_spec(
                name or own_name(), base_w, gpus if simulated else None, gpu_model, topology or []
            ),
            address=address,
            ports_from=ports,
        )
    membership = join_site(wanted, directory_of(state))
    value = {"node": membership.node, "site": membership.site, "api_url": membership.api_url}
    line = f"{membership.node} is {membership.what} of {membership.site} ({membership.api_url})"
    emit(form, value=value, ids=[membership.node], blocks=lambda: [line])


@app.command()
def leave(
    state: StateOption = None,
    grace: Annotated[
        str, typer.Option(metavar="DURATION", help="How long jobs may take to save before they are killed.")
    ] = f"{GRACE_S:g}s",
) -> None:
    """Take this machine out of its site: jobs save first and go on elsewhere, nothing of the site is left here."""
    membership = leave_site(directory_of(state), grace_s=duration_s(grace, "--grace"))
    say(membership.farewell)


@app.command()
def forget(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A node that joined and is gone for good.")],
) -> None:
    """Count a node no more that is gone without having left."""
    with connect() as site:
        site.forget_node(name)
    say(f"{name} is no part of the site any more")


def print_ticket(form: Format, command: str, files: SiteFiles, lasts_s: float) -> None:
    """Make a ticket and print the command that uses it. Raises as `make_ticket`."""
    ticket, expires_at = make_ticket(files, lasts_s=lasts_s)
    text = ticket.text()
    value = {"ticket": text, "expires_at": expires_at.isoformat()}
    emit(form, value=value, ids=[text], blocks=lambda: [f"{command} {text}"])


def make_ticket(files: SiteFiles, *, lasts_s: float) -> tuple[Ticket, datetime]:
    """A ticket for the site that runs in this state directory, and when it ends. Raises Unreachable, Refused."""
    from scheduler.settings import load_site
    from scheduler.store.database import open_database
    from scheduler.store.desk import Desk

    address = read_json(files.address)
    if "api_url" not in address or files.membership.exists():
        raise Unreachable(f"no site has its head here: {files.state}", remedy="run it where `barq up` ran")
    if str(address.get("ray_address", "")).startswith(f"{LOOPBACK}:"):
        raise Refused(
            f"the site listens on {LOOPBACK}, which no other machine can reach",
            remedy="`barq down`, then `barq up --listen ADDRESS`",
        )
    if files.is_shadow:
        raise Refused(
            "the site is in shadow mode, and acts on no machine",
            remedy="describe its nodes in the site file (simulated: true); invite machines once it is live",
        )
    engine = open_database(files.database)
    expires_at = datetime.now(UTC) + timedelta(seconds=lasts_s)
    desk = Desk(engine, site=load_site(files.site_file).name)
    token = desk.create_token(f"join-{secrets.token_hex(4)}", "operator", expires_at=expires_at)
    engine.dispose()
    return Ticket(url=str(address["api_url"]), token=token), expires_at


def directory_of(state: Path | None) -> Path:
    """The state directory that is meant, as a whole path."""
    return (state or state_dir(os.environ)).expanduser().resolve()


def ticket_of(site: str, token_file: Path | None) -> Ticket:
    """What the argument means. Raises InvalidInput."""
    text = sys.stdin.readline() if site == "-" else site
    if is_ticket(text):
        return Ticket.read(text)
    if token_file is None:
        raise InvalidInput(
            f"{text.strip()[:80]!r} is no ticket, and for an address a token is needed",
            field="TICKET|URL",
            remedy="paste what `barq node invite` or `barq miners invite` prints on the site, or give --token-file",
        )
    try:
        token = token_file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise InvalidInput(
            f"the token file {token_file} cannot be read: {why}", field="--token-file", remedy="give its path"
        ) from error
    url = text.strip() if "://" in text else f"http://{text.strip()}"
    return Ticket(url=url if url.count(":") > 1 else f"{url}:{PORTS_FROM}", token=token)


def _own_spec(
    name: str, base_w: float | None, simulated_gpus: int | None, model: str, topology: Sequence[str]
) -> GroupSpec:
    """What this machine has: as many simulated GPUs, or (None) the real ones. Raises InvalidInput."""
    from scheduler.core.orders import GpuSlot, GroupKind, GroupSpec
    from workers.nvml.machine import SETTLE_S, local_gpus

    if simulated_gpus is not None and simulated_gpus < 1:
        raise InvalidInput("--gpus: a node without GPUs has no use", field="--gpus", remedy="say how many")
    if base_w is None:
        raise InvalidInput(
            "what this machine draws beside its GPUs is not known",
            field="--base-w",
            remedy="give --base-w WATTS: the site counts it at all times",
        )
    place = _place(topology)
    if simulated_gpus is None:
        machine = checked_machine(local_gpus(settle_s=SETTLE_S), remedy=_REMEDY)
        return replace(machine.spec(name, base_w=base_w), topology=place)
    slots = tuple(GpuSlot(gpu_id=str(number), model=model) for number in range(simulated_gpus))
    return GroupSpec(
        group_id=name, kind=GroupKind.NODE, base_w=base_w, gpus=slots, simulated=True, topology=place
    )


def _place(settings: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Where this machine is, by level. Raises InvalidInput."""
    from barq.topology import LEVEL, PLACE

    found: dict[str, str] = {}
    for setting in settings:
        level, _, place = setting.partition("=")
        if not re.fullmatch(LEVEL, level) or not re.fullmatch(PLACE, place) or level in found:
            raise InvalidInput(
                f"--topology: {setting[:80]!r} does not say where this machine is",
                field="--topology",
                value=setting,
                remedy="write LEVEL=NAME, each level once, such as --topology rack=r4",
            )
        found[level] = place
    return tuple(found.items())


def own_name() -> str:
    """This machine's name, as far as the name of a node can be it."""
    host = socket.gethostname().partition(".")[0].lower()
    name = "".join(c if c in _NAME_CHARACTERS else "-" for c in host)[:_LONGEST_NAME].strip("-")
    return name or "node"
