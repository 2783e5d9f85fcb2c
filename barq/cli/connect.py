"""The site that a verb talks to."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from barq.errors import BarqError

if TYPE_CHECKING:
    from barq.client import Client

STARTING: Final = "the site is still starting: its scheduler has not looked at it yet; ask again in a moment"

_PROFILE: ContextVar[str | None] = ContextVar("profile", default=None)


def choose(profile: str | None) -> None:
    """Have `connect` lead to the site of this profile, None = to the one that the environment names."""
    _PROFILE.set(profile)


def chosen() -> str | None:
    """Return the profile that the command line chose."""
    return _PROFILE.get()


def connect() -> Client:
    """Return a client of the site that is meant. httpx is imported here, not for `--help`."""
    from barq.client import Client

    profile = _PROFILE.get()
    return Client.from_environment() if profile is None else Client.from_environment(profile=profile)


def silence(site: Client) -> list[str]:
    """Return what is to stand below what its scheduler told: since when it tells nothing; nothing while it does."""
    try:
        site.ready()
    except BarqError as error:
        return ["", f"What stands here may be old: {error}"] if error.code == "not_ready" else []
    return []


def is_starting(site: Client) -> bool:
    """Return whether its scheduler has decided nothing yet, so that what is not shown may well be there."""
    try:
        site.power()
    except BarqError as error:
        return error.code == "not_ready"
    return False
