"""Buttons that ask for a reason, in a real browser: nobody presses one by chance, and what came of it is told."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route, expect

from api.dashboard import pages
from scheduler.core.dispatch import Instruction, accepted
from scheduler.store import instructions
from scheduler.store.database import open_database, writing
from tests.api_server import make_state, served
from tests.browser.visits import Visit
from tests.stores import put_migrated

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


@pytest.fixture
def told(browser: Browser, tmp_path: Path) -> Iterator[Visit]:
    """A visit to an API whose scheduler was told twenty limits, of which the first begins in half an hour."""
    state, now = make_state(tmp_path), datetime.now(UTC)
    starts_at = now + timedelta(minutes=30)
    asked = [
        Instruction(
            number=number,
            source="utility",
            giver_id="event-7",
            issued_at=now,
            received_at=now,
            starts_at=starts_at + timedelta(minutes=number),
            due_at=starts_at + timedelta(minutes=number, seconds=30),
            limit_w=40_000.0,
        )
        for number in range(1, 21)
    ]
    put_migrated(state / "barq.db")
    engine = open_database(state / "barq.db")
    with writing(engine) as session:
        instructions.record(session, [accepted(one) for one in asked])
    engine.dispose()
    with served(state) as url:
        made = Visit(browser, url, (state / "token").read_text("utf-8").strip())
        yield made
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


def test_an_instruction_is_answered_on_the_page(told: Visit) -> None:
    """It shows from whom, what and when; it is acknowledged at once, and refused with a reason, which lifts nothing."""
    row, dialog = told.page.locator("#instruction-d1"), told.page.locator("#refuse-dialog")
    expect(row).to_contain_text("utility (event-7): at most 40 kW")
    expect(row.locator(".countdown")).to_have_text(re.compile(r"in \d+ min"))

    row.get_by_role("button", name="Acknowledge").press("Enter")
    expect(row).to_contain_text("acknowledged by site")

    row.get_by_role("button", name="Refuse").press("Enter")
    expect(dialog).to_contain_text("A limit that binds holds all the same")
    told.page.keyboard.type("the chiller is out")
    told.page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(row).to_contain_text("refused by site: the chiller is out; it binds and holds all the same")


def test_a_schedule_of_many_steps_leaves_room_for_the_rest_of_the_page(told: Visit) -> None:
    """What the site draws is seen without scrolling; the last of the steps is reached by keyboard."""
    page = told.page
    page.set_viewport_size({"width": 1280, "height": 720})
    expect(page.locator("#instruction-d20")).not_to_be_in_viewport()
    expect(page.locator("#chart")).to_be_in_viewport(ratio=0.9)
    page.locator("#instruction-d20").get_by_role("button", name="Refuse").focus()
    expect(page.locator("#instruction-d20")).to_be_in_viewport()
