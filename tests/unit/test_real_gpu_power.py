"""GPUs that no table knows: charged by their own limits, and never counted as less than they may draw."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from scheduler.core.entitlement import charged_w, entitlement_w, idle_w, nameplate_w
from scheduler.core.floors import SPEED_FLOOR, floor_cap_w
from scheduler.core.jobs import Phase
from scheduler.core.orders import GpuReading, GpuSlot, GroupKind, GroupSpec
from scheduler.core.power import A100_SXM, GpuModel, PowerLimits, gpu_model
from scheduler.core.presence import Present, Seen, without_lost
from tests.builders import site

H100 = PowerLimits(min_w=200.0, max_w=700.0, idle_w=75.0)
FIXED = PowerLimits(min_w=700.0, max_w=700.0, idle_w=75.0)


def node(*limits: PowerLimits) -> GroupSpec:
    """A node of real GPUs g0, g1, ..."""
    slots = tuple(GpuSlot(gpu_id=f"g{i}", model="h100", limits=own) for i, own in enumerate(limits))
    return GroupSpec(group_id="n1", kind=GroupKind.NODE, base_w=500.0, gpus=slots)


def reading(gpu_id: str, **changes: float) -> GpuReading:
    """A free GPU at its minimum cap, or what is said of it."""
    facts = {"draw_w": 75.0, "cap_w": 200.0, "processes": 0, "lost": False} | changes
    return GpuReading(gpu_id=gpu_id, **facts)  # type: ignore[arg-type]


limits = st.floats(1.0, 2000.0).flatmap(
    lambda high: st.builds(PowerLimits, min_w=st.floats(1.0, high), max_w=st.just(high), idle_w=st.just(1.0))
)


@given(limits, st.floats(0.0, 3000.0))
def test_an_unknown_model_is_charged_at_its_cap_at_least(own: PowerLimits, cap_w: float) -> None:
    """Whatever the cap: never less than it, and never less than the lowest that the device takes."""
    model = gpu_model("anything", own)

    assert model.charge_w(cap_w) >= max(cap_w, own.min_w) - 1e-9
    assert model.charge_w(own.max_w) == pytest.approx(own.max_w)
    assert model.speed(own.max_w) == 1.0


def test_a_tier_is_promised_no_more_than_the_cap_gives() -> None:
    """Without a measured curve the speed is taken to fall with the cap, so that floors are on the safe side."""
    model = gpu_model("h100", H100)

    for tier, share in SPEED_FLOOR.items():
        assert floor_cap_w(model, site().job("j", flex=tier).jobs["j"]) >= share * 700.0


def test_a_device_that_nobody_may_cap_has_one_level() -> None:
    """Held it counts as much as at work: only giving it back frees watts."""
    model = gpu_model("h100", FIXED)

    assert (model.min_cap_w, model.held_w(), model.tdp_w) == (700.0, 700.0, 700.0)
    assert not FIXED.may_cap


def test_a_measured_curve_counts_only_within_its_own_limits() -> None:
    """An A100 with other limits than the measured one is not that device."""
    same = gpu_model(A100_SXM.name, PowerLimits(min_w=100.0, max_w=400.0, idle_w=60.0))
    other: GpuModel = gpu_model(A100_SXM.name, PowerLimits(min_w=100.0, max_w=500.0, idle_w=60.0))

    assert (same.curve, same.idle_w) == (A100_SXM.curve, 60.0)
    assert other.tdp_w == 500.0
    with pytest.raises(KeyError):
        gpu_model("h100", None)


def test_a_group_counts_by_the_limits_of_its_devices() -> None:
    """Idle, nameplate and held GPUs of real devices."""
    spec = node(H100, FIXED)

    assert (idle_w(spec), nameplate_w(spec)) == (650.0, 1900.0)
    assert entitlement_w(spec, ()) == 650.0


def test_a_lost_gpu_that_nobody_holds_counts_in_the_base() -> None:
    """At its last enforced cap, and nothing is placed on it any more; the others stay."""
    spec, kept = without_lost(
        node(H100, H100), (reading("g0", lost=True, processes=1, cap_w=300.0), reading("g1")), ()
    )

    assert [g.gpu_id for g in spec.gpus] == [r.gpu_id for r in kept] == ["g1"]
    assert idle_w(spec) == 500.0 + 300.0 + 75.0
    assert Seen(spec=spec, gpus=kept).charged_w() == charged_w(spec, kept) == 875.0


def test_a_lost_gpu_stays_while_an_attempt_holds_it() -> None:
    """Its charge is that of its last enforced cap; the job ends by itself, for its device is gone."""
    held = Present(attempt_id="a", job_id="j", gpu_ids=("g0",), tier=4, phase=Phase.RUN)
    whole = node(H100)
    spec, kept = without_lost(whole, (reading("g0", lost=True, processes=1, cap_w=300.0),), (held,))

    assert spec is whole
    assert Seen(spec=spec, gpus=kept, attempts=(held,)).charged_w() == 500.0 + 300.0
