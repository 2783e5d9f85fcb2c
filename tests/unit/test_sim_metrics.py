"""The figures of a run, each against a case that can be worked out by hand."""

from __future__ import annotations

import json

import pytest

from scheduler.sim.bound import Bound
from scheduler.sim.capacity import Capacity
from scheduler.sim.metrics import summary
from scheduler.sim.outcome import Interval, RunOutcome
from tests.simulated_world import became, interval, job, run

PROMISED = {
    "policy",
    "jobs",
    "power",
    "goodput_gpu_h",
    "bound_gpu_h",
    "value",
    "lost_gpu_h",
    "violation_s",
    "violation_kwh",
    "surplus_used_kwh",
    "surplus_offered_kwh",
    "pauses",
    "jct_mean_s",
    "jct_p50_s",
    "jct_p99_s",
    "finished",
    "unfinished",
    "miner_kwh",
    "wall_s",
}


def figures_of(*intervals: Interval) -> dict[str, float]:
    """Figures of an hour with these intervals."""
    return summary(run(*intervals), None)


def test_the_promised_figures_are_there_and_print_as_json() -> None:
    """Even of a run in which nothing happened: what has nothing to be made of is null, never NaN."""
    figures = summary(run(interval(0.0, 0.0)), None)

    assert set(figures) >= PROMISED
    json.dumps(figures, allow_nan=False)
    assert figures["jct_mean_s"] is None
    assert figures["bound_gpu_h"] is None


def test_a_drop_counts_after_the_time_to_react() -> None:
    """40 s over a lowered limit are 10 s of violation, with 30 s to react; as if none were granted, 40."""
    found = figures_of(
        interval(0.0, 500e3, 400e3), interval(600.0, 200e3, 400e3), interval(640.0, 200e3, 200e3)
    )

    assert found["violation_s"] == pytest.approx(10.0)
    assert found["violation_kwh"] == pytest.approx(200.0 * 10 / 3600)
    assert found["violation_at_once_s"] == pytest.approx(40.0)
    assert found["violation_1s_s"] == pytest.approx(10.0)
    assert found["comply_max_s"] == found["comply_p50_s"] == pytest.approx(40.0)
    assert found["drops"] == 1


def test_a_meter_that_averages_forgives_what_is_short() -> None:
    """20 s at twice the limit vanish in a quarter of an hour, but not in their minute."""
    found = figures_of(interval(0.0, 100e3, 90e3), interval(60.0, 100e3, 200e3), interval(80.0, 100e3, 90e3))

    assert found["violation_s"] == pytest.approx(20.0)
    assert found["violation_1min_s"] == pytest.approx(60.0)
    assert found["violation_1min_kwh"] == pytest.approx((20 * 200 + 40 * 90 - 60 * 100) / 3600)
    assert found["violation_15min_s"] == 0.0


def test_a_limit_that_falls_twice_grants_the_time_for_each() -> None:
    """The highest of the last 30 s is in force, so a second fall does not take back the first one's time."""
    found = figures_of(
        interval(0.0, 300.0, 300.0),
        interval(100.0, 200.0, 300.0),
        interval(110.0, 100.0, 200.0),
        interval(140.0, 100.0, 100.0),
    )

    assert found["violation_s"] == 0.0


def test_surplus_is_what_the_limit_grants_above_the_firm_level() -> None:
    """Half an hour of 700 kW of which 160 are firm; 500 are drawn, 100 of them by miners."""
    hour = run(interval(0.0, 700e3, 400e3, miners_w={"a": 75e3, "b": 25e3}), interval(1800.0, 160e3, 160e3))

    found = summary(hour, None, firm_w=160e3)

    assert found["surplus_offered_kwh"] == pytest.approx(270.0)
    assert found["surplus_used_kwh"] == pytest.approx(170.0)
    assert found["surplus_used_share"] == pytest.approx(170 / 270)
    assert found["offered_kwh"] == pytest.approx(430.0)
    assert found["miner_kwh"] == pytest.approx(50.0)
    assert found["miners"] == {
        "a": {"kwh": pytest.approx(37.5), "share": pytest.approx(0.75)},
        "b": {"kwh": pytest.approx(12.5), "share": pytest.approx(0.25)},
    }


def test_over_curtailment_counts_only_while_work_waits() -> None:
    """100 kW unused for half an hour with work waiting; the other half hour nobody waits."""
    found = figures_of(interval(0.0, 400e3, 300e3, waiting_gpus=8), interval(1800.0, 400e3, 100e3))

    assert found["over_curtailment_kwh"] == pytest.approx(50.0)
    assert found["over_curtailment_share"] == pytest.approx(0.25)


SITE = Capacity(nodes=2, gpus_per_node=8)
FULL_W = 1.25 * (1200 + 8 * 382)  # one node at work
IDLE_W = 1.25 * (1200 + 8 * 55)


@pytest.mark.parametrize(
    "facts, wasted_w",
    [
        ({"waiting_gpus": 8}, FULL_W),  # a node could be woken for it, and needs no more than that
        ({"waiting_gpus": 8, "limit_w": FULL_W * 1.5}, FULL_W * 0.5),  # half of it, capped
        ({"waiting_gpus": 8, "limit_w": FULL_W + 100.0}, 0.0),  # too little even at the knee
        ({"waiting_gpus": 0}, 0.0),  # nobody waits
        ({"waiting_gpus": 16, "smallest_waiting_gpus": 16}, 0.0),  # the gang does not fit
        (
            {"waiting_gpus": 8, "running_gpus": 16, "ai_w": 2 * FULL_W, "powered_nodes": 2},
            0.0,
        ),  # no GPU is free
    ],
)
def test_waste_is_what_a_waiting_job_could_have_had(facts: dict[str, float], wasted_w: float) -> None:
    """Miners take the rest of the limit; one node works at full speed."""
    facts = {"limit_w": 50e3, "ai_w": FULL_W, "running_gpus": 8, "powered_nodes": 1} | facts
    facts["miners_w"] = {"a": max(0.0, facts["limit_w"] - facts["ai_w"])}  # type: ignore[assignment]

    found = summary(run(interval(0.0, **facts)), None, site=SITE)

    assert found["wasted_kwh"] == pytest.approx(wasted_w / 1e3)
    assert found["wasted_share"] == pytest.approx(wasted_w / facts["limit_w"])


def test_progress_times_and_slowdown() -> None:
    """Two jobs end, one is cut by the end of the window, one never began."""
    hour = run(
        interval(0.0, 1e6, running_gpus=6),
        jobs=[
            became(
                job("a", work_s=1000.0, gpus=4, deadline_s=1500.0),
                finished_s=2000.0,
                kept_gpu_s=4000.0,
                energy_wh=30.0,
            ),
            became(
                job("b", arrives_s=600.0, work_s=2.0, deadline_s=40.0),
                finished_s=640.0,
                kept_gpu_s=2.0,
                energy_wh=10.0,
            ),
            became(
                job("c", arrives_s=1600.0, work_s=9000.0, priority=10, flex=2, project="x", deadline_s=2e3),
                kept_gpu_s=1800.0,
                lost_gpu_s=90.0,
                pauses=3,
                kills=1,
            ),
            became(job("d", arrives_s=3000.0, project="x", deadline_s=6e3)),
        ],
    )

    found = summary(hour, None)

    assert (found["finished"], found["unfinished"]) == (2, 2)
    assert found["jct_mean_s"] == pytest.approx((2000 + 40) / 2)
    assert found["jct_p50_s"] == pytest.approx(1020.0)
    assert found["flow_mean_s"] == pytest.approx((2000 + 40 + 2000 + 600) / 4)
    assert found["bounded_slowdown_mean"] == pytest.approx((2.0 + 4.0) / 2)  # b counts as 10 s long
    assert found["goodput_gpu_h"] == pytest.approx(5802 / 3600)
    assert found["value"] == pytest.approx((4002 + 2 * 1800) / 3600)
    assert found["lost_gpu_h"] == pytest.approx(0.025)
    assert (found["pauses"], found["kills"]) == (3, 1)
    assert found["preemptions_per_gpu_day"] == pytest.approx(3 / (6 / 24))
    assert found["wh_per_finished_job"] == pytest.approx(20.0)
    assert (found["deadlines"], found["deadlines_met"]) == (3, 1)
    assert found["by_tier"]["2"]["pauses"] == 3
    assert found["by_tier"]["4"]["finished"] == 2
    assert found["by_project"]["x"]["jct_mean_s"] is None
    shares = (4002 / 4002, 1800 / 2600)
    assert found["jain_projects"] == pytest.approx(sum(shares) ** 2 / (2 * sum(s * s for s in shares)))


def test_goodput_is_held_against_the_bound() -> None:
    """In GPU-hours and in value."""
    limits = Bound(
        gpu_h=2.0,
        value=8.0,
        caps_gpu_h=1.6,
        offered_gpu_h=5.0,
        reachable_gpu_h=3.0,
        capacity_gpu_h=9.0,
    )
    hour = run(interval(0.0, 1e6), jobs=[became(job("a", priority=20, gpus=1), kept_gpu_s=3600.0)])

    found = summary(hour, limits)

    assert (found["bound_gpu_h"], found["share_of_bound"], found["value_share_of_bound"]) == (2.0, 0.5, 0.5)
    assert (found["bound_caps_gpu_h"], found["share_of_bound_caps"]) == (1.6, 0.625)


def test_rebound_is_the_worst_minute_after_a_curtailment_over_what_was_before() -> None:
    """900 W before, a minute of 1080 W within the quarter of an hour after it."""
    found = figures_of(
        interval(0.0, 1200.0, 900.0),
        interval(1200.0, 300.0, 300.0),
        interval(1800.0, 1200.0, 900.0),
        interval(1920.0, 1200.0, 1080.0),
        interval(1980.0, 1200.0, 900.0),
    )

    assert found["rebound_ratio"] == pytest.approx(1.2)
    assert found["peak_w"] == pytest.approx(1080.0)


def test_flicker_has_no_rebound() -> None:
    """There is no calm quarter of an hour on both sides of anything."""
    flickers = [interval(60.0 * i, 1000.0 if i % 2 else 100.0, 100.0) for i in range(60)]

    assert figures_of(*flickers)["rebound_ratio"] is None


@pytest.mark.parametrize("starts_s", [[], [5.0], [0.0, 50.0, 40.0], [0.0, 4000.0]])
def test_intervals_out_of_order_are_refused(starts_s: list[float]) -> None:
    """No figure could be trusted."""
    with pytest.raises(ValueError, match="intervals: "):
        run(*(interval(at, 1.0) for at in starts_s))


def test_of_two_intervals_at_one_instant_the_later_holds() -> None:
    """A loop may decide twice at one instant; what lasts no time weighs nothing."""
    outcome: RunOutcome = run(interval(0.0, 1e3, 1e9), interval(0.0, 1e3, 500.0), window_s=7200.0)

    assert summary(outcome, None)["site_kwh"] == pytest.approx(1.0)
    assert summary(outcome, None)["violation_s"] == 0.0


def test_what_is_not_done_while_jobs_wait_has_a_reason() -> None:
    """Two nodes of two GPUs: a node in standby, 100 W that nobody draws, and a GPU that idles beside one at work."""
    site = Capacity(nodes=2, gpus_per_node=2, node_base_w=1000.0, overhead=1.0)
    full_w = 2 * (1000.0 + 2 * 382.0)
    draw_w = 1000.0 + 382.0 + 55.0
    waits = interval(0.0, full_w, 382.0, idle_w=1085.0, waiting_gpus=3, running_gpus=1, powered_nodes=1)
    found = summary(run(waits), None, site=site, standby_w=30.0)["shortfall"]

    assert found["allowed_gpu_h"] == pytest.approx(4.0)
    assert found["done_gpu_h"] == pytest.approx(1.0)
    parts = [found[f"{part}_gpu_h"] for part in ("standby", "watts", "nodes", "gpus")]
    assert sum(parts) == pytest.approx(3.0)
    assert parts[0] == pytest.approx(4.0 - float(site.capacity_gpus(full_w - 30.0)))
    assert parts[1] == pytest.approx(
        float(site.capacity_gpus(full_w - 30.0)) - float(site.capacity_gpus(draw_w))
    )


def test_nothing_is_missing_while_nobody_waits() -> None:
    """What nobody asked for is not short."""
    site = Capacity(nodes=2, gpus_per_node=2, overhead=1.0)
    found = summary(run(interval(0.0, 5000.0, 3000.0)), None, site=site)["shortfall"]

    assert set(found.values()) == {0.0}
