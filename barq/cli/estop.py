"""`barq estop`, `barq estop status`, `barq estop release`.

A stop takes two ways at once: straight to the guards of this machine, whatever else is dead, and through the API to
the scheduler, which tells all others. A release goes through the API alone: it is no emergency, and is put on record.
"""

from __future__ import annotations

import getpass
import os
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar
from uuid import uuid4

import typer

from barq.cli.connect import chosen
from barq.cli.facts import NOTHING, stop_line
from barq.cli.options import JsonOption, QuietOption
from barq.cli.output import Block, Format, Table, chosen_format, emit, say
from barq.errors import BarqError, InvalidInput, Unauthorized, Unreachable
from barq.location import ENV_STATE, ENV_TOKEN, ENV_URL, SITE_USER, Location, find_site, local_url, state_dir
from barq.profiles import ENV_PROFILE
from barq.site import emergency
from barq.site.emergency import GuardState
from barq.units import format_duration, format_power

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from barq.client import Client
    from barq.views import NodeView

OTHERS_TIMEOUT_S: Final = 5.0  #: for guards on other machines to say that they hold to the stop
_LOOK_EVERY_S: Final = 0.25
_MOST_CHARACTERS: Final = 500
_REMEDY: Final = 'say why in a few words: --reason "smoke in hall 2"'

T = TypeVar("T")

app = typer.Typer(add_completion=False, rich_markup_mode=None, invoke_without_command=True)

ReasonOption = Annotated[
    str | None, typer.Option("--reason", metavar="TEXT", help="Why; everyone who asks is told.")
]
StateOption = Annotated[
    Path | None,
    typer.Option(
        "--state", metavar="DIR", help="State directory of the site here; else BARQ_STATE, else ~/.barq."
    ),
]


@app.callback()
def estop(
    ctx: typer.Context,
    *,
    reason: ReasonOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before.")] = False,
    state: StateOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Stop everything: miners off, flexible jobs suspended and saved, only firm work goes on.

    The guards of this machine are told first, and directly: it works with the scheduler, the API and Ray dead.
    It holds over restarts, until a person says `barq estop release`. Exit code 1: a guard did not confirm it.
    """
    if ctx.invoked_subcommand is not None:
        if reason is not None:
            raise InvalidInput(
                "--reason is in the wrong place", remedy=f"write it after {ctx.invoked_subcommand}"
            )
        return
    form, why = chosen_format(as_json=as_json, quiet=quiet), _said(reason)
    if not yes and sys.stdin.isatty():
        typer.confirm(
            "Stop all flexible work and all mining until a person releases it?", abort=True, err=True
        )
    done = _engage(why, _Site.of(state))
    emit(form, value=done.value(), ids=[done.stop["id"]], blocks=lambda: _blocks(done))
    if form is Format.TABLE:
        for line in done.doubts():
            say(line)
    if list(done.doubts()):
        raise typer.Exit(1)


@app.command()
def status(*, state: StateOption = None, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Say whether an emergency stop stands, and whether the guards of this machine hold to it."""
    form, site = chosen_format(as_json=as_json, quiet=quiet), _Site.of(state)
    guards = emergency.look(site.groups)
    power, error = _asked(site, lambda client: client.power())
    if power is None and not guards:
        raise error or Unreachable("no site answers")
    stop = power.get("estop") if power else None
    value = {"estop": stop, "api_error": str(error) if error else None, "guards": [_shown(g) for g in guards]}
    lines = [stop_line(stop) if stop else "no emergency stop stands"] if power else [f"API: {error}"]
    ids = [stop["id"]] if stop else []
    emit(form, value=value, ids=ids, blocks=lambda: [*lines, _guards_table(guards)])


@app.command()
def release(
    *,
    reason: ReasonOption = None,
    state: StateOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Release the emergency stop: work and mining go on by themselves. Needs the API, which keeps the record."""
    form, why, site = chosen_format(as_json=as_json, quiet=quiet), _said(reason), _Site.of(state)
    with site.client() as client:
        released = client.release_estop(reason=why)
    ids = [one["id"] for one in released]
    lines = [f"released the stop by {one['by']}: {one['reason']}" for one in released]
    emit(form, value=released, ids=ids, blocks=lambda: lines)
    if form is Format.TABLE and not released:
        say("no emergency stop stood")
    unknown = [g.group_id for g in emergency.look(site.groups) if g.stop_id not in (None, *ids)]
    if unknown:
        say(
            f"{', '.join(unknown)}: held by a stop that is not released: the scheduler has not told of it; "
            "release again when it runs"
        )
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Site:
    """The site that is meant, and its guards on this machine."""

    environ: dict[str, str]
    profile: str | None
    groups: list[Path]
    user: str  #: whom the token names, as in all that the API keeps; the account where that is not known here

    @classmethod
    def of(cls, state: Path | None) -> _Site:
        """Guards here count unless the environment or a profile names a site elsewhere."""
        environ, profile = dict(os.environ), chosen() if state is None else None
        if state is not None:
            environ = {**environ, ENV_STATE: str(state.expanduser())}
            environ.pop(ENV_URL, None)
            environ.pop(ENV_TOKEN, None)  # of another site, most likely
            environ.pop(ENV_PROFILE, None)
        directory, wanted = state_dir(environ), _wanted(environ, profile)
        url = "" if wanted is None else wanted.url.rstrip("/")
        is_here = url in ("", _url_here(directory))
        groups = emergency.group_dirs(directory) if is_here else []
        user = wanted.user if wanted is not None else SITE_USER if groups else ""
        return cls(environ=environ, profile=profile, groups=groups, user=_sendable(user) or _account())

    def client(self) -> Client:
        """A client of its API."""
        from barq.client import Client

        return Client.from_environment(self.environ, timeout_s=10.0, profile=self.profile)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """What became of a stop."""

    stop: dict[str, str]
    here: list[GuardState]
    others: list[NodeView]  #: nodes whose guards are on other machines
    lease_s: float | None
    api_error: BarqError | None

    @property
    def is_engaged(self) -> bool:
        """Whether anybody took it."""
        return self.api_error is None or any(guard.stop_id for guard in self.here)

    def doubts(self) -> Iterator[str]:
        """What could not be confirmed."""
        fall = "its" if self.lease_s is None else f"a lease of {format_duration(self.lease_s)}"
        for guard in self.here:
            if guard.error or guard.stop_id is None:
                yield f"{guard.group_id}: not confirmed: {guard.error or 'it does not hold to the stop'}"
            elif not guard.has_fallen:
                yield f"{guard.group_id}: it holds to the stop and has not fallen to its fallback yet"
        for node in self.others:
            if node.get("unguarded"):
                yield f"{node['id']}: nobody guards it: its machines were not told, and may draw on"
            elif not node.get("estop"):
                yield f"{node['id']}: not confirmed; with the scheduler dead it falls by itself within {fall}"
        if self.api_error is not None:
            yield f"API: not confirmed: {self.api_error}"
            yield "guards on other machines fall by their leases (timing.lease_s) if the scheduler is dead too"

    def value(self) -> dict[str, Any]:
        """All of it as JSON."""
        others = [
            {"id": n["id"], "here": False, "latched": bool(n.get("estop")), "draw_w": n["draw_w"]}
            for n in self.others
        ]
        guards = [_shown(g) for g in self.here]
        doubts = list(self.doubts())
        return {"engaged": self.is_engaged, **self.stop, "guards": guards + others, "unconfirmed": doubts}


def _engage(reason: str, site: _Site) -> _Done:
    at = datetime.now(UTC).isoformat()
    stop = {"id": uuid4().hex, "reason": reason, "by": site.user, "at": at}
    here = emergency.engage(site.groups, stop)
    made, error = _asked(site, lambda client: client.estop(reason=reason, stop_id=stop["id"]))
    if made is None and not here:
        raise error or Unreachable("no site answers")
    power, _ = _asked(site, lambda client: client.power()) if made else (None, None)
    names = {guard.group_id for guard in here}
    others = _others(site, names) if made else []
    lease_s = power.get("lease_s") if power else None
    return _Done(stop=stop, here=here, others=others, lease_s=lease_s, api_error=error)


def _others(site: _Site, here: set[str]) -> list[NodeView]:
    """Nodes of other machines, once all hold to the stop or it took too long."""
    deadline_s = time.monotonic() + OTHERS_TIMEOUT_S
    while True:
        nodes, _ = _asked(site, lambda client: client.nodes())
        others = [node for node in nodes or [] if node["id"] not in here]
        if all(n.get("estop") or n.get("unguarded") for n in others) or time.monotonic() > deadline_s:
            return others
        time.sleep(_LOOK_EVERY_S)


def _asked(site: _Site, question: Callable[[Client], T]) -> tuple[T | None, BarqError | None]:
    """The API's answer, or why there is none: no failure of it may keep a stop from the rest."""
    try:
        with site.client() as client:
            return question(client), None
    except BarqError as error:
        return None, error


def _said(reason: str | None) -> str:
    text = _sendable(reason or "").strip()
    if not text or len(text) > _MOST_CHARACTERS:
        raise InvalidInput(
            f"--reason: {'none is given' if not text else f'longer than {_MOST_CHARACTERS} characters'}",
            field="--reason",
            remedy=_REMEDY,
        )
    return text


def _sendable(text: str) -> str:
    """The text as far as it can be sent: no stop fails for bytes that a terminal spells in another way than we."""
    return text.encode("utf-8", "replace").decode()


def _account() -> str:
    """Who uses this machine, where nothing here says whom a token names: so that nobody is taken for another."""
    try:
        return f"account {_sendable(getpass.getuser())}"
    except (KeyError, OSError):  # a user id without a name
        return f"account {os.getuid()}"


def _wanted(environ: dict[str, str], profile: str | None) -> Location | None:
    """The site that is meant; None if only a state directory is. Raises InvalidInput for no such profile."""
    try:
        return find_site(environ, profile)
    except (Unreachable, Unauthorized):
        return None


def _url_here(directory: Path) -> str:
    try:
        return (local_url(directory) or "").rstrip("/")
    except Unreachable:
        return ""


def _blocks(done: _Done) -> list[Block]:
    said = f"EMERGENCY STOP by {done.stop['by']}: {done.stop['reason']}"
    shown = said if done.is_engaged else f"NOT STOPPED, nobody took it: {said}"
    until = ["It holds until a person says `barq estop release --reason ...`."] if done.is_engaged else []
    return [shown, _guards_table(done.here, done.others), *until]


def _guards_table(guards: Sequence[GuardState], others: Sequence[NodeView] = ()) -> Table:
    rows = [
        (
            guard.group_id,
            "stopped" if guard.stop_id else ("no answer" if guard.error else "not stopped"),
            NOTHING if guard.draw_w is None else format_power(guard.draw_w),
            NOTHING if guard.fallback_w is None else format_power(guard.fallback_w),
        )
        for guard in guards
    ]
    rows += [(n["id"], _state(n), format_power(n["draw_w"]), NOTHING) for n in others]
    headers = ("GUARD", "STATE", "DRAW", "FALLBACK")
    styles = {"stopped": "green", "no answer": "bold red", "not stopped": "yellow", "unguarded": "bold red"}
    return Table(headers=headers, rows=rows, right=frozenset({"DRAW", "FALLBACK"}), styles=styles)


def _state(node: NodeView) -> str:
    if node.get("estop"):
        return "stopped"
    return "unguarded" if node.get("unguarded") else "not confirmed"


def _shown(guard: GuardState) -> dict[str, Any]:
    return {
        "id": guard.group_id,
        "here": True,
        "latched": guard.stop_id is not None,
        "draw_w": guard.draw_w,
        "fallback_w": guard.fallback_w,
        "error": guard.error or None,
    }
