"""What sets each baseline apart, told by what it does and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from scheduler.core.estop import EmergencyStop
from scheduler.core.jobs import Phase
from scheduler.sim.baselines import BASELINES
from tests.builders import T0, SiteBuilder, actions, commit, launch, site


def two_jobs(policy: str, *, limit_w: float = 9000.0, **spec: Any) -> SiteBuilder:
    """An old job on node a, a young one on b, both at full power: 2 x (600 + 4 x 400) W."""
    built = site(firm_w=9000.0).node("a").node("b").limit_w(limit_w).under(BASELINES[policy]())
    return built.running("old", "a", **spec).running("young", "b", **spec)


def test_fcfs_kills_the_youngest_and_starts_it_again_from_its_last_commit() -> None:
    """It keeps its place before all that wait, and loses what came after its last commit."""
    built = two_jobs("fcfs-kill").job("later", gpus=4)
    built.jobs["young"] = replace(built.jobs["young"], last_commit=commit(4))

    assert built.limit_w(3100).does() == ["kill young"]
    assert built.limit_w(9000).does() == ["end young: PREEMPTED", "start young on b at 400 W"]
    assert built.attempts["young.2"].resume_from == commit(4)
    assert built.does() == []


def test_fcfs_lets_nothing_pass_its_head() -> None:
    """Free GPUs stay free behind a job that needs more."""
    built = site(firm_w=9000.0).node().limit_w(9000).under(BASELINES["fcfs-kill"]())
    built.running("first", "node-1", gpus=2).job("large", gpus=4).job("small", gpus=1)

    assert built.does() == []


def test_what_may_not_start_blocks_nobody() -> None:
    """Not a job that never fits, nor one that waits for its time."""
    for name, make in BASELINES.items():
        built = site(firm_w=9000.0).node().limit_w(9000).under(make())
        built.job("never", gpus=9).job("later", gpus=4, begin_at=T0 + timedelta(hours=1)).job("now", gpus=4)
        assert built.does() == ["start now on node-1 at 400 W"], name


def test_pause_only_saves_the_youngest_and_caps_nobody() -> None:
    """The rest goes on at full power; who was paused resumes from where it stopped, the oldest first."""
    built = two_jobs("pause-only")

    assert built.limit_w(3300).does() == ["save young"]
    assert built.does() == ["end young: PREEMPTED"]
    assert built.does() == []
    assert built.limit_w(9000).does() == ["start young on b at 400 W"]
    assert built.attempts["young.2"].resume_from == commit(10)


def test_pause_only_holds_others_while_a_save_still_draws() -> None:
    """Saving GPUs are charged at their lowest cap: the old one stands still until they are free."""
    built = two_jobs("pause-only", limit_w=9000)

    assert built.limit_w(3050).does() == ["save young", "suspend old"]
    assert built.does() == ["end young: PREEMPTED"]
    assert built.does() == ["resume old at 400 W"]


def test_a_save_that_nothing_forces_has_all_its_grace() -> None:
    """What could be over the limit is held meanwhile: no need to kill it at the end of the reaction time."""
    built = two_jobs("pause-only", launch=launch(grace_s=120.0))
    built.limit_w(3050)
    decision = built.decided()

    assert [o.launch.grace_s for d in decision.drafts.values() for o in d.attempts] == [120.0, 120.0]


def test_what_is_held_for_long_leaves() -> None:
    """A hold is for the seconds of a save; where power does not come back it becomes a pause."""
    built = two_jobs("pause-only")
    assert built.limit_w(3050).does(obeyed=False) == ["save young", "suspend old"]
    built.limit_w(2400)
    assert built.passes(built.site.suspend_max_s).does(obeyed=False) == ["save old"]


def test_slurm_kills_the_lowest_priority_and_requeues_it_after_two_minutes() -> None:
    """Not the youngest, and with no save."""
    built = site(firm_w=9000.0).node("a").node("b").limit_w(9000).under(BASELINES["slurm"]())
    built.running("low", "a").running("high", "b", priority=5)

    assert built.limit_w(3100).does() == ["kill low"]
    assert built.limit_w(9000).does() == ["end low: PREEMPTED"]
    assert built.passes(119.0).does() == []
    assert built.passes(1.0).does() == ["start low on a at 400 W"]


def slurm_queue(*, head_gpus: int = 4, **limits: float | None) -> SiteBuilder:
    """One node, half of it taken by `runs`; `head` waits for the whole of it, `behind` would fit."""
    built = site(firm_w=9000.0).node().limit_w(9000).under(BASELINES["slurm"]())
    built.running("runs", "node-1", gpus=2, time_limit_s=limits.get("runs"))
    built.job("head", gpus=head_gpus, priority=1).job("behind", gpus=2, time_limit_s=limits.get("behind"))
    return built


def test_slurm_backfills_what_ends_before_the_reserved_start() -> None:
    """By the time limits that users gave."""
    assert slurm_queue(runs=600.0, behind=600.0).does() == ["start behind on node-1 at 400 W"]
    assert slurm_queue(runs=600.0, behind=601.0).does() == []
    assert slurm_queue(runs=600.0, behind=None).does() == []


def test_slurm_backfills_beside_the_reserved_gpus() -> None:
    """A job without end may have what the head leaves."""
    assert slurm_queue(head_gpus=3, runs=600.0).does() == []

    built = site(firm_w=9000.0).node(gpus=4).limit_w(9000).under(BASELINES["slurm"]())
    built.running("runs", "node-1", gpus=2, time_limit_s=600.0).job("head", gpus=3, priority=1)
    assert built.job("one", gpus=1).job("two", gpus=1).does() == ["start one on node-1 at 400 W"]


def test_slurm_reserves_nothing_that_lies_beyond_its_window() -> None:
    """Work without a limit might run for ever: those behind start where they fit."""
    assert slurm_queue(runs=None, behind=None).does() == ["start behind on node-1 at 400 W"]
    assert slurm_queue(runs=90_000.0).does() == ["start behind on node-1 at 400 W"]


def test_slurm_counts_power_as_a_resource() -> None:
    """Behind a head that lacks watts, only what leaves it the watts when others end."""
    built = site(firm_w=2700.0).node("a").node("b").limit_w(2700.0).under(BASELINES["slurm"]())
    built.running("runs", "a", gpus=2, time_limit_s=600.0).job("head", gpus=3, priority=1)

    assert built.job("long", gpus=1).does() == []
    assert built.job("short", gpus=1, time_limit_s=500.0).does() == ["start short on a at 400 W"]


def test_fair_caps_lower_all_alike() -> None:
    """Whatever their tiers, whatever they are; power that comes back lifts all."""
    built = two_jobs("dvfs-fair", flex=1).limit_w(3000)

    assert built.does() == ["cap old at 225 W", "cap young at 225 W"]
    assert built.limit_w(9000).does() == ["cap old at 400 W", "cap young at 400 W"]


def test_fair_caps_pause_only_below_the_lowest_cap() -> None:
    """At 100 W a GPU all fit 2016 W; at less the youngest leaves."""
    assert two_jobs("dvfs-fair").limit_w(2016).does() == ["cap old at 100 W", "cap young at 100 W"]
    assert two_jobs("dvfs-fair").limit_w(2015).does() == [
        "cap old at 100 W",
        "save young",
    ]


def test_fair_caps_start_a_job_by_slowing_the_others() -> None:
    """First they fall, and once that is confirmed it starts at the same cap."""
    built = site(firm_w=9000.0).node("a").node("b").limit_w(3100).under(BASELINES["dvfs-fair"]())
    built.running("old", "a", cap_w=400.0).job("new", gpus=4)

    assert built.does() == ["cap old at 235 W"]
    assert built.does() == ["start new on b at 235 W"]


def test_greedy_pausing_takes_the_most_flexible_then_the_largest() -> None:
    """Not the youngest: one large job rather than two small ones."""
    built = site(firm_w=9000.0).node("a").node("b").limit_w(9000).under(BASELINES["greedy-pausing"]())
    built.running("stiff", "a", gpus=3, flex=2).running("large", "b", gpus=3).running("small", "b", gpus=1)

    assert built.limit_w(3900).does() == ["save large"]


def test_marginal_fills_knees_before_it_fills_jobs() -> None:
    """200 W a GPU make the most speed of a watt; what is left goes to the oldest, step by step of the curve."""
    built = two_jobs("marginal")

    assert built.limit_w(3000).does() == ["cap old at 250 W", "cap young at 200 W"]
    assert built.limit_w(3200).does() == ["cap young at 250 W"]
    assert built.limit_w(3400).does() == ["cap old at 300 W"]
    assert built.limit_w(2800).does() == ["cap old at 200 W", "cap young at 200 W"]
    assert built.limit_w(2799).does() == ["save young"]


def test_sjf_and_las_order_the_queue() -> None:
    """By the time asked for; by the GPU time had, so that a job that ran waits behind one that did not."""
    built = site(firm_w=9000.0).node().limit_w(9000).under(BASELINES["sjf"]())
    built.job("unknown", gpus=4).job("long", gpus=4, time_limit_s=60.0).job("short", gpus=4, time_limit_s=6.0)
    assert built.does() == ["start short on node-1 at 400 W"]

    built = site(firm_w=9000.0).node().limit_w(9000).under(BASELINES["las"]())
    built.job("ran", gpus=4).job("new", gpus=4)
    built.jobs["ran"] = replace(built.jobs["ran"], ran_s=5.0)
    assert built.does() == ["start new on node-1 at 400 W"]


def test_miners_give_way_first_and_take_the_rest() -> None:
    """As under Barq's own policy, whatever the baseline."""
    for name, make in BASELINES.items():
        built = site(firm_w=5000.0).node().miners(max_w=3000).limit_w(5000).job("j", gpus=4).under(make())
        assert built.does() == ["mine 2800 W on miners", "start j on node-1 at 400 W"], name
        built = built.settles()
        assert built.limit_w(3500).does() == ["mine 1300 W on miners"], name


def test_an_emergency_stop_holds_them_too() -> None:
    """At once, however much power there is; nothing starts under it."""
    stop = EmergencyStop(id="s", reason="smoke", by="asma", at=T0)
    for name, make in BASELINES.items():
        built = site().node(gpus=8).limit_w(5000).running("j", "node-1").job("k", gpus=4)
        stopped = replace(built.snapshot(), stops=(stop,))
        shed = make().shed(stopped)
        assert shed is not None, name
        assert [a.phase for a in shed.attempts.values()] == [Phase.SUSPEND], name
        assert actions(stopped, make().decide(stopped)) == ["suspend j"], name
