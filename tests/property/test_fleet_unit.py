"""What a machine of a LAN counts at, whatever it does, says, or is told, and whoever watches it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from hypothesis import given, strategies as st

from scheduler.core.obedience import OutletSaid
from workers.clock import boottime_s
from workers.fleet.config import Firmware, LanConfig
from workers.fleet.known import Known, Told
from workers.fleet.unit import Unit
from workers.miners.port import (
    Capabilities,
    Identity,
    MachineReading,
    Miner,
    MinerState,
    PercentTrim,
    WattTargets,
)
from workers.outlets.port import Outlet

NAMEPLATE_W, REST_W = 3400.0, 25.0
SETTLE_S = 5.0  #: a look at its outlet goes before its word for so long
CONFIG = LanConfig(addresses=("10.1.0.7",), count=1, max_w=NAMEPLATE_W, rest_w=REST_W)
ABLE = {
    "watts": Capabilities(pause=True, watts=WattTargets(min_w=1500.0, max_w=NAMEPLATE_W)),
    "percent": Capabilities(pause=True, percent=PercentTrim(min_pct=50.0)),
    "sleep": Capabilities(pause=True),
    "read": Capabilities(),
}
DRAWS_W = st.sampled_from([0.0, 20.0, 140.0, 1600.0, 2000.0, 3400.0, 3600.0, 5000.0])
STATES = st.sampled_from(list(MinerState))
DEEDS = st.one_of(
    st.tuples(st.just("want"), st.sampled_from([0.0, 1000.0, 1600.0, 2500.0, 3375.0])),
    st.tuples(st.just("hears"), st.tuples(STATES, DRAWS_W, st.sampled_from([None, 1600.0, 2000.0, 3400.0]))),
    st.tuples(st.just("outlet"), st.tuples(st.booleans(), st.none() | DRAWS_W)),
    st.tuples(st.just("misses"), st.none()),
    st.tuples(st.just("waits"), st.sampled_from([0.2, 1.0, 4.0, 6.0, 16.0, 40.0])),
    st.tuples(st.just("restarts"), st.none()),
)
STORIES = st.lists(DEEDS, min_size=1, max_size=25)


class Silent:
    """What a unit needs of a driver and of an outlet: a name."""

    address = "10.1.0.7:4028"


class World:
    """A machine, its outlet, and a guard that now and then begins anew."""

    def __init__(self, able: str, *, has_outlet: bool) -> None:
        self.now_s = boottime_s()
        self._outlet = cast("Outlet", Silent()) if has_outlet else None
        identity = Identity(make="m", model="x", firmware="f", firmware_version="1", capabilities=ABLE[able])
        self._known = Known(firmware=Firmware.LUXOS, identity=identity, nameplate_w=NAMEPLATE_W)
        self.seen: tuple[float, float] | None = None  #: when its word was heard last, and the draw by that
        self.metered_s = 0.0  #: when its outlet was last read
        self.unit = self._made(Told())

    def _made(self, told: Told) -> Unit:
        made = Unit("m7", self._known, cast("Miner", Silent()), CONFIG, told=told, outlet=self._outlet)
        made.judge(self.now_s)
        return made

    def does(self, what: str, how: Any) -> None:
        """One thing happens."""
        self.now_s += 0.01
        unit = self.unit
        match what:
            case "want" if not unit.is_read_only:
                unit.want(how, self.now_s)
            case "hears":
                state, draw_w, target_w = how
                unit.hears(MachineReading(state=state, draw_w=draw_w, target_w=target_w), self.now_s)
                self.seen = self.now_s, draw_w
            case "outlet" if self._outlet is not None:
                is_on, draw_w = how
                unit.outlet_said = OutletSaid(at_s=self.now_s, is_on=is_on, draw_w=draw_w)
                self.metered_s = self.now_s
            case "misses":
                unit.misses("nobody answers")
            case "waits":
                self.now_s += how
            case "restarts":
                record = unit.told.record.resumed(self.now_s, has_rebooted=False)
                self.unit = self._made(replace(unit.told, record=record))
        self.unit.judge(self.now_s)

    def counted_w(self) -> float:
        """At what its group counts it, at the plug."""
        unit = self.unit
        if not unit.is_ruled:
            return unit.fixed_w
        told = unit.miner_reading
        return unit.rest_w + max(told.target_w, told.draw_w)


@given(story=STORIES, able=st.sampled_from(sorted(ABLE)), has_outlet=st.booleans())
def test_it_counts_at_no_less_than_what_is_known_of_it(
    story: list[tuple[str, Any]], able: str, has_outlet: bool
) -> None:
    """At what it last said, while no newer look at its outlet says otherwise; at its nameplate where nobody knows."""
    world = World(able, has_outlet=has_outlet)
    for what, how in story:
        world.does(what, how)
        unit, counted_w = world.unit, world.counted_w()
        if world.seen is not None:
            at_s, draw_w = world.seen
            if world.metered_s + SETTLE_S < at_s:
                assert counted_w >= draw_w - 1e-6, (what, how)
        heard_s = max(world.metered_s, world.seen[0] if world.seen else 0.0)
        if world.now_s - heard_s > 31.0:
            assert counted_w >= unit.nameplate_w, (what, how)
        is_off = unit.outlet_said is not None and not unit.outlet_said.is_on
        if heard_s < unit.told.told_at_s and not unit.is_to_work and not is_off:
            assert counted_w >= unit.nameplate_w, (what, how)
