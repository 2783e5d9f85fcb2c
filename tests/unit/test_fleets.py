"""A group's machines under its target, as its guard tells them."""

from __future__ import annotations

from scheduler.core.fleets import WakePace, next_targets_w, state_word
from scheduler.core.inventory import Wish
from scheduler.core.machines import MachineKind, Trim
from scheduler.core.orders import MinerReading

KIND = MachineKind(max_w=3500, least_w=2200, min_on_s=600.0, min_off_s=300.0)
NOW_S = 10_000.0


def miner(name: str, target_w: float, *, ago_s: float | None = None, **more: object) -> MinerReading:
    """A miner that draws its target, told to run or to sleep so long ago."""
    switched_s = None if ago_s is None else NOW_S - ago_s
    plain = {"target_w": target_w, "draw_w": target_w, "switched_boottime_s": switched_s}
    return MinerReading(miner_id=name, **(plain | more))  # type: ignore[arg-type]


def told(total_w: float, *miners: MinerReading, kind: MachineKind = KIND) -> list[float]:
    """Their next targets, in the order given."""
    targets_w = next_targets_w(kind, miners, total_w, boottime_s=NOW_S)
    return [targets_w[m.miner_id] for m in miners]


def test_whole_machines_run_and_one_is_trimmed() -> None:
    """9.5 kW is two machines whole, and a third on what is left of it."""
    assert told(9500, *(miner(n, 0) for n in "abcd")) == [3500, 3500, 2500, 0]


def test_what_no_machine_fits_into_is_left() -> None:
    """One that cannot be trimmed runs whole or sleeps."""
    whole = MachineKind(max_w=3500)

    assert told(9500, *(miner(n, 0) for n in "abcd"), kind=whole) == [3500, 3500, 0, 0]


def test_the_least_efficient_sleeps_first() -> None:
    """As the machines tell it themselves."""
    fleet = (
        miner("a", 3500, joule_per_th=29.5),
        miner("b", 3500, joule_per_th=15.0),
        miner("c", 3500, joule_per_th=21.5),
    )

    assert told(7000, *fleet) == [0, 3500, 3500]
    assert told(3500, *fleet) == [0, 3500, 0]


def test_one_that_just_woke_goes_on_though_it_is_the_least_efficient() -> None:
    """For its minimum time on; the others give way for it, and it is trimmed if that is enough."""
    fleet = (miner("a", 3500, ago_s=60, joule_per_th=29.5), miner("b", 3500, joule_per_th=15.0))

    assert told(3500, *fleet) == [3500, 0]
    assert told(6000, *fleet) == [2500, 3500]


def test_a_total_that_leaves_no_room_for_it_puts_it_to_sleep() -> None:
    """A total that cannot be kept otherwise is an emergency: the limit comes first."""
    assert told(2000, miner("a", 3500, ago_s=60)) == [0]


def test_one_that_just_fell_asleep_sleeps_on() -> None:
    """For its minimum time off, whatever there is; then it wakes."""
    assert told(7000, miner("a", 0, ago_s=299), miner("b", 3500)) == [0, 3500]
    assert told(7000, miner("a", 0, ago_s=300), miner("b", 3500)) == [3500, 3500]


def test_nobody_wakes_before_the_others_gave_their_watts_back() -> None:
    """Two change places: the one falls at once, the other waits for the watts that are still drawn."""
    falls = miner("a", 3500, joule_per_th=30.0)
    wakes = miner("b", 0, joule_per_th=15.0)
    assert told(3500, falls, wakes) == [0, 0]

    assert told(3500, miner("a", 0, ago_s=1, draw_w=2000), wakes) == [0, 0]
    assert told(3500, miner("a", 0, ago_s=1), wakes) == [0, 3500]


def test_machines_of_a_mixed_fleet_have_their_own_limits() -> None:
    """Each runs whole or sleeps by what it takes itself; the one that can be trimmed lands on what is left."""
    small = miner("a", 0, max_w=2000, joule_per_th=15.0)
    large = miner("b", 0, max_w=5000, joule_per_th=16.0)
    soft = miner("c", 0, max_w=3000, least_w=1000, trim=Trim.WATTS, joule_per_th=17.0)

    assert told(8500, small, large, soft) == [2000, 5000, 1500]
    assert told(7500, small, large, soft) == [2000, 5000, 0]


def test_who_is_paused_sleeps_and_who_is_protected_is_the_last_to() -> None:
    """Whatever they would be worth; a limit goes before protection."""
    thrifty = miner("a", 3500, joule_per_th=15.0, wish=Wish.PAUSED)
    plain = miner("b", 3500, joule_per_th=20.0)
    wasteful = miner("c", 3500, joule_per_th=30.0, wish=Wish.PROTECTED)

    assert told(10_500, thrifty, plain, wasteful) == [0, 3500, 3500]
    assert told(3500, thrifty, plain, wasteful) == [0, 0, 3500]
    assert told(100, thrifty, plain, wasteful) == [0, 0, 0]


def test_what_does_not_obey_is_told_to_sleep_and_counts_as_it_draws() -> None:
    """Its watts are taken from the others."""
    assert told(7000, miner("a", 0, draw_w=3400, obeys=False), miner("b", 3500)) == [0, 3500]
    assert told(6000, miner("a", 0, draw_w=3400, obeys=False), miner("b", 3500)) == [0, 2600]


def test_a_worn_machine_is_switched_by_an_emergency_alone() -> None:
    """It runs on, or sleeps on, until midnight."""
    worn = miner("a", 3500, joule_per_th=30.0, is_worn=True)
    assert told(3500, worn, miner("b", 3500, joule_per_th=15.0)) == [3500, 0]
    assert told(2000, worn) == [0]
    assert told(3500, miner("a", 0, is_worn=True)) == [0]


def test_a_big_fleet_wakes_a_few_at_a_time() -> None:
    """A twentieth of its watts in ten seconds, the most efficient first; one at least."""
    fleet = [miner(f"m{i:02}", 0, joule_per_th=30.0 - i / 10) for i in range(40)]
    pace = WakePace(share=0.05, every_s=10.0)

    first = next_targets_w(KIND, fleet, 1e6, boottime_s=NOW_S, pace=pace)
    assert sorted(n for n, w in first.items() if w) == ["m38", "m39"]
    woken = [miner(n, w, ago_s=5.0 if w else None) for n, w in first.items()]
    assert next_targets_w(KIND, woken, 1e6, boottime_s=NOW_S, pace=pace) == first
    later = next_targets_w(KIND, woken, 1e6, boottime_s=NOW_S + 5.0, pace=pace)
    assert sum(w > 0 for w in later.values()) == 4
    alone = next_targets_w(KIND, fleet[:2], 1e6, boottime_s=NOW_S, pace=pace)
    assert sum(w > 0 for w in alone.values()) == 1


def test_a_reboot_is_no_reason_to_wait() -> None:
    """What was told before the clock began anew was told long ago."""
    assert told(7000, miner("a", 0, switched_boottime_s=NOW_S + 50), miner("b", 3500)) == [3500, 3500]


def test_what_a_machine_does_in_a_word() -> None:
    """As people see it."""
    assert [state_word(KIND, miner("a", w)) for w in (0, 2500, 3500)] == ["asleep", "trimmed", "running"]


def test_all_sleep_at_once_where_nothing_is_left() -> None:
    """Whoever woke just now, is worn or is protected."""
    new, worn = miner("new", 3500.0, ago_s=1.0), miner("worn", 3500.0, is_worn=True)
    warm = miner("warm", 3500.0, wish=Wish.PROTECTED)

    assert told(0.0, new, worn, warm) == [0.0, 0.0, 0.0]
