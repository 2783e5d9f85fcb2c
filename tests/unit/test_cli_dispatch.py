"""`barq dispatch`: what is printed of dispatch instructions, and what is asked of the site."""

from __future__ import annotations

import json
from typing import Any

from api.wire.dispatch import INSTRUCTION
from tests.busy_site import barq, busy_site
from tests.stub_site import StubSite


def there(**fields: Any) -> StubSite:
    """A site with one instruction, to which both answers are taken."""
    one = INSTRUCTION | fields
    site = busy_site().on("GET", "/dispatch", {"instructions": [one], "next": None})
    site.on("GET", "/dispatch/d12", one)
    return site.on("POST", "/dispatch/d12/acknowledge", one).on("POST", "/dispatch/d12/refuse", one)


def test_instructions_are_a_table() -> None:
    """From whom, what, until when, and who answered; filters travel to the site."""
    site = there(ends_at=None)
    lines = barq(site, "dispatch", "list", "--state", "active", "--source", "utility").stdout.splitlines()

    assert lines[0].split() == ["ID", "STATE", "LIMIT", "SOURCE", "FROM", "UNTIL", "ANSWER", "CALLED"]
    for word in ("d12", "complied", "40 kW", "utility", "further notice", "acknowledged by ada", "event-7"):
        assert word in lines[1]
    params = dict(site.requests[0].url.params)
    assert params == {"state": "active", "source": "utility", "limit": "50"}


def test_what_holds_and_what_comes_next_is_on_top() -> None:
    """A schedule tells twenty steps ahead; who looks wants the one in force."""
    steps = [
        INSTRUCTION | {"id": f"d{n}", "state": state, "starts_at": f"2026-03-01T13:{n}:00Z"}
        for n, state in ((23, "accepted"), (22, "accepted"), (21, "complied"), (20, "ended"))
    ]
    site = busy_site().on("GET", "/dispatch", {"instructions": steps, "next": None})
    lines = barq(site, "dispatch", "list").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["d21", "d22", "d23", "d20"]


def test_a_list_says_that_it_is_empty_or_cut() -> None:
    """On stderr: neither is data."""
    site = busy_site().on(
        "GET",
        "/dispatch",
        {"instructions": [], "next": None},
        {"instructions": [INSTRUCTION], "next": "0-12"},
    )
    empty, cut = barq(site, "dispatch", "list"), barq(site, "dispatch", "list", "--limit", "1")
    assert (empty.stdout, empty.stderr) == ("", "no instructions\n")
    assert cut.stderr == "there are more than 1; --limit shows more\n"


def test_one_is_shown_with_its_evidence() -> None:
    """As sentences and numbers for people, as it is for programs."""
    shown = barq(there(), "dispatch", "show", "d12").stdout
    assert shown.startswith(f"d12: {INSTRUCTION['sentence']}\n")
    assert "at 38.4 kW" in shown
    assert "by ada" in shown
    assert json.loads(barq(there(), "dispatch", "show", "d12", "--json").stdout) == INSTRUCTION
    assert barq(there(), "dispatch", "list", "-q").stdout == "d12\n"


def test_answers_are_sent_with_what_was_said() -> None:
    """A refusal needs its reason; what it changes is printed."""
    site = there(sentence="it binds and holds all the same")
    assert barq(site, "dispatch", "ack", "d12").exit_code == 0
    barq(site, "dispatch", "ack", "d12", "--note", "shift is told")
    said = barq(site, "dispatch", "refuse", "d12", "--reason", "the chiller is out").stdout

    assert said == "d12: it binds and holds all the same\n"
    assert [body for _, body in site.asked()] == [
        {},
        {"note": "shift is told"},
        {"reason": "the chiller is out"},
    ]
    assert barq(site, "dispatch", "refuse", "d12").exit_code == 2
