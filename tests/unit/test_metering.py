"""The meter is the judge: what it keeps seeing beyond the books is taken off the room for work."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from scheduler.core.decide import decide, shed
from scheduler.core.jobs import Phase
from scheduler.core.ledger import reported
from scheduler.core.metering import Excess, excess_w, remembered, shown, standing_w
from scheduler.core.orders import NO_FENCE
from scheduler.core.snapshot import MeterReading, Quality, SitePolicy
from scheduler.core.trim import Trimmed, TrimRule, Why
from tests.builders import T0, SiteBuilder, site

SITE = SitePolicy(name="s", firm_w=5000.0, fall_s=3.0)
RULE = TrimRule(most=0.02)


def at(after_s: float) -> datetime:
    """So many seconds into the story."""
    return T0 + timedelta(seconds=after_s)


def excess_of(built: SiteBuilder, draw_w: float) -> float:
    """What one reading shows beyond the books, now."""
    return excess_w(built.groups.values(), built.site, MeterReading(draw_w=draw_w, measured_at=built.at))


def kept(*readings: tuple[float, float]) -> tuple[Excess, ...]:
    """What is remembered of readings of (after s, W beyond the books)."""
    seen: tuple[Excess, ...] = ()
    for after_s, beyond_w in readings:
        seen = remembered(seen, (at(after_s), beyond_w), SITE)
    return seen


def standing(*readings: tuple[float, float]) -> float:
    """The excess that stood after such readings."""
    return standing_w(kept(*readings), SITE)


def test_the_books_are_all_that_could_be_drawn() -> None:
    """Nodes with the overhead of the hall, miners without, what the site itself needs: only more is beyond them."""
    built = site(overhead=1.25, auxiliary_w=100.0).node("a").miners("m", max_w=500)
    books_w = 100 + 1.25 * 820

    assert excess_of(built, books_w) == 0.0
    assert excess_of(built, books_w + 7) == pytest.approx(7.0)
    assert excess_of(built, 0.0) == 0.0


def test_open_orders_are_in_the_books() -> None:
    """A job that may draw 2200 W and is read at less is no excess when it draws more."""
    built = site().node("a").limit_w(3000).job("j", gpus=4)
    built.decided(obeyed=False)

    assert excess_of(built, 2200.0) == 0.0
    assert excess_of(built, 2201.0) == 1.0


def test_miners_that_tell_that_they_draw_more_than_they_were_told_are_beyond_the_books() -> None:
    """By a tolerance that nobody acts on, or in doubt: a reading is no leave, so others make room for it."""
    built = site().miners("m", max_w=500)
    account = reported(built.groups["m"].account, fence=NO_FENCE, charged_w=125.0, at=T0)
    built.groups["m"] = replace(built.groups["m"], account=account, draw_w=125.0)

    assert excess_of(built, 125.0) == 125.0


def test_one_reading_proves_nothing() -> None:
    """Nor do several within a fall and a second: the meter may merely lag behind an order."""
    assert standing((0, 300.0)) == 0.0
    assert standing((0, 300.0), (1, 300.0), (3.9, 300.0)) == 0.0


def test_what_stands_through_a_fall_counts() -> None:
    """From four seconds on, the least that was read in all of them."""
    assert standing((0, 300.0), (2, 250.0), (4, 280.0)) == 250.0


def test_a_gap_between_readings_is_bridged_by_the_one_before() -> None:
    """A slow meter proves as much as a fast one, later."""
    assert standing((0, 300.0), (10, 200.0)) == 200.0


def test_one_reading_within_the_books_clears_it() -> None:
    """It begins anew from there."""
    assert standing((0, 300.0), (2, 300.0), (3, 0.0), (4, 300.0), (6, 300.0)) == 0.0
    assert standing((3, 0.0), (4, 300.0), (6, 300.0), (7, 300.0), (8, 300.0), (11, 300.0)) == 300.0


def test_nothing_read_is_no_excess() -> None:
    """A site without a meter is charged by its books alone."""
    assert standing_w((), SITE) == 0.0


def test_old_readings_are_forgotten() -> None:
    """Those of a fall and a second stay, and one from before them."""
    seen = kept(*((float(s), 1.0) for s in range(100)))

    assert [e[0] for e in seen] == [at(s) for s in (95, 96, 97, 98, 99)]


def test_unmetered_draw_is_taken_off_the_room_for_work() -> None:
    """What fits a limit of 2200 W by the books is capped when 300 W more are seen to be drawn by nobody known."""
    built = site().node("a").limit_w(2200).running("j", on="a")
    assert shed(built.snapshot()) is None

    decision = decide(replace(built.snapshot(), unmetered_w=300.0))
    assert {a.id: (a.phase, a.cap_w) for a in decision.attempts.values()} == {"j.1": (Phase.RUN, 325.0)}
    assert decision.planned_w == 600 + 4 * 325 + 300


def test_unmetered_draw_is_taken_off_miners_first() -> None:
    """They lose the 300 W, work loses nothing."""
    built = site().node("a").miners("m", max_w=2000).running("j", on="a").limit_w(3000)
    built.decided()
    assert built.groups["m"].miners_target_w == 800.0

    decision = decide(replace(built.snapshot(), unmetered_w=300.0))
    assert decision.drafts["m"].miners_target_w == 500.0
    assert decision.attempts == {}


def test_the_model_is_held_against_what_devices_report() -> None:
    """Nodes with the overhead, miners without; what orders allow is known beside it."""
    built = site(overhead=1.25, auxiliary_w=100.0).node("a").miners("m", max_w=500)
    built.groups["a"] = replace(built.groups["a"], draw_w=700.0, reported_at=T0)
    built.groups["m"] = replace(built.groups["m"], draw_w=30.0, reported_at=T0)
    beside = shown(built.groups.values(), built.site, RULE, MeterReading(draw_w=1000.0, measured_at=T0))

    assert (beside.modelled_w, beside.nodes_w, beside.allowed_nodes_w) == (1005.0, 875.0, 1025.0)
    assert (beside.error_w, beside.doubt) == (-5.0, None)


@pytest.mark.parametrize(
    "changes, reading, why",
    [
        ({}, {"quality": Quality.STALE}, Why.NOT_GOOD),
        ({}, {"quality": Quality.ESTIMATED}, Why.NOT_GOOD),
        ({"reported_at": None}, {}, Why.SILENT),
        ({"reported_at": at(-5.1)}, {}, Why.SILENT),
        ({"in_fallback": True}, {}, Why.SILENT),
        ({"draw_w": 1801.0}, {}, Why.DISAGREES),
    ],
)
def test_what_cannot_be_judged_teaches_nothing(
    changes: dict[str, Any], reading: dict[str, Any], why: Why
) -> None:
    """A reading that is not good, a group that nobody knows of, figures that are too far apart."""
    built = site().node("a")
    group: dict[str, Any] = {"draw_w": 800.0, "reported_at": T0} | changes
    read: dict[str, Any] = {"draw_w": 800.0, "measured_at": T0} | reading
    built.groups["a"], seen = replace(built.groups["a"], **group), MeterReading(**read)

    assert shown(built.groups.values(), built.site, RULE, seen).doubt is why


def test_what_the_meter_gives_back_is_room_for_work() -> None:
    """By as much as the model says too much, and no more than that."""
    built = site().node("a").limit_w(2200).running("j", on="a")
    assert decide(built.snapshot()).planned_w == 600 + 4 * 400
    over = replace(built.snapshot(), trim=Trimmed(w=100.0, why=Why.STEADY))
    assert decide(over).planned_w == pytest.approx(2200)
    built.limit_w(2100)
    under = replace(built.snapshot(), trim=Trimmed(w=-100.0, why=Why.STEADY))
    assert shed(under) is None
    assert shed(replace(under, unmetered_w=1.0)) is not None  # what is beyond the books ends every credit
    assert shed(replace(under, trim=None)) is not None


def test_fallbacks_know_of_no_credit() -> None:
    """What a guard may draw by itself is reckoned by the site file alone."""
    built = site().node("a").limit_w(2200).job("j", gpus=4)
    plain = decide(built.snapshot()).drafts["a"]
    credited = decide(replace(built.snapshot(), trim=Trimmed(w=-400.0, why=Why.STEADY))).drafts["a"]

    assert credited.fallback == plain.fallback
