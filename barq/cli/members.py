"""Joining a site elsewhere and leaving it again, for the machine that does."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from barq.cli.down import GRACE_S, end_site, stop_site
from barq.cli.output import say
from barq.cli.up import failed, start_keeper
from barq.client import Client
from barq.errors import BarqError, InvalidInput, NotFound, Refused, Unauthorized, Unreachable
from barq.site.files import SiteFiles, exclusive, is_held
from barq.site.membership import Membership, own_address, read_membership, write_membership
from barq.site.network import check_address
from barq.site.parts import ENROL, KEEPER, RAY
from barq.site.ticket import Ticket
from barq.views import AdmittedView, JoinedGuardView, JoinedView

if TYPE_CHECKING:
    from scheduler.core.orders import GroupSpec

THERE_WITHIN_S = 90.0
GONE_WITHIN_S = 15.0
ASK_EVERY_S = 0.3
FOR_OTHERS: Final = frozenset({"guarded_already", "nothing_to_guard"})
"""Codes with which the site says that this machine is not to guard what it did."""


Configs = Mapping[str, Mapping[str, object]]
"""What each guard of this machine is told, by group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """A machine that asks to join."""

    ticket: Ticket
    address: str | None  #: None = of the interface that leads to the site
    ports_from: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted(Entrant):
    """It would be a node."""

    spec: GroupSpec  #: its address is filled in

    @property
    def name(self) -> str:
        """Of the node."""
        return self.spec.group_id

    def ask(self, site: Client, host: str, state: Path) -> tuple[JoinedView, Configs]:
        """What the site answers, and what its guard is told. Raises Refused, BarqError."""
        from scheduler.core.orders import FillerKind
        from scheduler.group_files import group_config

        spec = replace(self.spec, address=host)
        answer = site.join_node(_description(spec))
        filler = answer.get("filler")  # a site of before tells of none
        kind, run = (None, None) if filler is None else (FillerKind(**filler["kind"]), filler["run"])
        config = group_config(replace(spec, filler=kind), answer["guard"], state, filler=run)
        return answer, {spec.group_id: config}


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedGuards(Entrant):
    """It would guard the miners that the site file leaves to it."""

    name: str

    def ask(self, site: Client, host: str, state: Path) -> tuple[AdmittedView, Configs]:
        """What the site answers, and what the guards are told. Raises Refused, BarqError."""
        answer = site.join_guard(self.name, host)
        return answer, guards_of(answer, host, state)


def guards_of(answer: JoinedGuardView, host: str, state: Path) -> Configs:
    """What the guards are told of the groups in the answer. Raises BarqError for one of another version."""
    from pydantic import ValidationError

    from scheduler.equipment import Miners, miners_spec
    from scheduler.group_files import group_config

    configs = {}
    for group in answer["groups"]:
        try:
            miners = Miners.model_validate(group["told"])
        except ValidationError as error:
            raise BarqError(
                f"what the site says of {group['name']} makes no sense here: {error.errors()[0]['msg']}",
                remedy="install the same version of Barq on both machines",
            ) from error
        spec = replace(miners_spec(miners), address=host)
        configs[miners.name] = group_config(spec, answer["guard"], state, miners)
    return configs


def join_site(wanted: Wanted | WantedGuards | None, state: Path) -> Membership:
    """Make this machine a part of a site and return once the site hears from it; None = as it joined before.

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
        if wanted is not None:
            membership = _ask_to_join(files, wanted)
        elif known is not None:
            membership = _as_before(files, known)
        else:
            raise InvalidInput(
                "this machine has not joined a site yet",
                field="TICKET",
                remedy="paste what `barq node invite` or `barq miners invite` printed on the site",
            )
        _start(files, membership, is_new=wanted is not None)
    return membership


def _running(known: Membership | None, wanted: Wanted | WantedGuards | None) -> Membership:
    if known is None:
        raise Refused("a keeper runs here that keeps no member", remedy="end it first: `barq down`")
    if wanted is not None:
        raise Refused(
            f"{known.node} is {known.what} of {known.site} already, and runs",
            remedy=f"`{known.verb} leave` ends that",
        )
    say("it is up already")
    return known


def _ask_to_join(files: SiteFiles, wanted: Wanted | WantedGuards) -> Membership:
    """Have the site take this machine in, and put what it says in its place."""
    url = urlsplit(wanted.ticket.url)
    host = wanted.address or _address_towards(url.hostname or "")
    check_address(host, field="--address")
    if url.scheme == "http":
        say("the site's token travels over plain HTTP: join only over a network that you trust")
    with Client(wanted.ticket.url, wanted.ticket.token) as site:
        answer, configs = wanted.ask(site, host, files.state)
    membership = Membership(
        site=answer["site"],
        node=wanted.name,
        api_url=wanted.ticket.url,
        ray_address=answer["ray_address"],
        host=host,
        ports_from=wanted.ports_from,
        guards=isinstance(wanted, WantedGuards),
    )
    _write_secret(files.token, f"{answer.get('token') or wanted.ticket.token}\n")
    _take(files, membership, answer, configs)
    return membership


def _as_before(files: SiteFiles, known: Membership) -> Membership:
    """As it joined; a machine that guards miners asks first whether it still is to, and what they are now.

    A site that cannot be asked keeps no guard from its work. Raises Refused where others are to do it by now.
    """
    if not known.guards:
        return known
    try:
        with _site(files, known) as site:
            answer = site.join_guard(known.node, known.host, again=True)
    except BarqError as error:
        if error.code in FOR_OTHERS:
            raise
        say(f"the site could not be asked, so it goes on with what it knew: {error}")
        return known
    membership = replace(known, ray_address=answer["ray_address"])
    _take(files, membership, answer, guards_of(answer, known.host, files.state))
    return membership


def _take(files: SiteFiles, membership: Membership, answer: AdmittedView, configs: Configs) -> None:
    """Put what the site said in its place."""
    _write_secret(files.ray_token, answer["ray_token"])
    _write_groups(files, configs)
    write_membership(files, membership)


def _description(spec: GroupSpec) -> dict[str, object]:
    """What the site is told of this machine."""
    facts = asdict(spec)
    gpus = [{key: value for key, value in gpu.items() if value is not None} for gpu in facts["gpus"]]
    kept = {key: facts[key] for key in ("address", "base_w", "simulated")}
    told = {"topology": dict(spec.topology)} if spec.topology else {}  # a site of before knows none
    return {"name": spec.group_id, **kept, **told, "gpus": gpus}


def _write_groups(files: SiteFiles, configs: Configs) -> None:
    """The configurations of this machine's guards; it looks after these groups and no others."""
    from scheduler.group_files import write_group

    for group_id in set(files.group_ids()) - set(configs):
        (files.groups / group_id / "group.json").unlink()
    for group_id, config in configs.items():
        write_group(files.groups, group_id, config)


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


def _start(files: SiteFiles, membership: Membership, *, is_new: bool) -> None:
    try:
        start_keeper(files)
        _wait_until_there(files, membership, may_be_alone=membership.guards and not is_new)
    except (BarqError, KeyboardInterrupt):
        say(f"{membership.node} did not come up: what started is ended again")
        end_site(files, grace_s=GRACE_S)
        raise


def _wait_until_there(files: SiteFiles, membership: Membership, *, may_be_alone: bool) -> None:
    """Until the site hears from all guards here. Raises BarqError.

    `may_be_alone`: guards that run are enough where the site cannot be asked, or does not hear them in time.
    """
    deadline_s = time.monotonic() + THERE_WITHIN_S
    while not _is_reachable(files, membership, may_be_alone=may_be_alone):
        if not is_held(files.keeper_lock):
            raise failed(files, "the keeper ended", KEEPER)
        if time.monotonic() > deadline_s:
            if may_be_alone and _guards_answer(files):
                say("the site does not hear it yet; its guards hold the miners asleep until then")
                return
            guards = [f"guard:{group_id}" for group_id in files.group_ids()]
            raise failed(
                files, f"the site did not hear from it within {THERE_WITHIN_S:g} s", RAY, ENROL, *guards
            )
        time.sleep(ASK_EVERY_S)


def _is_reachable(files: SiteFiles, membership: Membership, *, may_be_alone: bool) -> bool:
    """Whether the site hears all groups of this machine."""
    try:
        with _site(files, membership) as site:
            heard = {node["id"] for node in site.nodes() if node["reachable"]}
    except (Unreachable, Unauthorized):
        if not may_be_alone:
            raise
        return _guards_answer(files)
    return heard.issuperset(files.group_ids())


def _guards_answer(files: SiteFiles) -> bool:
    """Whether all guards of this machine are at work."""
    from workers.sockets import connect

    try:
        for group_id in files.group_ids():
            connect(files.groups / group_id / "guard.sock", timeout_s=1.0).close()
    except OSError:
        return False
    return True


def _site(files: SiteFiles, membership: Membership) -> Client:
    return Client(membership.api_url, files.token.read_text("ascii").strip())


# -- leaving -----------------------------------------------------------------------------------------------------------


def leave_site(state: Path, *, grace_s: float) -> Membership:
    """End everything of the site here, jobs saved and miners asleep, and have the site count this machine no more.

    Miners stay part of their site, which counts them at all that they can draw until somebody guards them again.
    Raises NotFound if it is part of no site, BarqError if something cannot be ended.
    """
    files = SiteFiles(state)
    membership = read_membership(files)
    if membership is None:
        raise NotFound(f"{state}: this machine is no part of a site elsewhere", remedy="name its --state")
    groups = files.group_ids()
    with _site(files, membership) as site:
        told = [gid for gid in groups if _told(partial(site.let_node_leave, gid), membership, gid)]
        stop_site(state, grace_s=grace_s)
        for group_id in told:
            _wait_until_empty(site, group_id)
            _told(partial(site.forget_node, group_id), membership, group_id)
    for path in (files.membership, files.token, files.ray_token):
        path.unlink(missing_ok=True)
    for group_id in groups:
        (files.groups / group_id / "group.json").unlink()
    if any(files.jobs.glob("*/checkpoints/*")):
        say(f"jobs that ran here left their checkpoints in {files.jobs}: only this machine can read them")
    return membership


def _told(say_it: Callable[[], None], membership: Membership, group_id: str) -> bool:
    """Whether the site could be told. If not, this machine leaves all the same."""
    try:
        say_it()
    except NotFound:
        return False  # it was forgotten already
    except BarqError as error:
        say(f"{error}. On the site's machine: `{membership.verb} forget {group_id}`")
        return False
    return True


def _wait_until_empty(site: Client, group_id: str) -> None:
    """Until the site has seen that the jobs of this node have left it: then they go on elsewhere at once."""
    deadline_s = time.monotonic() + GONE_WITHIN_S
    while time.monotonic() < deadline_s:
        node = next((n for n in site.nodes() if n["id"] == group_id), None)
        if node is None or not any(gpu["attempt_id"] for gpu in node["gpus"]):
            return
        time.sleep(ASK_EVERY_S)
