"""What a guard tells people."""

from __future__ import annotations

from dataclasses import replace

from scheduler.core.orders import GpuReading, GpuSensors, GpuSlot, GroupKind, GroupSpec, MinerReading
from scheduler.core.power import A100_SXM, PowerLimits
from scheduler.core.presence import Seen
from workers.alarms import MINER_PATIENCE_S, MinerWatch, gpu_alarms, group_alarms

SPEC = GroupSpec(
    group_id="n1",
    kind=GroupKind.NODE,
    base_w=400.0,
    gpus=tuple(GpuSlot(gpu_id=f"g{i}", model=A100_SXM.name) for i in range(2)),
)


def reading(gpu_id: str, processes: int = 0) -> GpuReading:
    """A GPU as read."""
    return GpuReading(gpu_id=gpu_id, draw_w=55.0, cap_w=100.0, processes=processes)


def test_a_healthy_group_raises_none() -> None:
    """Nothing is said when nothing is wrong."""
    assert group_alarms(Seen(spec=SPEC, gpus=(reading("g0"), reading("g1"))), over_w=0.0) == []


def test_each_fault_is_named() -> None:
    """A silent GPU, foreign processes, a stuck cap and a breach: one sentence each."""
    seen = Seen(spec=SPEC, gpus=(reading("g0", processes=2),), cap_floors_w={"g0": 300.0})

    assert group_alarms(seen, over_w=47.0) == [
        "47 W over what this group may draw, with everything shed that can be",
        "GPU g0 has processes that belong to no attempt; end them",
        "GPU g0 does not take a cap below 300 W; it counts at that",
        "GPU g1 does not answer; it counts as uncapped and busy",
    ]


def test_foreign_processes_are_named_where_the_device_tells() -> None:
    """So that a person can end them."""
    gpu = replace(reading("g0", processes=2), sensors=GpuSensors(pids=(7, 12)))
    seen = Seen(spec=SPEC, gpus=(gpu, reading("g1")))

    assert group_alarms(seen, over_w=0.0) == [
        "GPU g0 has processes that belong to no attempt (PID 7, 12); end them"
    ]


def test_gpus_that_count_for_more_than_they_need_to_are_named() -> None:
    """A lost one at its last cap; those that nobody may cap, in one sentence for all."""
    fixed = PowerLimits(min_w=700.0, max_w=700.0, idle_w=75.0)
    spec = replace(SPEC, gpus=tuple(replace(slot, limits=fixed) for slot in SPEC.gpus))
    lost = replace(reading("g1", processes=1), lost=True)

    assert gpu_alarms(SPEC, (reading("g0"), reading("g1"))) == []
    assert gpu_alarms(spec, (reading("g0"), lost)) == [
        (
            "GPU g1 does not answer; it counts as busy at its last cap, 100 W: look at dmesg for Xid, then reset it or "
            "restart the machine"
        ),
        "2 GPUs cannot be capped here and count at 1400 W at work; see `barq doctor` for why",
    ]


def test_a_miner_has_time_for_its_ramp() -> None:
    """Only a miner that stays over its target is named, and no more once it follows."""
    watch = MinerWatch()
    over = [MinerReading(miner_id="m1", target_w=1000.0, draw_w=2000.0)]
    follows = [MinerReading(miner_id="m1", target_w=1000.0, draw_w=1000.0)]

    assert watch.look(over, 0.0) == []
    assert watch.look(over, MINER_PATIENCE_S) == []
    assert len(watch.look(over, MINER_PATIENCE_S + 1)) == 1
    assert watch.look(follows, MINER_PATIENCE_S + 2) == []
    assert watch.look(over, MINER_PATIENCE_S + 3) == []
