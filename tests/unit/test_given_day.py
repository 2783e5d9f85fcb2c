"""Sites in virtual time whose limit comes in the real messages of its sources: it is kept, and the judge is no fool."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from scheduler.core.envelope import Envelope
from scheduler.signals.mqtt import Mqtt
from tests.giving.day import ALL, GIVERS, given_day
from tests.giving.over_mqtt import PlainLimit
from tests.giving.truth import Standing, Truth

FIRM_W = 4000.0
A_WHILE_H = 0.25
WIRED = [name for name in GIVERS if name not in ("constant", "replay", "synthetic_day")]


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """What goes wrong is the point of it."""
    caplog.set_level(logging.CRITICAL, logger="scheduler")


@pytest.mark.parametrize("name", WIRED)
def test_the_limit_is_kept_whatever_becomes_of_its_messages(name: str) -> None:
    """Not a second over it in a quarter of an hour of lost, wrong, old and torn messages and of dead peers."""
    site = given_day([name], seed=2, hours=A_WHILE_H)[ALL]
    assert site.over_s == 0, site.worst
    assert site.falls > 0
    assert site.draw_share > 0.5


def test_a_day_repeats() -> None:
    """Its seed is all it needs."""
    first, second = (given_day(["http_push"], seed=5, hours=0.1) for _ in range(2))
    assert first == second


def test_the_judge_sees_a_site_that_reads_more_than_it_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """He knows what was said, not what was understood."""
    payload = PlainLimit.payload

    def more(self: PlainLimit, doc: Any, stamp_us: int, first_w: float) -> bytes:
        return payload(self, doc, stamp_us, first_w + 700.0)

    monkeypatch.setattr(PlainLimit, "payload", more)
    site = given_day(["mqtt"], seed=2, hours=A_WHILE_H)[ALL]
    assert site.over_s > 0
    assert "the site draws" in site.worst


def test_the_judge_sees_a_site_that_believes_a_giver_who_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was said last is no longer allowed once its giver was silent for too long."""
    read = Mqtt.read

    async def believed(self: Mqtt, at: Any) -> Envelope:
        self._link.trouble = None
        envelope = await read(self, at)
        object.__setattr__(envelope, "stale_after_s", None)
        return envelope

    monkeypatch.setattr(Mqtt, "read", believed)
    site = given_day(["mqtt"], seed=2, hours=A_WHILE_H)[ALL]
    assert site.over_s > 0


def test_a_message_that_was_overtaken_was_never_told() -> None:
    """And one who is silent allows the firm level, or less where he announced or said less."""
    truth = Truth(firm_w=FIRM_W, stale_after_s=10.0)
    assert truth.allowed_w(0) == FIRM_W
    assert truth.say(((0, 9000.0), (30_000_000, 3000.0)), stamp_us=2, heard_us=2)
    assert not truth.say(((0, 8000.0),), stamp_us=1, heard_us=3)
    assert [truth.allowed_w(t * 1_000_000) for t in (5, 10, 11, 30)] == [9000.0, 9000.0, FIRM_W, 3000.0]


def test_what_stands_is_told_once_it_could_be_fetched_for_a_period() -> None:
    """A rise at once, a fall then; of what was replaced too soon nobody knows whether it was fetched."""
    truth = Standing(firm_w=FIRM_W, stale_after_s=60.0, within_s=3.0)
    truth.publish(((0, 9000.0),), 0)
    truth.publish(((0, 5000.0),), 5_000_000)
    assert [truth.allowed_w(t * 1_000_000) for t in (5, 7, 8)] == [9000.0, 9000.0, 5000.0]
    truth.wire(9_000_000, whole=False)
    truth.publish(((0, 6000.0),), 10_000_000)
    assert truth.allowed_w(20_000_000) == 5000.0
    truth.wire(21_000_000, whole=True)
    assert [truth.allowed_w(t * 1_000_000) for t in (21, 24)] == [6000.0, 6000.0]
