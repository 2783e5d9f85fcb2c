"""The page of a simulation, in a real browser: all of it is in the file, and its plots are drawn when they are seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from playwright.sync_api import Browser, expect

from scheduler.sim.metrics import summary
from scheduler.sim.report import html_report
from tests.simulated_world import eventful_day

PATIENCE_MS = 60_000


def test_the_page_draws_from_itself_alone(browser: Browser, tmp_path: Path) -> None:
    """Two runs: the first is open, the second is drawn on a click; nothing is fetched, nothing goes wrong."""
    days = [replace(eventful_day(), policy=policy) for policy in ("ours", "theirs")]
    page_path = tmp_path / "report.html"
    page_path.write_text(html_report([(day, summary(day, None)) for day in days], about={}), encoding="utf-8")
    page = browser.new_page()
    page.set_default_timeout(PATIENCE_MS)
    trouble: list[str] = []
    fetched: list[str] = []
    page.on("console", lambda m: trouble.append(m.text) if m.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda request: fetched.append(request.url))

    page.goto(page_path.as_uri())
    expect(page.locator("#run-0 .bk-Figure")).to_have_count(
        3, timeout=PATIENCE_MS
    )  # power, queue, worst hour
    expect(page.locator("#run-1 .bk-Figure")).to_have_count(0)
    page.get_by_text("helios on sa1: theirs").click()
    expect(page.locator("#run-1 .bk-Figure")).to_have_count(3, timeout=PATIENCE_MS)

    page.close()
    assert trouble == []
    assert fetched == [page_path.as_uri()]
