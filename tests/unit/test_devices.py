"""Devices of a group: told only what is new, believed only what they enforce."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, strategies as st

from scheduler.core.inventory import MachineDetail, Wish
from scheduler.core.machines import MachineKind, Trim
from scheduler.core.orders import GpuReading, GpuSlot, GroupKind, GroupSpec, MinerReading
from workers.devices import RETRY_S, Devices, share
from workers.miners.port import FleetWatts, MinersNow

SPEC = GroupSpec(group_id="m", kind=GroupKind.MINERS, base_w=100.0, miners_max_w=6000.0)


class FakeGpus:
    """One GPU that takes caps from `floor_w` on, if it obeys at all."""

    def __init__(self, *, floor_w: float = 100.0, obeys: bool = True) -> None:
        self.cap_w = 400.0
        self.floor_w = floor_w
        self.obeys = obeys
        self.told: list[float] = []

    def slots(self) -> tuple[GpuSlot, ...]:
        return ()

    def readings(self) -> tuple[GpuReading, ...]:
        return (GpuReading(gpu_id="g0", draw_w=55.0, cap_w=self.cap_w, processes=0),)

    def set_cap(self, gpu_id: str, cap_w: float) -> float:
        self.told.append(cap_w)
        if not self.obeys:
            raise OSError(5, "the bus is down")
        self.cap_w = max(float(round(cap_w)), self.floor_w)
        return self.cap_w

    def attach(self, gpu_ids: object, tree: object) -> None:
        raise NotImplementedError


class FakeMiners:
    """Two miners of 3000 W."""

    def __init__(self) -> None:
        self.targets_w = {"a": 0.0, "b": 0.0}

    def max_w(self) -> dict[str, float]:
        return {"a": 3000.0, "b": 3000.0}

    def now(self) -> MinersNow:
        readings = (MinerReading(miner_id=m, target_w=w, draw_w=0.0) for m, w in self.targets_w.items())
        return MinersNow(readings=tuple(readings))

    def set_targets(self, targets_w: Mapping[str, float]) -> None:
        self.targets_w |= {m: w for m, w in targets_w.items() if m != "b"}
        if "b" in targets_w:
            raise OSError(28, "no space left")

    def details(self) -> tuple[MachineDetail, ...]:
        return ()

    def alarms(self) -> tuple[str, ...]:
        return ()

    def close(self) -> None: ...


def test_a_cap_that_stands_is_not_set_again() -> None:
    """A device is told once, and also if it rounds what it is told."""
    gpus = FakeGpus()
    devices = Devices(gpus, FakeMiners())

    assert devices.set_caps({"g0": 250.4}, devices.gpu_readings())
    assert not devices.set_caps({"g0": 250.4}, devices.gpu_readings())
    assert gpus.told == [250.4]
    assert devices.cap_floors_w() == {}


def test_a_cap_that_was_lost_is_set_again() -> None:
    """A device that forgot its cap (a reset, a person) is told anew."""
    gpus = FakeGpus()
    devices = Devices(gpus, FakeMiners())
    devices.set_caps({"g0": 200.0}, devices.gpu_readings())
    gpus.cap_w = 400.0

    assert devices.set_caps({"g0": 200.0}, devices.gpu_readings())
    assert gpus.cap_w == 200.0


def test_a_device_that_refuses_a_lower_cap_is_counted_at_it() -> None:
    """What the device enforces instead is a floor for a while."""
    devices = Devices(FakeGpus(floor_w=300.0), FakeMiners())
    devices.set_caps({"g0": 100.0}, devices.gpu_readings())
    assert devices.cap_floors_w() == {"g0": 300.0}

    deaf = Devices(FakeGpus(obeys=False), FakeMiners())
    deaf.set_caps({"g0": 100.0}, deaf.gpu_readings())
    assert deaf.cap_floors_w() == {"g0": 400.0}


def test_a_raise_that_failed_is_tried_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that was silent for a moment does not keep its job slow for good."""
    now_s = 100.0
    monkeypatch.setattr("workers.devices.time.monotonic", lambda: now_s)
    gpus = FakeGpus(obeys=False)
    gpus.cap_w = 150.0
    devices = Devices(gpus, FakeMiners())
    devices.set_caps({"g0": 300.0}, devices.gpu_readings())
    gpus.obeys = True

    assert not devices.set_caps({"g0": 300.0}, devices.gpu_readings())
    now_s += RETRY_S
    assert devices.set_caps({"g0": 300.0}, devices.gpu_readings())
    assert gpus.cap_w == 300.0


def test_a_miner_that_does_not_answer_does_not_stop_the_others() -> None:
    """Each gets its share; the one that failed is tried again at the next look."""
    miners = FakeMiners()
    devices = Devices(FakeGpus(), miners)

    assert devices.set_miners(2000.0, devices.miners_now(SPEC)[1])
    assert miners.targets_w == {"a": 1000.0, "b": 0.0}
    assert devices.set_miners(2000.0, devices.miners_now(SPEC)[1])
    assert miners.targets_w["a"] == pytest.approx(1000.0 + 1000.0 * 2000 / 5000)


def test_a_paused_miner_gets_nothing() -> None:
    """Its share goes to the others, and its reading tells the wish."""
    miners = FakeMiners()
    devices = Devices(FakeGpus(), miners)
    devices.wish((("b", Wish.PAUSED),))
    devices.set_miners(2000.0, devices.miners_now(SPEC)[1])

    assert miners.targets_w == {"a": 2000.0, "b": 0.0}
    assert [m.wish for m in devices.miners_now(SPEC)[1]] == [Wish.INHERIT, Wish.PAUSED]


watts = st.floats(0.0, 5000.0)


@given(st.lists(st.tuples(watts, watts), max_size=5), st.floats(0.0, 30000.0))
def test_shares_add_up_and_move_one_way(miners: list[tuple[float, float]], total_w: float) -> None:
    """The sum is met as far as the miners allow; none moves against the sum."""
    max_w = {str(i): high for i, (_, high) in enumerate(miners)}
    now_w = {str(i): min(target, high) for i, (target, high) in enumerate(miners)}

    shares_w = share(total_w, now_w, max_w)
    possible_w = min(total_w, sum(max_w.values()))
    assert sum(shares_w.values()) == pytest.approx(possible_w, abs=1e-6)
    rises = total_w > sum(now_w.values())
    for miner_id, share_w in shares_w.items():
        assert -1e-6 <= share_w <= max_w[miner_id] + 1e-6
        assert (share_w >= now_w[miner_id] - 1e-6) if rises else (share_w <= now_w[miner_id] + 1e-6)


class LosesOne(FakeMiners):
    """Miners of which one is lost right after it was read; from then on it counts in the base."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0

    def now(self) -> MinersNow:
        self.looks += 1
        lost = self.looks > 1
        watts = FleetWatts(base_w=100.0 + 3000.0 * lost, miners_max_w=6000.0 - 3000.0 * lost)
        readings = super().now().readings
        return MinersNow(readings=readings[:1] if lost else readings, watts=watts)


def test_no_machine_counts_twice_or_not_at_all() -> None:
    """What is read and what counts in the base are of one moment, however soon a machine is lost after it."""
    devices = Devices(FakeGpus(), LosesOne())
    first, both = devices.miners_now(SPEC)
    then, one = devices.miners_now(SPEC)

    assert (first.base_w, [m.miner_id for m in both]) == (100.0, ["a", "b"])
    assert (then.base_w, [m.miner_id for m in one]) == (3100.0, ["a"])


def test_who_is_lost_since_leaves_nothing_to_others() -> None:
    """A target was reckoned with all that were read: only the next look may share it otherwise."""
    miners = LosesOne()
    miners.targets_w = {"a": 0.0, "b": 3000.0}
    devices = Devices(FakeGpus(), miners, machine=MachineKind(max_w=3000, min_on_s=0.0, min_off_s=0.0))

    assert not devices.set_miners(3000.0, devices.miners_now(SPEC)[1])
    assert miners.targets_w == {"a": 0.0, "b": 3000.0}


class FakeFillers(FakeMiners):
    """Two GPUs, of which fillers may have what they are told; `leaving` is on its way out."""

    kind = MachineKind(max_w=300, least_w=50, min_on_s=0.0, min_off_s=0.0)
    leaving = ""

    def readings(self) -> tuple[MinerReading, ...]:
        return tuple(
            MinerReading(
                miner_id=m,
                target_w=w,
                draw_w=w,
                max_w=300,
                least_w=50,
                trim=Trim.WATTS,
                obeys=m != self.leaving,
            )
            for m, w in self.targets_w.items()
        )

    def set_targets(self, targets_w: Mapping[str, float]) -> None:
        self.targets_w |= targets_w

    def caps_w(self) -> dict[str, float]:
        return {"g0": 250.0}


def test_a_filler_that_leaves_lowers_no_other_and_raises_none() -> None:
    """What it may still draw is nobody else's until it is gone."""
    fillers = FakeFillers()
    devices = Devices(FakeGpus(), fillers, machine=fillers.kind, fillers=fillers)  # type: ignore[arg-type]
    devices.set_miners(500.0, fillers.readings())
    both = dict(fillers.targets_w)
    fillers.leaving = "a"
    devices.set_miners(200.0, fillers.readings())
    while_it_leaves = fillers.targets_w["b"]
    devices.set_miners(290.0, fillers.readings())
    not_yet = fillers.targets_w["b"]
    fillers.targets_w["a"] = 0.0
    devices.set_miners(290.0, fillers.readings())

    assert both == {"a": 300.0, "b": 200.0}
    assert (while_it_leaves, not_yet) == (200.0, 200.0)
    assert fillers.targets_w["b"] == 290.0


def test_a_gpu_that_a_filler_has_gets_the_fillers_cap() -> None:
    """Not that of an idle one."""
    gpus, fillers = FakeGpus(), FakeFillers()
    devices = Devices(gpus, fillers, machine=fillers.kind, fillers=fillers)  # type: ignore[arg-type]
    devices.set_caps({"g0": 100.0}, gpus.readings())

    assert gpus.told == [250.0]
