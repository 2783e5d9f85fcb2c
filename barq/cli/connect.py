"""The site that a verb talks to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from barq.client import Client


def connect() -> Client:
    """Return a client of the site that the environment names. httpx is imported here, not for `--help`."""
    from barq.client import Client

    return Client.from_environment()
