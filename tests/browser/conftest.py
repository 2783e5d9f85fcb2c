"""One browser for all tests of a module."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.chromium import MISSING, chromium, executable

IN_CI = bool(os.environ.get("CI"))
"""There it is installed: a test that quietly skips would test nothing."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; without one the tests are skipped, but not in CI."""
    if executable() is None and not IN_CI:
        pytest.skip(MISSING)
    with chromium() as opened:
        yield opened
