"""The machines of a LAN together: who counts, and where."""

from __future__ import annotations

from dataclasses import replace

from tests.miners.lan import watts_of
from tests.unit.test_fleet_unit import CONFIG, NAMEPLATE_W, REST_W, sleeps, unit
from workers.clock import boottime_s
from workers.fleet.roster import DEAD_S, MOVED_S, Roster


def roster(**silent_s: float) -> Roster:
    """Machines with one MAC, by how long each was not heard of."""
    now_s, made = boottime_s(), Roster(CONFIG)
    for name, seconds in silent_s.items():
        machine = unit()
        machine.miner_id = name
        machine.known = replace(machine.known, identity=replace(machine.identity, mac="02:00:00:00:00:07"))
        machine.hears(sleeps(), now_s - seconds)
        machine.judge(now_s)
        made.units[name] = machine
    return made


def test_a_machine_that_moved_counts_where_it_is_and_no_more_where_it_was() -> None:
    """Its old address is lost for good, and would count at a nameplate that is elsewhere."""
    found = roster(was=MOVED_S + 1.0, now=0.0)
    assert watts_of(found.now()).base_w == NAMEPLATE_W + REST_W

    assert [u.miner_id for u in found.forget_moved(boottime_s())] == ["was"]
    assert watts_of(found.now()).base_w == REST_W


def test_a_machine_that_is_heard_nowhere_or_at_two_addresses_is_not_forgotten() -> None:
    """Nor one that fell silent a moment ago."""
    for silent_s in ({"a": MOVED_S + 1.0, "b": DEAD_S + 1.0}, {"a": 0.0, "b": 0.0}, {"a": 60.0, "b": 0.0}):
        assert roster(**silent_s).forget_moved(boottime_s()) == []


def test_machines_that_do_not_tell_their_mac_are_never_taken_for_one() -> None:
    """Serial numbers are copied from board to board."""
    found = roster(a=MOVED_S + 1.0, b=0.0)
    for machine in found.units.values():
        machine.known = replace(machine.known, identity=replace(machine.identity, mac=""))
    assert found.forget_moved(boottime_s()) == []
