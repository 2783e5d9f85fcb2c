"""What miners could not use, told second by second."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from scheduler.core.curtailment import (
    FAULT_S,
    RAMP_S,
    Cause,
    Presence,
    Scene,
    Side,
    confirmed,
    curtailed,
    remembered,
)
from tests.settled import AT

SEEN = Presence(confirmed_w=9_800)


def side(**changes: Any) -> Side:
    """A fleet of 10 kW that draws what it was last seen to draw."""
    plain: dict[str, Any] = {
        "group_id": "north",
        "takes_w": 10_000,
        "may_w": 10_000,
        "granted_w": 10_000,
        "metered_w": 9_800,
        "presence": SEEN,
    }
    return Side(**(plain | changes))


def causes(one: Side, *, room_w: int = 50_000, ai_w: int = 0, is_stopped: bool = False) -> dict[Cause, int]:
    """Of the only fleet of a site."""
    scene = Scene(at=AT, room_w=room_w, ai_w=ai_w, is_stopped=is_stopped)
    return curtailed(scene, [one])["north"]


def test_who_has_all_that_it_takes_is_curtailed_by_nobody() -> None:
    """Nor does a nameplate that it never reaches count."""
    assert causes(side()) == {}


def test_the_limit_is_the_grid_s_and_the_room_of_ai_is_ai_s() -> None:
    """What would lack without any AI is the grid's, the rest as far as AI holds room."""
    held = side(granted_w=4_000, metered_w=4_000)
    assert causes(held, room_w=4_000) == {Cause.GRID: 5_800}
    assert causes(held, room_w=7_000, ai_w=3_000) == {Cause.GRID: 2_800, Cause.AI_PREEMPT: 3_000}
    assert causes(held, room_w=50_000, ai_w=46_000) == {Cause.AI_PREEMPT: 5_800}


def test_a_person_s_stop_or_limit_is_maintenance() -> None:
    """Whatever else holds."""
    held = side(granted_w=400, metered_w=400)
    assert causes(held, room_w=400, ai_w=5_000, is_stopped=True) == {Cause.MAINTENANCE: 9_400}


def test_an_owner_s_pause_is_his_before_anything_else() -> None:
    """What is paused cannot be curtailed by others."""
    held = side(granted_w=4_000, metered_w=4_000, paused_w=3_000)
    assert causes(held, room_w=4_000) == {Cause.PARTNER_REQUEST: 3_000, Cause.GRID: 2_800}


def test_who_is_not_heard_of_lacks_all_for_want_of_contact() -> None:
    """Nobody knows what it draws."""
    assert causes(side(metered_w=0, is_heard=False), room_w=0) == {Cause.COMMS_LOSS: 9_800}


def test_who_has_the_watts_and_does_not_draw_them_is_faulted() -> None:
    """Unless it comes back from a curtailment: then that is why, as long as fleets need to come back."""
    low = side(metered_w=6_000)
    assert causes(low) == {Cause.FAULT: 3_800}
    lately = replace(SEEN, cause=Cause.GRID, caused_at=AT - timedelta(seconds=RAMP_S))
    assert causes(replace(low, presence=lately)) == {Cause.GRID: 3_800}
    long_ago = replace(lately, caused_at=AT - timedelta(seconds=RAMP_S + 1))
    assert causes(replace(low, presence=long_ago)) == {Cause.FAULT: 3_800}


def test_broken_machines_are_a_fault_for_a_while_and_then_no_baseline() -> None:
    """A fleet that has all and draws less for a quarter of an hour takes no more than that."""
    low = side(metered_w=6_000)
    doubted = confirmed(low, AT)
    assert doubted == replace(SEEN, doubted_at=AT)
    still = confirmed(replace(low, presence=doubted), AT + timedelta(seconds=FAULT_S - 1))
    assert still.confirmed_w == 9_800
    over = confirmed(replace(low, presence=still), AT + timedelta(seconds=FAULT_S))
    assert over == Presence(confirmed_w=6_000)
    assert causes(replace(low, presence=over, granted_w=0, metered_w=0), room_w=0) == {Cause.GRID: 6_000}


def test_a_fleet_that_is_held_back_keeps_the_baseline_that_was_confirmed() -> None:
    """And one that draws more than ever has a higher one at once."""
    held = side(granted_w=4_000, metered_w=4_000)
    assert confirmed(held, AT).confirmed_w == 9_800
    assert confirmed(side(metered_w=9_950), AT).confirmed_w == 9_950


def test_before_anything_was_confirmed_a_fleet_is_believed_but_for_what_it_leaves() -> None:
    """What it was given and does not draw is no availability; then its draw is confirmed once it had all for long."""
    new = side(metered_w=7_000, presence=Presence())
    assert (new.baseline_w, causes(new)) == (7_000, {})
    held = replace(new, granted_w=4_000, metered_w=4_000)
    assert causes(held, room_w=4_000) == {Cause.GRID: 6_000}
    ramping = replace(held, metered_w=3_500)
    assert causes(ramping, room_w=4_000) == {Cause.GRID: 6_000}
    waiting = confirmed(new, AT)
    assert waiting.confirmed_w is None
    assert confirmed(replace(new, presence=waiting), AT + timedelta(seconds=RAMP_S)).confirmed_w == 7_000


def test_no_more_is_owed_than_the_cap_lets_it_have() -> None:
    """The baseline is within the partner's cap."""
    held = side(may_w=5_000, granted_w=2_000, metered_w=2_000)
    assert causes(held, room_w=2_000) == {Cause.GRID: 3_000}


def test_the_cause_is_remembered_that_weighs_most() -> None:
    """Of what it was not given; a fault is no reason to wait for a fleet to come back."""
    held = side(granted_w=4_000, metered_w=3_000)
    found = {Cause.GRID: 800, Cause.AI_PREEMPT: 5_000, Cause.FAULT: 1_000}
    assert remembered(SEEN, found, held, AT).cause is Cause.AI_PREEMPT
    assert remembered(SEEN, {Cause.FAULT: 3_800}, side(metered_w=6_000), AT) == SEEN
