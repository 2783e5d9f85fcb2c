"""A new site, or a new server, for each test."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.api_server import SITE, Server
from tests.api_site import ApiSite


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[ApiSite]:
    """A new site, its state under a path that is too long for the name of a socket."""
    async with ApiSite(tmp_path / ("long" * 25) / "state") as made:
        yield made


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state directory of a site."""
    made = tmp_path / "state"
    made.mkdir()
    (made / "site.yaml").write_text(SITE, "utf-8")
    return made


@pytest.fixture
def server(state: Path) -> Iterator[Server]:
    """A server that is listening."""
    made = Server(state)
    made.address()
    yield made
    if made.process.poll() is None:
        made.stop(signal.SIGKILL)
