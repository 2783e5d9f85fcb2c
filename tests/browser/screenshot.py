"""Makes `docs/dashboard.png`: the page of a busy site while power is withdrawn. `make screenshot` runs it.

The demo's site and its made-up day, with small jobs that really run. Needs Chromium; takes about two minutes.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from playwright.sync_api import Page

from barq.site.files import read_json
from tests.browser.chromium import chromium
from tests.site_harness import RunningSite, running_site
from tests.waiting import wait_for

DEMO = Path(__file__).resolve().parents[2] / "configs" / "sites" / "demo.yaml"
JOBS = (
    ("pretrain", 4, 5),
    ("finetune", 2, 0),
    ("embed", 1, 0),
    ("ablation-a", 2, 0),
    ("ablation-b", 2, 0),
    ("evaluate", 1, -5),
    ("distil", 4, -5),
)
"""What the jobs are called, GPUs, priority."""
START_S = 15.0
SHOWN_AFTER_S = 60.0  #: of the day, so that the chart has something to show
PATIENCE_S = 120.0
BUSY = """() => {
  const states = [...document.querySelectorAll("#jobs .tag")].map((tag) => tag.innerText);
  const at = (word) => states.some((state) => state.includes(word));
  return at("running") && (at("suspended") || at("paused"));
}"""
"""Some jobs are at work and some are held: what the picture is to show."""
MAX_BYTES = 300_000


def main(target: Path) -> None:
    """Write the picture to `target`."""
    site: dict[str, Any] = yaml.safe_load(DEMO.read_text("utf-8"))
    began_at = datetime.now(UTC) + timedelta(seconds=START_S)
    site["signals"][0]["began_at"] = began_at.isoformat()
    with tempfile.TemporaryDirectory() as folder, running_site(Path(folder) / "state", **site) as running:
        for name, gpus, priority in JOBS:
            running.submit(
                "counter.py", "--steps=10000000", "--step-ms=1", name=name, gpus=gpus, priority=priority
            )
        shown_at = began_at + timedelta(seconds=SHOWN_AFTER_S)
        wait_for(lambda: datetime.now(UTC) > shown_at, timeout_s=PATIENCE_S, what="some hours of the day")
        _photograph(running, target)
    size = target.stat().st_size
    print(f"{target}: {size} bytes", file=sys.stderr)
    if size > MAX_BYTES:
        raise SystemExit(f"{target} is larger than {MAX_BYTES} bytes")


def _photograph(site: RunningSite, target: Path) -> None:
    with chromium() as browser:
        page = browser.new_page(
            locale="en-US", color_scheme="light", viewport={"width": 1280, "height": 1024}
        )
        log_in(page, site)
        page.locator("#chart-text:not(:empty)").wait_for()
        page.wait_for_function(BUSY, timeout=PATIENCE_S * 1000)
        page.screenshot(path=target)


def log_in(page: Page, site: RunningSite) -> None:
    """Open the site's page with the site's own token."""
    page.goto(read_json(site.files.address)["api_url"] + "/")
    page.get_by_label("Token").fill(site.files.token.read_text("utf-8").strip())
    page.keyboard.press("Enter")
    page.locator("#link.good").wait_for()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/dashboard.png"))
