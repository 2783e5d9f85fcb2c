"""Commissioning recovers what a noisy meter was made from."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, strategies as st

from barq.commissioning.fitting import Level, NodeKind, NoFit, fit
from barq.commissioning.response import NoAnswer, Point, is_steady, level_w, response

BEFORE_S, ORDERED_S, LASTS_S = 10, 10.0, 120


def ramped(
    change_w: float, *, dead_s: float, rate: float, noise_w: float = 0.0, every_s: float = 1.0, seed: int = 0
) -> list[Point]:
    """A meter that shows 5 kW, and a straight change after an order at `ORDERED_S`."""
    chance = random.Random(seed)
    points = []
    for i in range(round(LASTS_S / every_s)):
        at_s = i * every_s
        done = min(1.0, max(0.0, (at_s - ORDERED_S - dead_s) * rate / abs(change_w)))
        points.append(Point(at_s=at_s, w=5000.0 + change_w * done + chance.gauss(0.0, noise_w)))
    return points


@given(
    change_w=st.floats(500, 50_000),
    falls=st.booleans(),
    dead_s=st.floats(0, 10),
    ramp_s=st.floats(8, 60),
    noise=st.floats(0, 0.005),
    seed=st.integers(0, 1000),
)
def test_dead_time_ramp_and_level_come_back(
    change_w: float, falls: bool, dead_s: float, ramp_s: float, noise: float, seed: int
) -> None:
    """Within two readings for times, and ten percent for the ramp; never early."""
    signed_w = -change_w if falls else change_w
    rate = change_w / ramp_s
    points = ramped(signed_w, dead_s=dead_s, rate=rate, noise_w=noise * change_w, seed=seed)
    found = response(points, ORDERED_S)

    assert found.change_w == pytest.approx(signed_w, rel=0.03)
    assert dead_s - 1.0 <= found.dead_s <= dead_s + 2.5 + 0.1 * ramp_s
    assert dead_s + ramp_s * 0.9 - 1.0 <= found.settle_s <= dead_s + ramp_s + 2.5
    assert found.ramp_w_per_s == pytest.approx(math.copysign(rate, signed_w), rel=0.15)
    assert found.half_s == pytest.approx(dead_s + ramp_s / 2, abs=1.0 + 0.1 * ramp_s)


def test_a_ramp_between_two_readings_is_not_made_up() -> None:
    """A step is faster than a meter of one reading a second can say."""
    found = response(ramped(4000.0, dead_s=0.5, rate=1e6), ORDERED_S)

    assert found.ramp_w_per_s is None
    assert found.settle_s == 1.0


@pytest.mark.parametrize("noise_w", [200.0, 0.0])
def test_no_change_is_no_answer(noise_w: float) -> None:
    """Neither is one that is lost in the noise."""
    with pytest.raises(NoAnswer, match="lost in a noise"):
        response(ramped(1.0, dead_s=0.0, rate=0.0 if not noise_w else 1.0, noise_w=noise_w), ORDERED_S)


def test_too_few_readings_are_no_answer() -> None:
    """Some before and some after are needed."""
    with pytest.raises(NoAnswer, match="too few"):
        response(ramped(500.0, dead_s=0.0, rate=100.0)[:12], ORDERED_S)


@given(noise=st.floats(0, 50), seed=st.integers(0, 1000))
def test_what_trembles_is_steady_and_what_climbs_is_not(noise: float, seed: int) -> None:
    """Also where it climbs in one step between two readings, or under noise."""
    points = ramped(4000.0, dead_s=20.0, rate=50.0, noise_w=noise, seed=seed)
    climbing = [p for p in points if 34 <= p.at_s <= 46]
    stepped = [Point(at_s=p.at_s, w=p.w + (4000.0 if i >= 6 else 0.0)) for i, p in enumerate(points[:12])]

    assert not is_steady(climbing, 10.0)
    assert not is_steady(stepped, 10.0)
    assert not is_steady(points[:5], 10.0)
    assert is_steady(ramped(1.0, dead_s=0.0, rate=0.0)[:20], 10.0)
    assert level_w(points[:10], 8.0) == pytest.approx(5000.0, abs=1.0 + noise * 2)


@given(
    overhead=st.floats(1.0, 1.8),
    base_w=st.floats(200, 3000),
    fans_w=st.floats(0, 500),
    auxiliary_w=st.floats(0, 1000),
    noise_w=st.floats(0, 3),
    nodes=st.integers(1, 4),
    seed=st.integers(0, 1000),
)
def test_overhead_and_base_come_back(
    overhead: float,
    base_w: float,
    fans_w: float,
    auxiliary_w: float,
    noise_w: float,
    nodes: int,
    seed: int,
) -> None:
    """Fans and processors that work beside busy GPUs are base, and the overhead is not taken for more than it is."""
    chance, idle_w = random.Random(seed), 440.0 * nodes

    def level(name: str, gpus_w: float, loaded: str | None = None) -> Level:
        it_w = nodes * base_w + gpus_w + (fans_w if loaded else 0.0)
        meter_w = auxiliary_w + overhead * it_w + 80.0 + chance.gauss(0.0, noise_w)
        return Level(name=name, meter_w=meter_w, gpus_w=gpus_w, miners_w=80.0, loaded=loaded)

    ids = [f"node-{i + 1}" for i in range(nodes)]
    loads = [level(f"{n} {w}", idle_w - 440.0 + w, n) for n in ids for w in (3200.0, 2400.0, 1600.0)]
    levels = [level("rest", idle_w), *loads, level("rest", idle_w)]
    kinds = {"node": NodeKind(count=nodes, base_w=1200.0)}
    found = fit(levels, kinds, dict.fromkeys(ids, "node"), auxiliary_w)

    assert found.by_caps
    assert found.overhead == pytest.approx(overhead, abs=0.002 + 0.003 * noise_w)
    assert found.base_w["node"] == pytest.approx(base_w + fans_w, abs=5 + 15 * noise_w)
    assert found.rmse_w <= 1e-6 + 3 * noise_w


def test_without_caps_rest_and_full_load_are_compared() -> None:
    """Fans then count as overhead, and the fit says so."""
    levels = [
        Level(name="rest", meter_w=2000.0, gpus_w=400.0, miners_w=0.0),
        Level(name="full", meter_w=6500.0, gpus_w=3400.0, miners_w=0.0, loaded="node-1"),
    ]
    found = fit(levels, {"node": NodeKind(count=1, base_w=0.0)}, {"node-1": "node"}, 0.0)

    assert found.overhead == pytest.approx(1.5)
    assert (found.by_caps, found.overhead_error) == (False, None)
    assert found.base_w["node"] == pytest.approx((2000.0 - 600.0) / 1.5)


@pytest.mark.parametrize(
    "meter_w, says", [(2000.0, "does not see them"), (1500.0, "does not see them"), (None, "at rest")]
)
def test_a_meter_that_does_not_see_the_gpus_fits_nothing(meter_w: float | None, says: str) -> None:
    """Or a walk that never rested: nobody is given a figure."""
    rest = [] if meter_w is None else [Level(name="rest", meter_w=2000.0, gpus_w=400.0, miners_w=0.0)]
    full = Level(name="full", meter_w=meter_w or 0.0, gpus_w=3400.0, miners_w=0.0, loaded="node-1")

    with pytest.raises(NoFit, match=says):
        fit([*rest, full], {"node": NodeKind(count=1, base_w=600.0)}, {"node-1": "node"}, 0.0)
