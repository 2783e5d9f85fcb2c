"""What the site's state is called."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.dashboard.picture import Picture, news
from api.dashboard.words import JOB_WORDS, headline, machines_text
from api.wire.flexibility import FLEX
from api.wire.site import MinerView, PowerView
from scheduler.core.jobs import JobState
from tests.stores import T0, sample

NOW = datetime(2026, 3, 1, 13, 0, tzinfo=UTC)


def power(**changes: Any) -> PowerView:
    """A site with 4.6 kW, of which 3 are firm."""
    facts: dict[str, Any] = {
        "at": NOW,
        "site": "t",
        "limit_w": 4600.0,
        "limit_source": "grid",
        "limit_provenance": "feeder 7",
        "firm_w": 3000.0,
        "draw_w": 4400.0,
        "draw_measured_at": NOW,
        "committed_w": 4500.0,
        "ai_w": 2100.0,
        "rest_w": 600.0,
        "miners_w": 1700.0,
        "unused_w": 200.0,
        "over_limit_s": 0.0,
        "next_change": {"at": NOW + timedelta(hours=1, minutes=5), "limit_w": 3000.0},
        "sources": [],
        "limits": [],
        "sentence": "",
    }
    return PowerView.model_validate(facts | changes)


def said(view: PowerView | None, now: datetime = NOW) -> tuple[str, str]:
    """The state and the sentence."""
    made = headline(view, now)
    return made.word, made.lead + made.text


def test_surplus_is_told_with_who_uses_it_and_until_when() -> None:
    """In kilowatts that add up."""
    made = headline(power(), NOW)

    assert made.lead + made.text == "Surplus 4.6 kW: AI 2.1, mining 1.7, site 0.6, unused 0.2"
    assert made.until_at == NOW + timedelta(hours=1, minutes=5)
    assert "feeder 7" in made.note


def test_a_draw_that_nobody_read_yet_is_none_of_0_w() -> None:
    """Right after a start of the scheduler."""
    made = headline(power(draw_measured_at=None, draw_w=0.0, ai_w=0.0, miners_w=0.0), NOW)
    assert made.text == ": what is drawn is not known yet"


def test_what_could_go_at_short_notice_is_told_beside_the_limit() -> None:
    """Once the scheduler has told it."""
    assert "could go" not in headline(power(), NOW).note

    note = headline(power(flex=FLEX), NOW).note
    assert note == "limit by grid · feeder 7 · firm level 3.0 kW · could go: 3.1 kW in 5 s"


@pytest.mark.parametrize(
    "changes, word, sentence",
    [
        ({"limit_w": 3000.0, "draw_w": 2900.0}, "At the firm level", "No surplus, 3.0 kW: AI 2.1"),
        ({"limit_w": 3000.0}, "Shedding", "Falling to 3.0 kW from 4.4: AI 2.1"),
        ({"limit_w": 3000.0, "over_limit": True}, "Over the limit", "1.4 kW over the limit of 3.0 kW: AI"),
        ({"limit_stale": True}, "Source silent", "Firm 4.6 kW while grid is silent: AI 2.1"),
    ],
)
def test_what_is_wrong_comes_first(changes: dict[str, Any], word: str, sentence: str) -> None:
    """Each state has its own word."""
    made = said(power(**changes))
    assert made[0] == word
    assert made[1].startswith(sentence)


def test_a_silent_scheduler_is_worse_than_what_it_told_last() -> None:
    """Nobody takes an old figure for a new one."""
    assert said(power(), NOW + timedelta(seconds=11))[0] == "Scheduler silent"
    assert said(None)[0] == "Starting"


def test_an_emergency_stop_is_above_all() -> None:
    """With who, why and since when, as a model or a document carries it."""
    stop = {"reason": "smoke in hall 2", "by": "dinara", "at": NOW.isoformat()}
    stopped = power(limit_stale=True).model_copy()
    object.__setattr__(stopped, "__dict__", {**stopped.__dict__, "estop": stop})

    made = headline(stopped, NOW + timedelta(hours=1))

    assert (made.state, made.lead + made.text) == ("stop", "Stopped by dinara: smoke in hall 2")
    assert made.since_at == NOW


def test_every_state_of_a_job_has_a_word_and_a_sign() -> None:
    """None is told by its colour alone."""
    assert set(JOB_WORDS) == {state.value for state in JobState}
    assert all(word.sign and word.word for word in JOB_WORDS.values())


def test_news_are_what_changed() -> None:
    """Parts, lists and samples that the page has are not sent again."""
    before = Picture(
        at=T0, html={"a": "1", "b": "2"}, lists={"l": ("a", "b")}, samples=[sample(0), sample(1)]
    )
    now = Picture(
        at=T0, html={"a": "1", "c": "3"}, lists={"l": ("a", "c"), "m": ()}, samples=[sample(1), sample(2)]
    )

    told = news(before, now)

    assert told["html"] == {"c": "3"}
    assert told["lists"] == {"l": ("a", "c"), "m": ()}
    assert [point[1:] for point in told["points"]] == [[10_000, 2000, 3000, 1000]]
    assert news(now, now) == {"at": T0.isoformat(), "html": {}, "lists": {}, "points": []}


def test_machines_that_run_whole_are_counted_by_what_they_do() -> None:
    """And nothing is said of those that take any watt."""
    states = ("running", "running", "trimmed", "asleep", "asleep", "asleep")
    miners = [MinerView(id=str(i), target_w=0.0, draw_w=0.0, state=s) for i, s in enumerate(states)]

    assert machines_text(miners) == "2 running, 1 trimmed, 3 asleep"
    assert machines_text([MinerView(id="0", target_w=9.0, draw_w=9.0)]) == ""
