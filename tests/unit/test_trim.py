"""The control trim: what a meter teaches of the model, by how much and how fast it is believed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from scheduler.core.trim import BAND, Shown, Trim, Trimmed, TrimRule, Why, learned, resumed, trimmed
from scheduler.equipment import ModbusMeterSettings, SumOfReports
from scheduler.wire import dumps, loads
from tests.builders import T0

RULE = TrimRule(most=0.1)


def at(after_s: float) -> datetime:
    """So many seconds into the story."""
    return T0 + timedelta(seconds=after_s)


def reading(after_s: float, error_w: float, *, nodes_w: float = 8000.0, doubt: Why | None = None) -> Shown:
    """Of a hall with 2 kW of miners, whose nodes may draw twice what they do."""
    modelled_w = 2000.0 + nodes_w
    return Shown(
        at=at(after_s),
        measured_w=modelled_w + error_w,
        modelled_w=modelled_w,
        nodes_w=nodes_w,
        allowed_nodes_w=2 * nodes_w,
        doubt=doubt,
    )


def taught(*readings: Shown, trim: Trim | None = None, rule: TrimRule = RULE) -> Trim:
    """What is known after these readings."""
    known = trim or Trim(at=T0)
    for shown in readings:
        known = learned(known, shown, rule, window_s=4.0)
    return known


def steady(error_w: float, seconds: int, *, since_s: int = 0, trim: Trim | None = None) -> Trim:
    """What is known after so many seconds of one error."""
    return taught(*(reading(since_s + s, error_w) for s in range(seconds)), trim=trim)


def test_too_few_readings_teach_nothing() -> None:
    """Less than a fall and a second."""
    assert steady(-500.0, 4) == replace(Trim(at=at(3)), seen=steady(-500.0, 4).seen)


def test_what_the_model_says_too_much_is_given_back_slowly() -> None:
    """63 % of it in one time constant, all of it but the band in the end."""
    assert steady(-500.0, 304).used_w == pytest.approx(-500 * 0.632, abs=BAND * 10_000)
    assert steady(-500.0, 2000).used_w == pytest.approx(-500, abs=BAND * 10_000)
    assert steady(-500.0, 2000).why is Why.STEADY


def test_no_more_is_given_than_the_bound() -> None:
    """And it is said that it is at its bound."""
    known = steady(-1500.0, 3000)

    assert known.used_w == pytest.approx(-1000.0, abs=BAND * 10_000)
    assert known.used_w >= -1000.0
    assert known.why is Why.BOUND


def test_at_the_bound_nothing_winds_up() -> None:
    """As soon as the meter shows less than was given, that counts."""
    known = steady(-1500.0, 3000)

    assert steady(-200.0, 5, since_s=3000, trim=known).used_w == pytest.approx(-200.0, abs=BAND * 10_000)


def test_a_credit_that_does_not_show_any_more_is_gone_within_a_window() -> None:
    """One reading is no news, for it may lag; what stood for four seconds is."""
    known = steady(-500.0, 2000)
    one = taught(reading(2000, 0.0), trim=known)

    assert one.used_w == pytest.approx(-500.0, abs=BAND * 10_000)
    assert steady(0.0, 6, since_s=2000, trim=known).used_w == 0.0


def test_what_the_model_leaves_out_is_charged_at_the_load_that_may_come() -> None:
    """400 W at 8 kW are taken for 800 W at the 16 kW that orders allow: nobody knows yet that it is constant."""
    assert steady(400.0, 300).used_w == pytest.approx(800.0, abs=BAND * 10_000)


def test_a_credit_counts_at_the_load_that_is_there() -> None:
    """Of 800 W at 8 kW half is left at 4 kW, for nobody knows that it is constant."""
    known = steady(-800.0, 3000)
    later = taught(*(reading(3000 + s, -800.0, nodes_w=4000.0) for s in range(8)), trim=known)

    assert later.used_w == pytest.approx(-400.0, abs=BAND * 10_000)


def test_nothing_is_learned_while_the_draw_moves() -> None:
    """A meter that lags behind a ramp of 500 W/s shows an error that is none."""
    known = taught(*(reading(s, -500.0, nodes_w=8000.0 + 500 * s) for s in range(60)))

    assert (known.used_w, known.flat_w, known.why) == (0.0, 0.0, Why.MOVING)


@pytest.mark.parametrize("doubt", [Why.NOT_GOOD, Why.DISAGREES, Why.SILENT])
def test_a_credit_fades_where_no_reading_can_be_judged(doubt: Why) -> None:
    """It is held for half a minute, gone after another, and does not come back by itself."""
    known = taught(reading(2000, 0.0, doubt=doubt), trim=steady(-500.0, 2000))
    left_w = [trimmed(known, RULE, at=at(1999 + s), limit_w=1e6).w for s in (0, 30, 60, 91)]

    assert left_w == pytest.approx([known.used_w, known.used_w, known.used_w / 2, 0.0])
    assert known.why is doubt
    assert taught(reading(2100, -500.0), trim=known).used_w == 0.0


def test_a_charge_stays_where_no_reading_can_be_judged() -> None:
    """Nobody showed that it is over."""
    known = steady(400.0, 300)

    assert trimmed(known, RULE, at=at(9000), limit_w=1e6).w == known.used_w


def test_a_credit_is_a_share_of_the_limit_at_most() -> None:
    """Of the one in force: after a fall it is as much less at once."""
    known = steady(-800.0, 3000)

    assert trimmed(known, RULE, at=at(2999), limit_w=2000.0).w == pytest.approx(-200.0, abs=0.1)
    assert trimmed(known, replace(RULE, most=0.01), at=at(2999), limit_w=2000.0).w == -20.0


def test_the_next_leader_begins_with_the_charge_alone() -> None:
    """On the safe side, whatever was given back."""
    charge = trimmed(steady(400.0, 300), RULE, at=at(300), limit_w=1e6)
    credit = trimmed(steady(-400.0, 900), RULE, at=at(900), limit_w=1e6)

    begun = resumed(loads(Trimmed, dumps(charge)), at(1000))
    assert (begun.used_w, begun.flat_w) == (charge.w, charge.flat_w)
    assert resumed(credit, at(1000)) == Trim(at=at(1000))
    assert resumed(None, T0) == Trim(at=T0)


def test_only_a_meter_of_its_own_corrects_a_site() -> None:
    """By 2 % at most where nobody says more, and never by more than the margin then."""
    meter = ModbusMeterSettings.model_validate({"type": "modbus", "host": "a", "map": "sunspec"})
    generous = meter.model_copy(update={"trim_max": 0.06, "trim_s": 600.0})

    assert SumOfReports().trim(0.03) is None
    assert [meter.trim(margin).most for margin in (0.0, 0.01, 0.03)] == [0.0, 0.01, 0.02]
    assert (generous.trim(0.03).most, generous.trim(0.03).give_s) == (0.06, 600.0)
