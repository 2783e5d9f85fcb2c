"""`barq up`: start a site on this machine, and say where it is."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from barq.cli.down import GRACE_S, StateOption, end_site, stop_site
from barq.cli.local_site import find_gpus, keep_measured, read_site
from barq.cli.options import JsonOption, QuietOption
from barq.cli.output import chosen_format, emit, say
from barq.cli.shadow_text import SHADOW_LINE
from barq.contract import write_atomically
from barq.errors import BarqError, InvalidInput, Refused
from barq.location import state_dir
from barq.site.files import SiteFiles, exclusive, is_held, read_json
from barq.site.network import Network, choose_network, read_network, what_to_open
from barq.site.parts import KEEPER
from barq.site.processes import spawn
from barq.site.ray_head import PORTS_FROM, is_free
from barq.site.stopping import read_processes

if TYPE_CHECKING:
    from scheduler.core.orders import GroupSpec
    from scheduler.settings import Site

KEEPER_WITHIN_S = 30.0
READY_WITHIN_S = 90.0
GUARDS_WITHIN_S = 30.0
TOO_MANY_RESTARTS = 5  #: of one part before the site was ever ready: it will not get better
ASK_EVERY_S = 0.2
LOG_LINES = 20
NO_ROOM_BYTES = 4 << 20  #: what a new database takes, and to spare


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A site that is ready."""

    api_url: str
    token_file: Path
    is_new: bool  #: False: it was up already


def up(
    site: Annotated[
        Path | None,
        typer.Argument(
            metavar="SITE.yaml",
            help="Site file; else that of the last time, else the GPUs of this machine, else two simulated nodes.",
        ),
    ] = None,
    *,
    state: StateOption = None,
    port: Annotated[
        int,
        typer.Option(
            min=0,
            max=65435,
            help=f"Port of the API; 0 = a free one. With --listen, of the first of 100; 0 = {PORTS_FROM}.",
        ),
    ] = 0,
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="IPv4 address that other machines of the site reach this one by."
        ),
    ] = None,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay until Ctrl-C or SIGTERM.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Start a site on this machine, or say where it is when it is up already."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    directory = (state or state_dir(os.environ)).expanduser().resolve()
    running = start_site(site, directory, port=port, listen=listen)
    value = {"api_url": running.api_url, "token_file": str(running.token_file), "state": str(directory)}
    if not running.is_new:
        say(_up_already(SiteFiles(directory), site, port, running.api_url))
    blocks = [
        *([SHADOW_LINE] if SiteFiles(directory).is_shadow else []),
        f"API:       {running.api_url}",
        f"Dashboard: {running.api_url}/",
        f"Token:     {running.token_file}",
        *what_to_open(str(read_json(SiteFiles(directory).address).get("ray_address", ""))),
    ]
    emit(form, value=value, ids=[running.api_url], blocks=lambda: blocks)
    if foreground:
        _stay(directory)


_OTHER_STATE: Final = (
    "name a directory that this user may write, new or of a site before, with --state or BARQ_STATE"
)


def _up_already(files: SiteFiles, wanted: Path | None, port: int = 0, api_url: str = "") -> str:
    """What to say of a site that was not started; that it runs by another file or port than is wanted, if so."""
    known = files.site_file
    if wanted is not None and not (wanted.is_file() and wanted.read_bytes() == known.read_bytes()):
        return f"the site is up already, and not as {wanted} says now: `barq down` first to start it so"
    if port and not api_url.endswith(f":{port}"):
        return f"the site is up already, and not at port {port}: `barq down` first to start it there"
    return "the site is up already"


def start_site(site_file: Path | None, state: Path, *, port: int = 0, listen: str | None = None) -> Running:
    """Start the site in `state`, and return when it is ready. Does nothing to one that is up already.

    Raises InvalidInput for a site file that makes no sense, BarqError with the log of what failed.
    """
    files = SiteFiles(state.resolve())
    try:
        files.create()
    except OSError as error:
        raise _no_state(files, error) from error
    with exclusive(files.command_lock, wait=True):
        is_new = not is_held(files.keeper_lock)
        if is_new:
            try:
                _prepare(files, site_file, listen=listen, port=port)
            except OSError as error:
                raise _no_state(files, error) from error
        try:
            if is_new:
                start_keeper(files, port)
            api_url = _wait_until_ready(files)
            _wait_for_guards(files)
        except (BarqError, KeyboardInterrupt):
            if is_new:
                say("the site did not come up: what started is ended again")
                end_site(files, grace_s=GRACE_S)
            raise
    return Running(api_url=api_url, token_file=files.token, is_new=is_new)


# -- before the start --------------------------------------------------------------------------------------------------


def _no_state(files: SiteFiles, error: OSError) -> InvalidInput:
    """What to say of a state directory that cannot be written."""
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    why = "its disk is full" if is_full else error.strerror
    remedy = f"make room there, or {_OTHER_STATE}" if is_full else _OTHER_STATE
    message = f"{files.state} cannot keep the state of a site: {why}"
    return InvalidInput(message, field="--state", remedy=remedy)


def _prepare(files: SiteFiles, site_file: Path | None, *, listen: str | None, port: int) -> None:
    """Put the site file, the groups, the jobs' directory, the database and the token in their places."""
    from api.auth import ensure_site_token
    from scheduler.errors import StoreError
    from scheduler.store.database import migrate, open_database
    from scheduler.store.desk import Desk
    from workers.nvml.machine import SETTLE_S, local_gpus

    if files.membership.exists():
        raise Refused("this machine is a node of another site", remedy="leave it first: `barq node leave`")
    look = cache(partial(local_gpus, settle_s=SETTLE_S))
    text, site = read_site(files, site_file, look)
    is_running = bool(read_processes(files))
    if is_running:
        _check_same(files, text, listen)
    found = find_gpus(site, files.state, look, is_running=is_running)
    keep_measured(files, site, site_file)
    write_atomically(files.site_file, text.encode(), durable=True)
    _clear_groups(files, site)
    network = choose_network(files, host=listen or (str(site.listen) if site.listen else None), port=port)
    if not is_running:
        _require_free(network)
    site.write_groups(files.state, found, address=network.host)
    if not site.is_shadow:
        _mark_storage(site.jobs_dir(files.state))
    try:
        engine = open_database(site.database(files.state))
        migrate(engine)
        desk = Desk(engine, site=site.name)
        _check_members(site, found, [member.spec for member in desk.members()])
        ensure_site_token(desk, files.token)
        engine.dispose()
    except StoreError as error:
        if shutil.disk_usage(files.state).free < NO_ROOM_BYTES:  # of which SQLite says many things
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise BarqError(str(error), remedy=_OTHER_STATE) from error


def _require_free(network: Network) -> None:
    """Before anything is started: an API that cannot listen would end again and again. Raises InvalidInput."""
    host, port = network.host, network.port
    if port and not is_free(host, port):
        raise InvalidInput(
            f"port {port} of {host} is taken by another program",
            field="--port",
            remedy=f"name another one, or end what listens there (`ss -ltnp sport = :{port}` tells what it is)",
        )


def _clear_groups(files: SiteFiles, site: Site) -> None:
    """Leave no guard a configuration that it is not to have; none is to have one while nothing is acted."""
    here = {gid for gid, spec in site.groups().items() if spec.elsewhere is None}
    wanted = set() if site.is_shadow else here
    for group_id in set(files.group_ids()) - wanted:
        (files.groups / group_id / "group.json").unlink()
    if files.is_shadow:
        shutil.rmtree(files.shadow)


def _check_same(files: SiteFiles, text: str, listen: str | None) -> None:
    """What runs here without its keeper can only be kept as it is. Raises Refused."""
    remedy = "end it first: `barq down`"
    if files.site_file.exists() and files.site_file.read_text(encoding="utf-8") != text:
        raise Refused("a site with another site file runs here without its keeper", remedy=remedy)
    host = read_network(files).host
    if listen not in (None, host):
        raise Refused(f"a site that listens on {host} runs here without its keeper", remedy=remedy)


def _mark_storage(jobs_dir: Path) -> None:
    """Give the place of the jobs its id, by which other machines know it. Raises InvalidInput."""
    from workers.job_storage import mark

    try:
        mark(jobs_dir)
    except OSError as error:
        raise InvalidInput(
            f"storage.jobs_dir: {jobs_dir} cannot be used: {error}",
            field="storage.jobs_dir",
            remedy="name a directory that this user may write, mounted before the site starts",
        ) from error


def _check_members(site: Site, found: Mapping[str, GroupSpec], joined: Sequence[GroupSpec]) -> None:
    """With what is on other machines too, the firm level must hold the site at rest. Raises InvalidInput, Refused."""
    _check_guards(site, joined)
    base_w = site.idle_base_w(found, joined)
    if base_w > site.power.firm_w:
        names = ", ".join(spec.group_id for spec in joined)
        raise InvalidInput(
            f"power.firm_w = {site.power.firm_w:g} W is below the idle base of the site, {base_w:.0f} W with the "
            f"nodes that joined ({names})",
            field="power.firm_w",
            remedy="raise it, or take nodes out",
        )


def _check_guards(site: Site, joined: Sequence[GroupSpec]) -> None:
    """No group gets a second guard: those that a machine took on stay there until they leave it. Raises Refused."""
    own = site.groups()
    for spec in joined:
        if (there := spec.elsewhere) is None:
            continue
        here = own[spec.group_id].elsewhere if spec.group_id in own else None
        if here is None or here.machine != there.machine:
            raise Refused(
                f"{spec.group_id} is guarded on {there.machine} ({spec.address}), and the site file says "
                "otherwise: two guards would fight over its machines",
                remedy=f"start with guard_on: {there.machine} in that group, `barq miners leave` there, and "
                "change it then",
            )
        if here != there:
            say(
                f"{spec.group_id} is another one in this site file: on {there.machine}, `barq down` and "
                "`barq miners join`, or its machines sleep"
            )


def start_keeper(files: SiteFiles, port: int = 0) -> None:
    """Start the keeper of a state directory, and return once it has recorded itself. Raises BarqError."""
    keeper = spawn(keeper_command(files.state, port), log=files.log(KEEPER), environment=_environment())
    deadline_s = time.monotonic() + KEEPER_WITHIN_S
    while read_processes(files).get(KEEPER) != keeper:
        if not keeper.is_alive() or time.monotonic() > deadline_s:
            raise failed(files, "the keeper did not start", KEEPER)
        time.sleep(0.05)


def keeper_command(state: Path, port: int) -> list[str]:
    """The program that keeps the site."""
    return [sys.executable, "-P", "-m", "barq.cli.keeper", "--state", str(state), "--port", str(port)]


def _environment() -> dict[str, str]:
    """Ours, with our Python first: a job that says `python` means the one that has what it needs."""
    binaries = str(Path(sys.executable).parent)
    paths = [path for path in os.environ.get("PATH", os.defpath).split(os.pathsep) if path != binaries]
    return dict(os.environ) | {"PATH": os.pathsep.join([binaries, *paths])}


# -- until it is ready -------------------------------------------------------------------------------------------------


def _wait_until_ready(files: SiteFiles) -> str:
    """The address of the API, once it says that the site is ready."""
    import httpx

    deadline_s, told = time.monotonic() + READY_WITHIN_S, ""
    with httpx.Client(timeout=5.0, trust_env=False) as http:
        while True:
            ready, news = _ask(http, api_url := str(read_json(files.address).get("api_url", "")))
            if ready:
                return api_url
            if news != told:
                say(f"starting: {news}")
                told = news
            _check_progress(files, is_late=time.monotonic() > deadline_s)
            time.sleep(ASK_EVERY_S)


def _ask(http: Any, api_url: str) -> tuple[bool, str]:  # noqa: ANN401 - httpx is imported only when it is used
    """Whether the site is ready, and if not, what is missing."""
    import httpx

    try:
        answer = http.get(f"{api_url}/readyz")
    except httpx.HTTPError:
        return False, "processes"
    if answer.is_success:
        return True, ""
    try:
        return False, str(answer.json()["detail"])
    except (ValueError, LookupError, TypeError):
        return False, f"the API answers {answer.status_code}"


def _wait_for_guards(files: SiteFiles) -> None:
    """Until every guard of this machine was heard of. One that stays silent keeps nobody waiting for ever."""
    from barq.client import Client

    deadline_s, here = time.monotonic() + GUARDS_WITHIN_S, files.group_ids()
    with Client.from_environment({"BARQ_STATE": str(files.state)}) as client:
        while silent := [n["id"] for n in client.nodes() if n["id"] in here and not n["reachable"]]:
            if time.monotonic() > deadline_s:
                say(f"not heard of yet: {', '.join(silent)}; see `barq nodes`")
                return
            time.sleep(ASK_EVERY_S)


def _check_progress(files: SiteFiles, *, is_late: bool) -> None:
    """Show the log of what failed and raise BarqError, when waiting any longer is of no use."""
    if not is_held(files.keeper_lock):
        raise failed(files, "the keeper ended", KEEPER)
    restarts = {name: int(count) for name, count in read_json(files.restarts).items() if count}
    worst = max(restarts, key=lambda name: restarts[name], default=None)
    if worst and restarts[worst] >= TOO_MANY_RESTARTS:
        raise failed(files, f"{worst} ended {restarts[worst]} times", worst)
    if is_late:
        raise failed(files, f"the site was not ready within {READY_WITHIN_S:g} s", *restarts, KEEPER)


def failed(files: SiteFiles, message: str, *names: str) -> BarqError:
    """The error to raise, once a person was shown the ends of these logs."""
    for name in names:
        path = files.log(name)
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
        say("\n".join([f"--- the end of {path}", *(f"    {line}" for line in lines[-LOG_LINES:])]))
    return BarqError(message, remedy=f"look into {files.logs}")


def _stay(state: Path) -> None:
    """Wait for Ctrl-C or SIGTERM, then end the site."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        signal.pause()
    except KeyboardInterrupt:
        say("stopping")
    stop_site(state)
