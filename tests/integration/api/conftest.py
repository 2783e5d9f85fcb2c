"""A new site for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api_site import ApiSite


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[ApiSite]:
    """A new site, its state under a path that is too long for the name of a socket."""
    async with ApiSite(tmp_path / ("long" * 25) / "state") as made:
        yield made
