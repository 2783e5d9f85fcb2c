"""What notice partners have of curtailments: falls that are seen ahead, and what began without one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scheduler.core.curtailment import Cause
from scheduler.core.interval import Running
from scheduler.core.notice import APART_S, Fall, is_new, notice_of, seen_ahead
from scheduler.settling import Settling
from scheduler.wire import dumps, loads
from tests.builders import T0, SiteBuilder, site
from tests.settled import terms
from tests.unit.test_settling import Story, energies


def seen(built: SiteBuilder, before: tuple[Fall, ...] = (), horizon_s: float = 900.0) -> tuple[Fall, ...]:
    """What is seen ahead under a limit of 5 kW."""
    return seen_ahead(before, built.envelopes, built.at, horizon_s=horizon_s, firm_w=0.0, limit_w=5000.0)


def test_a_fall_is_known_from_when_it_was_first_seen() -> None:
    """However often it is told again; what rises is none, nor what is too far ahead."""
    built = site().limit_w(5000).falls_to_w(2000, in_s=700)
    first = seen(built)
    assert first == (Fall(at=T0 + timedelta(seconds=700), known_at=T0),)
    built.passes(100)
    assert seen(built, first) == first
    assert seen(site().limit_w(5000).falls_to_w(9000, in_s=700)) == ()
    assert seen(built, horizon_s=60.0) == ()


def test_a_fall_that_is_taken_back_was_no_notice() -> None:
    """If it is told once more, it counts from then on."""
    built = site().limit_w(5000).falls_to_w(2000, in_s=700)
    first = seen(built)
    assert seen(built.passes(100).limit_w(5000), first) == ()


@pytest.mark.parametrize(
    "cause, begins_s, given_s",
    [
        (Cause.GRID, 700, 700),
        (Cause.GRID, 640, 640),  # miners go down before the fall
        (Cause.GRID, 500, 0),
        (Cause.AI_PREEMPT, 700, 0),
    ],
)
def test_the_notice_is_that_of_the_fall_that_brings_it(cause: Cause, begins_s: int, given_s: int) -> None:
    """None where no fall is near, and none for what AI takes."""
    falls = (Fall(at=T0 + timedelta(seconds=700), known_at=T0),)
    notice = notice_of(cause, falls, T0 + timedelta(seconds=begins_s), due_s=600)
    assert (notice.given_s, notice.is_met) == (given_s, given_s >= 600)


def test_what_flickers_is_one_curtailment() -> None:
    """A new one begins when machines had time to come back."""
    assert is_new(None, T0)
    assert not is_new(T0, T0 + timedelta(seconds=APART_S))
    assert is_new(T0, T0 + timedelta(seconds=APART_S + 1))


def test_each_curtailment_is_on_record_with_the_notice_that_there_was() -> None:
    """Of one that nobody saw coming there was none."""
    story = Story(terms(notice_s=300)).then(620)
    story.then(290, given_w=0.0, drawn_w=0.0, limit_w=820.0)
    energy = energies(story.closed())
    (notice,) = energy.notices
    assert (notice.cause, notice.given_s, notice.due_s) == (Cause.GRID, 0, 300)
    assert notice.begun_at == T0 + timedelta(seconds=620)


def test_a_fall_that_is_known_early_enough_is_a_notice_that_is_met() -> None:
    """It is on record how early that was, over a restart too."""
    story = Story(terms(notice_s=300)).then(200).then(420, falls_s=620.0)
    running = loads(Running, dumps(story.books.running))
    story.books = Settling()
    story.books.open({"north": terms(notice_s=300)}, running=running)
    story.then(290, given_w=0.0, drawn_w=0.0, limit_w=820.0)
    (notice,) = energies(story.closed()).notices
    assert (notice.given_s, notice.is_met) == (420, True)


def test_what_was_not_seen_to_run_yet_is_not_curtailed_by_anybody() -> None:
    """A site that just began owes no notice of it."""
    story = Story(terms(notice_s=300)).then(910, given_w=0.0, drawn_w=0.0, limit_w=820.0)
    assert energies(story.closed()).notices == ()


def test_a_contract_without_notice_has_none_on_record() -> None:
    """Nothing is due, so nothing is met or missed."""
    story = Story().then(620).then(290, given_w=0.0, drawn_w=0.0, limit_w=820.0)
    assert energies(story.closed()).notices == ()
