"""One evening of a site with two partners: from the surplus to each machine, and back to who is owed what."""

from __future__ import annotations

import pytest

from scheduler.core.credit import CreditRule, Round, carried, land
from scheduler.core.machines import Machine, most_w
from scheduler.core.modes import AiBlock, AiFirst, Surplus, divide
from scheduler.core.partners import Partner
from scheduler.core.ramp import Moving, Ramp, step
from scheduler.core.split import claims_of
from tests.builders import T0

NORTH = Partner(partner_id="north", weight=2, groups=("n",))
SOUTH = Partner(partner_id="south", weight=1, groups=("s",))
FLEETS = {
    "north": [Machine(machine_id=f"n{i}", nameplate_w=3000, rest_w=0, joule_per_th=17.5) for i in range(10)],
    "south": [Machine(machine_id=f"s{i}", nameplate_w=3500, rest_w=0, joule_per_th=21.5) for i in range(10)],
}


def available_w() -> dict[str, float]:
    """What each miner group can take: its machines."""
    return {"n": most_w(FLEETS["north"], T0), "s": most_w(FLEETS["south"], T0)}


@pytest.mark.parametrize(
    "room_w, ai_w, landed_w, owed_w",
    [
        (38_000, 20_000, {"north": 12_000, "south": 3500}, {"north": -1667, "south": 1667}),
        (29_000, 20_000, {"north": 9000, "south": 0}, {"north": -3000, "south": 3000}),
        (19_000, 19_000, {"north": 0, "south": 0}, {"north": 0, "south": 0}),
    ],
)
def test_as_the_surplus_falls_mining_gives_way_and_whole_machines_are_made_up_for(
    room_w: int, ai_w: int, landed_w: dict[str, int], owed_w: dict[str, int]
) -> None:
    """AI keeps its 20 kW until mining has nothing; what rounding took from a partner stands in its credit."""
    surplus = Surplus(
        room_w=room_w,
        ai=(AiBlock(watts=20_000),),
        partners=(NORTH, SOUTH),
        available_w=available_w(),
        at=T0,
    )
    division = divide(AiFirst(), surplus)
    assert division.ai_w == ai_w

    claims = claims_of(surplus.partners, surplus.available_w)
    now = Round(
        room_w=division.mining_w,
        claims=claims,
        shares_w=division.partners_w,
        fleets=FLEETS,
        credit_ws={},
        at=T0,
    )
    used = {n: x.landed_w for n, x in land(now, CreditRule()).items()}
    assert used == landed_w
    assert carried({}, division.partners_w, dict(used), 1.0, CreditRule()) == owed_w


def test_when_the_surplus_comes_back_miners_rise_slowly_and_fall_at_once() -> None:
    """5 % of 65 kW in ten seconds after a minute's dwell; the next cut is met within no time."""
    ramp = Ramp(up_w_per_s=0.05 * 65_000 / 10, dwell_s=60.0)
    cut = step(ramp, Moving(allowed_w=15_000), 15_000, 1.0, limit_w=0.0)

    assert step(ramp, cut, 15_000, 60.0).allowed_w == 0.0
    rising = step(ramp, cut, 15_000, 70.0)
    assert rising.allowed_w == pytest.approx(3250)
    assert step(ramp, rising, 15_000, 1.0, limit_w=1000.0).allowed_w == 1000.0
