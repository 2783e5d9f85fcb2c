"""The dashboard in a real browser, on a real site, while power is withdrawn and comes back."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from functools import partial

import pytest
from playwright.sync_api import Browser, expect

from barq.site.files import read_json
from tests.browser.visits import Visit
from tests.site_harness import RunningSite, running_site

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def site(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    """One site for all tests of this module, with a job at work; none if there is no browser."""
    with running_site(tmp_path_factory.mktemp("browser") / "state") as running:
        job_id = running.submit("counter.py", "--steps=1000000", name="count")
        running.wait_state(job_id, "RUNNING", timeout_s=60)
        yield running


@pytest.fixture
def visit(browser: Browser, site: RunningSite) -> partial[Visit]:
    """Makes a visit to the site, with the site's own token."""
    url, token = str(read_json(site.files.address)["api_url"]), site.files.token.read_text("utf-8").strip()
    return partial(Visit, browser, url, token)


@pytest.fixture
def seen(visit: partial[Visit]) -> Iterator[Visit]:
    """A visit in the light theme that ends without trouble."""
    made = visit()
    yield made
    made.end()


def test_a_withdrawal_is_watched_from_beginning_to_end(site: RunningSite, seen: Visit) -> None:
    """The limit falls in the sentence, the job pauses in the table with its reason, and both come back."""
    page = seen.page
    row, sentence = page.locator("#jobs tr").first, page.locator("#headline h1")
    expect(sentence).to_contain_text("Surplus 12.0 kW")
    expect(row.locator("td").first).to_contain_text("running")
    step = row.locator("[data-label=Step]").inner_text()
    expect(row.locator("[data-label=Step]")).not_to_have_text(step)
    page.evaluate("window.sameDocument = true")

    site.client.limit(2200, reason="drill")  # what the site draws at rest, and no more

    expect(sentence).to_contain_text("2.2 kW")
    expect(page.locator("#headline")).to_have_attribute("data-state", re.compile("low|act"))
    expect(row.locator("td").first).to_contain_text(re.compile("suspended|saving|paused"))
    expect(row.locator(".why")).not_to_be_empty()
    expect(page.locator("#limits")).to_contain_text("drill")
    expect(row.locator("td").first).to_contain_text("paused")
    expect(page.locator("#events")).to_contain_text("drill")

    site.client.release_limits(reason="over")

    expect(sentence).to_contain_text("Surplus 12.0 kW")
    expect(row.locator("td").first).to_contain_text("running")
    assert page.evaluate("window.sameDocument") is True
    expect(page.locator("#announce")).to_have_text(re.compile(r"^Normal\. Surplus"))


def test_everything_is_reached_by_the_keyboard(seen: Visit) -> None:
    """In the order in which it is read, with a ring around what has the focus; what is updated keeps it."""
    page = seen.page
    names = []
    page.locator("body").press("Tab")
    for _ in range(40):
        names.append(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
        if names[-1].startswith("t-"):
            break
        page.keyboard.press("Tab")
    ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")

    order = [names.index(name) for name in ("Skip to the content", "theme", "15 min", "1 h", "nodes", "t-1")]
    assert order == sorted(order)
    assert ring == "solid"

    step = page.locator("#jobs tr").first.locator("[data-label=Step]")
    expect(step).not_to_have_text(step.inner_text())
    assert page.evaluate("document.activeElement.textContent") == "t-1"
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="t-1")).to_be_visible()
    expect(page.locator("#attempts")).to_contain_text("node-")


def test_the_chart_shows_the_span_that_is_asked_for(seen: Visit) -> None:
    """Its text says it too, for who does not see it."""
    page = seen.page
    for name, text in (("6 h", "In the last 6 h"), ("15 min", "In the last 15 minutes")):
        page.get_by_role("button", name=name).click()
        expect(page.locator("#chart-text")).to_contain_text(text)
    drawn = "Bokeh.documents[0].get_model_by_name('plot').renderers[0].data_source.data.t.length"
    page.wait_for_function(f"{drawn} > 5")  # a young site has few samples at first


def test_dark_and_light_are_as_the_system_has_it_or_as_chosen(visit: partial[Visit]) -> None:
    """A choice is kept for the next visit."""
    seen = visit(dark=True)
    page = seen.page
    ground = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every((part) => part < 64)"
    assert page.evaluate(ground) is True
    page.locator("#theme").click()
    assert page.evaluate(ground) is False
    page.reload()
    assert page.evaluate(ground) is False
    seen.end()


def test_a_phone_scrolls_in_one_direction_only(visit: partial[Visit]) -> None:
    """Nothing is wider than the screen."""
    seen = visit(width=390)
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 390
    seen.end()


def test_a_stream_that_drops_is_shown_and_mended(site: RunningSite, seen: Visit) -> None:
    """Kill the API: what is shown looks old and says since when, until the new one answers."""
    page = seen.page
    keeper = site.kill("keeper", signal.SIGSTOP)  # or a new one may be there before anybody has looked
    try:
        site.kill("api")

        expect(page.locator("#link")).to_contain_text(re.compile(r"disconnected since \d\d:\d\d:\d\d"))
        expect(page.locator("body")).to_have_class("old")
    finally:
        assert keeper.send(signal.SIGCONT)
    expect(page.locator("#link")).to_contain_text("live")
    expect(page.locator("body")).not_to_have_class("old")
    seen.trouble[:] = [
        text for text in seen.trouble if "ERR_" not in text
    ]  # of the streams that broke, as meant
