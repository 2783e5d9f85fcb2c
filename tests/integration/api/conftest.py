"""A new site for each test, with or without a socket."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.api_server import Process, make_state, served
from tests.api_site import ApiSite


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[ApiSite]:
    """A site, its state under a path that is too long for the name of a socket."""
    async with ApiSite(tmp_path / ("long" * 25) / "state") as made:
        yield made


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state directory of a site."""
    return make_state(tmp_path)


@pytest.fixture
def url(state: Path) -> Iterator[str]:
    """Where the site of `state` is served, from this process."""
    with served(state) as address:
        yield address


@pytest.fixture
def process(state: Path) -> Iterator[Process]:
    """The API of `state` as its own process, listening."""
    made = Process(state)
    made.address()
    yield made
    if made.process.poll() is None:
        made.stop(signal.SIGKILL)
