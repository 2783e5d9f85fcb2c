"""The emergency stop's button in a real browser: nobody presses it by chance, and a refusal is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route, expect

from api.dashboard import pages
from tests.api_server import make_state, served
from tests.browser.visits import Visit

PROBLEM = {"detail": "no guard answers", "remedy": "use barq estop on the site's own machine"}


@pytest.fixture
def visit(browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Visit]:
    """A visit to an API that says that it can stop the site."""
    monkeypatch.setattr(pages, "ESTOP", "/api/v1/power")
    state = make_state(tmp_path)
    with served(state) as url:
        made = Visit(browser, url, (state / "token").read_text("utf-8").strip())
        yield made
        made.trouble[:] = [text for text in made.trouble if "503" not in text]  # the refusal, as meant
        made.end()


def test_the_stop_asks_for_a_reason_and_tells_what_came_of_it(visit: Visit) -> None:
    """By keyboard alone: it can be left without harm, does nothing without a reason, and says why it failed."""
    page, asked = visit.page, []

    def answer(route: Route) -> None:
        asked.append(json.loads(route.request.post_data or ""))
        refused = len(asked) == 1
        route.fulfill(
            status=503 if refused else 200, content_type="application/json", body=json.dumps(PROBLEM)
        )

    page.route("**/api/v1/power/estop", answer)
    button, dialog = page.locator("#estop"), page.locator("#estop-dialog")

    button.press("Enter")
    expect(dialog.get_by_label("Reason")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(button).to_be_focused()

    button.press("Enter")
    page.keyboard.press("Enter")
    expect(dialog).to_be_visible()
    assert asked == []

    page.keyboard.type("smoke in hall 2")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_have_text("; ".join(PROBLEM.values()))
    dialog.get_by_role("button", name="Stop everything now").press("Enter")
    expect(dialog).to_be_hidden()
    assert asked == [{"reason": "smoke in hall 2"}] * 2
