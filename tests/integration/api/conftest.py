"""A new site for each test, with or without a socket."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from api import openapi
from tests.api_server import Process, make_state, served
from tests.api_site import ApiSite


@pytest.fixture(autouse=True, scope="session")
def one_document() -> Iterator[None]:
    """Every application has the same routes: what describes them is made once, and each has a copy of its own."""
    make = openapi._document
    made: list[dict[str, Any]] = []

    def copied(app: FastAPI) -> dict[str, Any]:
        if not made:
            made.append(make(app))
        return deepcopy(made[0])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openapi, "_document", copied)
        yield


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
