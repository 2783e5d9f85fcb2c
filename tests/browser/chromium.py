"""Debian's Chromium, driven by Playwright: what the tests and the screenshot look through."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
MISSING = "no Chromium is installed here (as root: apt-get install chromium)"


def executable() -> str | None:
    """Where it is: the first of these on the path, or what `BARQ_TEST_CHROMIUM` names."""
    named = os.environ.get("BARQ_TEST_CHROMIUM")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window. Raises FileNotFoundError where there is none."""
    path = executable()
    if path is None:
        raise FileNotFoundError(MISSING)
    with sync_playwright() as playwright:
        # Tests run as root in a container, where Chromium has no sandbox to offer; it sees only our own pages.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
