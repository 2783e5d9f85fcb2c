"""Joining a site elsewhere and leaving it again, for the machine that does."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from barq.cli.down import GRACE_S, end_site, stop_site
from barq.cli.output import say
from barq.cli.up import failed, start_keeper
from barq.client import Client
from barq.errors import BarqError, InvalidInput, NotFound, Refused
from barq.site.files import SiteFiles, exclusive, is_held
from barq.site.membership import Membership, own_address, read_membership, write_membership
from barq.site.network import check_address
from barq.site.parts import ENROL, KEEPER, RAY
from barq.site.ticket import Ticket
from barq.views import JoinedView

if TYPE_CHECKING:
    from scheduler.core.orders import GroupSpec

THERE_WITHIN_S = 90.0
GONE_WITHIN_S = 15.0
ASK_EVERY_S = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A machine that asks to join."""

    ticket: Ticket
    spec: GroupSpec  #: its address is filled in
    address: str | None  #: None = of the interface that leads to the site
    ports_from: int


def join_site(wanted: Wanted | None, state: Path) -> Membership:
    """Make this machine a node and return once the site hears from it; None = as it joined before.

    Raises Refused with the site's numbers, InvalidInput, BarqError with the log of what failed.
    """
    files = SiteFiles(state)
    if files.site_file.exists():
        raise Refused(f"{state} belongs to a site of this machine", remedy="give another --state")
    files.create()
    with exclusive(files.command_lock, wait=True):
        known = read_membership(files)
        if is_held(files.keeper_lock):
            return _running(known, wanted)
        membership = known if wanted is None else _ask_to_join(files, wanted)
        if membership is None:
            raise InvalidInput(
                "this machine has not joined a site yet",
                field="TICKET",
                remedy="paste what `barq node invite` printed",
            )
        _start(files, membership)
    return membership


def _running(known: Membership | None, wanted: Wanted | None) -> Membership:
    if known is None:
        raise Refused("a keeper runs here that keeps no member", remedy="end it first: `barq down`")
    if wanted is not None:
        raise Refused(
            f"{known.node} is a node of {known.site} already, and runs", remedy="`barq node leave` ends that"
        )
    say("it is up already")
    return known


def _ask_to_join(files: SiteFiles, wanted: Wanted) -> Membership:
    """Have the site take this machine in, and put what it says in its place."""
    url = urlsplit(wanted.ticket.url)
    host = wanted.address or _address_towards(url.hostname or "")
    check_address(host, field="--address")
    if url.scheme == "http":
        say("the site's token travels over plain HTTP: join only over a network that you trust")
    spec = replace(wanted.spec, address=host)
    with Client(wanted.ticket.url, wanted.ticket.token) as site:
        answer = site.join_node(_description(spec))
    membership = Membership(
        site=answer["site"],
        node=wanted.spec.group_id,
        api_url=wanted.ticket.url,
        ray_address=answer["ray_address"],
        host=host,
        ports_from=wanted.ports_from,
    )
    _write_secret(files.ray_token, answer["ray_token"])
    _write_secret(files.token, f"{wanted.ticket.token}\n")
    _write_group(files, spec, answer)
    write_membership(files, membership)
    return membership


def _description(spec: GroupSpec) -> dict[str, object]:
    """What the site is told of this machine."""
    facts = asdict(spec)
    gpus = [{key: value for key, value in gpu.items() if value is not None} for gpu in facts["gpus"]]
    kept = {key: facts[key] for key in ("address", "base_w", "simulated")}
    told = {"topology": dict(spec.topology)} if spec.topology else {}  # a site of before knows none
    return {"name": spec.group_id, **kept, **told, "gpus": gpus}


def _write_group(files: SiteFiles, spec: GroupSpec, answer: JoinedView) -> None:
    """The configuration of this machine's guard; it looks after this group and no other."""
    for group_id in set(files.group_ids()) - {spec.group_id}:
        (files.groups / group_id / "group.json").unlink()
    filler = answer.get("filler")  # a site of before tells of none
    told = {} if filler is None else {"filler": filler["run"]}
    facts = asdict(spec) if filler is None else asdict(spec) | {"filler": filler["kind"]}
    config = answer["guard"] | {"spec": facts, "own_jobs_dir": str(files.jobs)} | told
    directory = files.groups / spec.group_id
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "group.json").write_text(json.dumps(config), encoding="utf-8")


def _write_secret(path: Path, text: str) -> None:
    """For this user only, from the first byte on."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(text)


def _address_towards(host: str) -> str:
    try:
        return own_address(host)
    except OSError as error:
        raise InvalidInput(
            f"no way leads to {host!r}: {error}", field="URL", remedy="check the address of the site"
        ) from error


def _start(files: SiteFiles, membership: Membership) -> None:
    try:
        start_keeper(files)
        _wait_until_there(files, membership)
    except (BarqError, KeyboardInterrupt):
        say("the node did not come up: what started is ended again")
        end_site(files, grace_s=GRACE_S)
        raise


def _wait_until_there(files: SiteFiles, membership: Membership) -> None:
    """Until the site hears from this node. Raises BarqError."""
    deadline_s = time.monotonic() + THERE_WITHIN_S
    while not _is_reachable(files, membership):
        if not is_held(files.keeper_lock):
            raise failed(files, "the keeper ended", KEEPER)
        if time.monotonic() > deadline_s:
            guard = f"guard:{membership.node}"
            raise failed(
                files, f"the site did not hear from it within {THERE_WITHIN_S:g} s", RAY, ENROL, guard
            )
        time.sleep(ASK_EVERY_S)


def _is_reachable(files: SiteFiles, membership: Membership) -> bool:
    with _site(files, membership) as site:
        return any(node["id"] == membership.node and node["reachable"] for node in site.nodes())


def _site(files: SiteFiles, membership: Membership) -> Client:
    return Client(membership.api_url, files.token.read_text("ascii").strip())


# -- leaving -----------------------------------------------------------------------------------------------------------


def leave_site(state: Path, *, grace_s: float) -> Membership:
    """End everything of the site here, jobs saved, and have the site count this node no more.

    Raises NotFound if it is no node, BarqError if something cannot be ended.
    """
    files = SiteFiles(state)
    membership = read_membership(files)
    if membership is None:
        raise NotFound(f"{state}: this machine is no node of a site elsewhere", remedy="name its --state")
    with _site(files, membership) as site:
        told = _told(lambda: site.let_node_leave(membership.node), membership)
        stop_site(state, grace_s=grace_s)
        if told:
            _wait_until_empty(site, membership)
            _told(lambda: site.forget_node(membership.node), membership)
    for path in (files.membership, files.token, files.ray_token):
        path.unlink(missing_ok=True)
    for group_id in files.group_ids():
        (files.groups / group_id / "group.json").unlink()
    if any(files.jobs.glob("*/checkpoints/*")):
        say(f"jobs that ran here left their checkpoints in {files.jobs}: only this machine can read them")
    return membership


def _told(say_it: Callable[[], None], membership: Membership) -> bool:
    """Whether the site could be told. If not, this machine leaves all the same."""
    try:
        say_it()
    except NotFound:
        return False  # it was forgotten already
    except BarqError as error:
        say(f"{error}. On the site's machine: `barq node forget {membership.node}`")
        return False
    return True


def _wait_until_empty(site: Client, membership: Membership) -> None:
    """Until the site has seen that the jobs of this node have left it: then they go on elsewhere at once."""
    deadline_s = time.monotonic() + GONE_WITHIN_S
    while time.monotonic() < deadline_s:
        node = next((n for n in site.nodes() if n["id"] == membership.node), None)
        if node is None or not any(gpu["attempt_id"] for gpu in node["gpus"]):
            return
        time.sleep(ASK_EVERY_S)
