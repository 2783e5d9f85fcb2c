"""The site that a verb talks to."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from barq.client import Client

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
