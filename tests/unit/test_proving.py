"""The proven margin: what a meter has to show, for how long, and what takes it back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache

import pytest

from scheduler.core.proving import (
    BOLD_S,
    LONG_S,
    MEMORY_S,
    NEAR,
    PROVE_S,
    Margin,
    Proof,
    Proving,
    margin_of,
    proved,
    under,
)
from scheduler.core.rebound import HAIR, SETTLE_S
from scheduler.core.trim import BAND, Shown, TrimRule, Why
from scheduler.equipment import ModbusMeterSettings
from tests.builders import T0

RULE = TrimRule(most=0.02, accuracy=0.01)
SAFE = TrimRule(most=0.02, accuracy=0.01, least=0.012)
MARGIN = 0.03
ALLOWED_W = 10_000.0
DAY = timedelta(days=1)


def at(after_s: float) -> datetime:
    """So many seconds into the story."""
    return T0 + timedelta(seconds=after_s)


def reading(after_s: float, share: float, *, doubt: Why | None = None, allowed_w: float = ALLOWED_W) -> Shown:
    """That is by so much of it above what orders allow."""
    measured_w = allowed_w * (1.0 + share)
    return Shown(
        at=at(after_s),
        measured_w=measured_w,
        modelled_w=measured_w,
        nodes_w=measured_w,
        allowed_nodes_w=allowed_w,
        allowed_w=allowed_w,
        doubt=doubt,
    )


def shown(
    readings: Iterable[Shown],
    proof: Proof | None = None,
    *,
    limit_w: float = ALLOWED_W,
    rule: TrimRule = RULE,
    correction_w: float = 0.0,
) -> Proof:
    """What is known after these readings."""
    known = proof or Proof(at=T0, margin=MARGIN)
    for one in readings:
        known = proved(
            known, one, rule, margin=MARGIN, correction_w=correction_w, limit_w=limit_w, window_s=4.0
        )
    return known


def surge(since_s: int, share: float, *, allowed_w: float = ALLOWED_W) -> list[Shown]:
    """A draw that stands through a fall and a second."""
    return [reading(since_s + s, share, allowed_w=allowed_w) for s in range(4)]


def after(
    seconds: int,
    share: float = -0.005,
    *,
    since_s: int = 1,
    proof: Proof | None = None,
    rule: TrimRule = RULE,
    limit_w: float = ALLOWED_W,
) -> Proof:
    """What is known after so many seconds of one draw, under orders for all of the limit."""
    readings = (reading(since_s + s, share, allowed_w=limit_w) for s in range(seconds))
    return shown(readings, proof, rule=rule, limit_w=limit_w)


@cache
def long_proven() -> Proof:
    """That work leaves half a percent undrawn, as far as that counts."""
    return after(6000)


def margin(proof: Proof, after_s: float, *, corrected: float = 0.0, is_good: bool = True) -> Margin:
    """What counts then."""
    return margin_of(proof, RULE, margin=MARGIN, at=at(after_s), corrected=corrected, is_good=is_good)


def test_it_takes_its_time_to_prove_anything() -> None:
    """Until then all of the margin is kept, and then it shrinks with the time constant of the trim."""
    assert after(int(PROVE_S) - 1, rule=SAFE).why is Proving.NEW
    assert after(int(PROVE_S) - 1, rule=SAFE).margin == MARGIN
    assert after(int(PROVE_S) + 300, rule=SAFE).margin == pytest.approx(0.03 - 0.018 * 0.632, abs=0.0005)
    assert after(3000, rule=SAFE).margin == pytest.approx(0.012)
    assert after(3000, rule=SAFE).why is Proving.PROVEN


def test_what_work_leaves_undrawn_counts_after_an_hour_under_this_limit() -> None:
    """Where the site file says so; until then what the meter may be off by stays free."""
    assert after(int(LONG_S) - 1).margin == pytest.approx(0.01 + BAND)
    assert long_proven().margin == pytest.approx(0.005)


def test_under_a_lower_limit_it_does_not_count_from_the_fall_on() -> None:
    """Caps are lower there, and less may be left below them. What was shown under it within a day counts at once."""
    low_w = 0.7 * ALLOWED_W
    proven = long_proven()
    known = after(6000, since_s=6001, proof=after(6000, -0.004, limit_w=low_w))

    low = under(proven, RULE, margin=MARGIN, limit_w=low_w)
    assert low.margin == pytest.approx(0.01 + BAND)
    assert low.why is Proving.UNSEEN
    assert under(proven, RULE, margin=MARGIN, limit_w=(1.0 - NEAR / 2) * ALLOWED_W) is proven
    assert under(proven, SAFE, margin=MARGIN, limit_w=low_w) is proven
    assert under(known, RULE, margin=MARGIN, limit_w=low_w).margin == pytest.approx(0.006)
    fallen = after(10, since_s=6001, proof=proven, limit_w=low_w)
    assert fallen.margin == pytest.approx(0.01 + BAND)
    assert after(6000, -0.002, since_s=6011, proof=fallen, limit_w=low_w).margin == pytest.approx(0.008)


def test_what_was_left_under_a_lower_limit_does_not_count_under_a_higher_one() -> None:
    """Unless all that was allowed was drawn: then it may be so anywhere."""
    low_w = 0.7 * ALLOWED_W
    little = after(3600, -0.001, limit_w=low_w)
    surged = shown(surge(3601, 0.001, allowed_w=low_w), little, limit_w=low_w)

    assert after(6000, since_s=3602, proof=little).margin == pytest.approx(0.005)
    assert after(6000, since_s=3605, proof=surged).margin == pytest.approx(0.011)


def test_what_others_left_undrawn_says_nothing_of_newcomers() -> None:
    """It counts for the part of the work that has run for long."""
    half = shown([replace(reading(6001, -0.005), seasoned=0.5)], long_proven())

    assert half.margin == pytest.approx(0.008)


def test_a_limit_that_never_stands_proves_nothing() -> None:
    """And costs no memory."""
    known = Proof(at=T0, margin=MARGIN)
    for s in range(3000):
        known = after(1, since_s=s + 1, proof=known, limit_w=(1.0, 0.8)[s // 10 % 2] * ALLOWED_W)

    assert known.why is Proving.NEW
    assert len(known.pieces) <= 3000 / 60 + 1


def test_a_higher_draw_raises_it_with_that_reading() -> None:
    """By what a reading may tremble once it stood through a fall and a second; what was seen counts for a day."""
    proven = long_proven()

    assert shown([reading(6001, 0.5)], proven).margin == MARGIN
    assert shown([reading(6001, 0.003)], proven).margin == pytest.approx(0.008)
    surged = shown(surge(6001, 0.003), proven)
    assert surged.margin == pytest.approx(0.013)
    assert after(3000, since_s=6005, proof=surged).margin == pytest.approx(0.013)
    before = tuple(replace(p, since_at=p.since_at - DAY) for p in surged.pieces)
    old = replace(surged, pieces=before, lately=())
    assert after(6000, since_s=6005, proof=old).margin == pytest.approx(0.005)
    assert timedelta(seconds=BOLD_S) == DAY


def test_readings_that_tremble_are_no_higher_draw() -> None:
    """What a meter adds to one reading and takes from the next is not drawn."""
    trembling = [reading(3001 + s, -0.001 + 0.004 * (-1) ** s) for s in range(600)]

    assert shown(trembling, after(3000, -0.001, rule=SAFE), rule=SAFE).margin == SAFE.least


def test_a_surge_is_remembered_through_readings_that_are_not_good() -> None:
    """The meter begins to prove anew, and what it showed before still counts."""
    surged = shown([*surge(3001, 0.003), reading(3005, 0.0, doubt=Why.NOT_GOOD)], after(3000))

    assert after(3000, since_s=3006, proof=surged).margin == pytest.approx(0.013)


def test_where_no_surge_breaks_the_limit_an_hour_is_remembered() -> None:
    """What is kept free anyway covers one that nobody remembers."""
    surged = shown(surge(3001, 0.003), after(3000, rule=SAFE), rule=SAFE)

    assert surged.margin == pytest.approx(0.013)
    assert after(600, since_s=3005, proof=surged, rule=SAFE).margin == pytest.approx(0.013)
    assert after(int(MEMORY_S) + 600, since_s=3005, proof=surged, rule=SAFE).margin == SAFE.least


def test_a_reading_from_before_a_fall_is_no_surge() -> None:
    """What was allowed a fall before it counts, and before each of those that it is taken together with."""
    proven, high_w, low_w = after(3000, rule=SAFE), 0.995 * ALLOWED_W, 0.7 * ALLOWED_W
    for lag_s in range(5):
        drawn_w = [high_w] * lag_s + [0.995 * low_w] * 20
        late = [
            Shown(
                at=at(3001 + s),
                measured_w=w,
                modelled_w=w,
                nodes_w=w,
                allowed_nodes_w=low_w,
                allowed_w=low_w,
            )
            for s, w in enumerate(drawn_w)
        ]
        assert shown(late, proven, limit_w=low_w, rule=SAFE).margin == SAFE.least


def test_a_reading_that_is_not_good_brings_all_of_it_back() -> None:
    """One that is not of now as well; and after that it is slowly less again."""
    proven = after(3000)

    bad = shown([reading(3001, -0.005, doubt=Why.NOT_GOOD)], proven)
    assert (bad.margin, bad.why) == (MARGIN, Proving.NOT_GOOD)
    assert after(590, since_s=3002, proof=bad).why is Proving.NEW
    assert margin(proven, 3001).share == proven.margin
    assert margin(proven, 3001, is_good=False).share == MARGIN
    assert margin(proven, 3004) == Margin(share=MARGIN, why=Proving.NOT_GOOD, peak=margin(proven, 3001).peak)
    again = after(300, since_s=3010, proof=proven)
    assert 0.005 < again.margin < MARGIN
    assert again.why is Proving.SHRINKING


def test_a_disagreement_that_lasts_loses_the_proof() -> None:
    """One that comes with a fall, because reports lag behind the meter, does not."""
    proven, apart = after(3000), [reading(3001 + s, -0.3, doubt=Why.DISAGREES) for s in range(6)]

    assert shown(apart[:4], proven).margin == proven.margin
    assert shown(apart, proven).pieces == ()
    assert shown(apart, proven).margin == MARGIN
    assert shown(apart, proven).why is Proving.DISAGREES


def test_a_silent_group_proves_nothing_and_hides_nothing() -> None:
    """The margin does not shrink meanwhile, and a draw above what was seen still raises it."""
    begun = after(700)
    silent = shown((reading(701 + s, -0.005, doubt=Why.SILENT) for s in range(100)), begun)

    assert silent.margin == begun.margin
    surged = shown((replace(r, doubt=Why.SILENT) for r in surge(801, 0.015)), silent)
    assert surged.margin == pytest.approx(0.025)


def test_an_idle_hall_proves_nothing() -> None:
    """What is far from the limit may be drawn by quite different work than what comes near it."""
    idle = shown(reading(s, -0.005, allowed_w=5000.0) for s in range(1, 2000))

    assert idle == Proof(at=at(1999), margin=MARGIN, lately=idle.lately, stood=idle.stood)


def test_what_the_trim_gives_back_is_a_part_of_the_margin() -> None:
    """So that what is ordered stays within the limit by the site file's own figures."""
    proven = after(3000)

    assert margin(proven, 3001, corrected=-0.02).share == 0.02
    assert margin(proven, 3001, corrected=-0.06).share == MARGIN


def test_the_draw_comes_back_no_higher_than_it_was() -> None:
    """After a rise of the limit a hair more stays free for a while; not after a small one."""
    proven = after(3000)
    risen = shown([reading(3001, -0.005, allowed_w=1.2 * ALLOWED_W)], proven, limit_w=1.2 * ALLOWED_W)
    little = shown([reading(3001, -0.005, allowed_w=1.02 * ALLOWED_W)], proven, limit_w=1.02 * ALLOWED_W)

    assert margin(risen, 3002).share == pytest.approx(proven.margin + HAIR)
    assert margin(risen, 3002).why is Proving.RISEN
    assert margin(little, 3002).share == proven.margin
    later = after(int(SETTLE_S) + 1, since_s=3002, proof=risen, limit_w=1.2 * ALLOWED_W)
    assert margin(later, 3001 + SETTLE_S + 1).share == proven.margin


def test_what_was_proved_while_the_limit_was_low_waits_until_it_has_settled() -> None:
    """No less stays free than before the fall, on average of the last quarter of an hour, and a hair more."""
    high = after(900, rule=SAFE)
    low = after(1500, since_s=901, proof=high, rule=SAFE, limit_w=0.7 * ALLOWED_W)
    back = after(1, since_s=2401, proof=low, rule=SAFE)

    assert high.margin > low.margin + 0.003
    assert back.stood.usual == pytest.approx(0.0278, abs=0.001)  # 10 of 15 minutes of all of it, then less
    assert margin(back, 2402).share == min(MARGIN, (back.stood.usual or 0.0) + HAIR)
    settled = after(int(SETTLE_S), since_s=2402, proof=back, rule=SAFE)
    assert margin(settled, 2402 + SETTLE_S).share < 0.013


def test_what_the_trim_gave_back_while_the_limit_was_low_waits_as_well() -> None:
    """Margin and correction together are no less than before the fall."""
    high = after(3000)
    low = after(100, since_s=3001, proof=high, limit_w=0.7 * ALLOWED_W)
    back = after(1, since_s=3101, proof=low)

    assert margin(back, 3102, corrected=-0.004).share == pytest.approx(high.margin + 0.004 + HAIR)
    assert margin(back, 3102, corrected=-0.029).share == pytest.approx(high.margin + 0.029 + HAIR)
    assert margin(back, 3102, corrected=0.004).share == pytest.approx(high.margin + HAIR)


def test_events_that_come_one_after_the_other_do_not_add_up() -> None:
    """What is kept free for the first one is not what stood before the second."""
    known = after(3000, rule=SAFE)
    for n in range(6):
        low = after(60, since_s=3001 + 120 * n, proof=known, rule=SAFE, limit_w=0.7 * ALLOWED_W)
        known = after(60, since_s=3061 + 120 * n, proof=low, rule=SAFE)

    assert margin(known, 3721).share == pytest.approx(0.012 + HAIR)


def test_only_a_meter_of_its_own_that_may_give_back_proves_anything() -> None:
    """Whoever trusts it with nothing keeps the margin of the site file."""
    meter = ModbusMeterSettings.model_validate({"type": "modbus", "host": "a", "map": "sunspec"})
    distrusted = meter.model_copy(update={"trim_max": 0.0})

    rule = meter.trim(0.03)
    assert (rule.accuracy, rule.least, rule.fresh_s) == (0.01, 0.01 + BAND, 2.0)
    assert meter.model_copy(update={"accuracy": 0.0}).trim(0.03).least == BAND
    assert meter.model_copy(update={"margin_least": 0.002}).trim(0.03).least == 0.002
    assert distrusted.trim(0.03).accuracy is None
    assert meter.trim(0.0).accuracy is None
