"""The twin of a site on a clock that a test moves: leases, work and draw as the simulator has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scheduler.core.inventory import Condition, Inventory, MachineDetail, Wish
from scheduler.core.jobs import JobSpec, Phase
from scheduler.core.orders import AttemptOrder, FallbackStep, Fence, GuardReport, Observed, Order
from scheduler.settings import site_of
from scheduler.twin import OF_TIME_LIMIT, Twin, Work, needed_s
from tests.fakes import FakeClock
from tests.simulated import Bench

SITE = site_of(
    {
        "name": "t",
        "mode": "shadow",
        "power": {"firm_w": 6000, "overhead": 1.25, "auxiliary_w": 100},
        "nodes": [{"count": 1, "gpus": 4, "base_w": 600, "simulated": True}],
        "miners": [
            {"name": "loose", "count": 2, "max_w": 1020, "simulated": True},
            {"name": "whole", "count": 2, "max_w": 1020, "simulated": True, "machines": {}},
        ],
    },
    Path("site.yaml"),
)
IDLE_W = 1.25 * (600 + 4 * 55) + 80 + 100
LAUNCH = Bench().attempt().launch


class Stage:
    """A twin, its clock, and orders by hand."""

    def __init__(self, *, work_s: float = 1e9, done_s: float = 0.0) -> None:
        self.clock = FakeClock()
        asked = Work(gpus=4, done_s=done_s, work_s=work_s)
        self.twin = Twin(SITE.groups(), SITE, works=lambda _: asked, clock=self.clock)
        self.seq = 0

    async def tell(self, group_id: str, *, lease_s: float = 1e6, **more: Any) -> GuardReport:
        """One order, and what it leads to at once."""
        self.seq += 1
        order = Order(
            group_id=group_id,
            boot_id=f"{group_id}-boot-1",
            fence=Fence(epoch=1, seq=self.seq),
            expires_boottime_s=self.clock.now_ms / 1000 + lease_s,
            entitlement_w=5000.0,
            fallback=(FallbackStep(after_s=0.0, limit_w=0.0),),
            **more,
        )
        (answer,) = (await self.twin.deliver([order], timeout_s=1.0)).values()
        assert isinstance(answer, GuardReport), answer
        return answer

    async def run(self, phase: Phase = Phase.RUN) -> GuardReport:
        """The node is to have one attempt on all its GPUs in this phase."""
        attempt = AttemptOrder(
            attempt_id="t-1.1",
            job_id="t-1",
            number=1,
            phase=phase,
            gpu_ids=("0", "1", "2", "3"),
            cap_w=400.0,
            tier=4,
            launch=LAUNCH,
        )
        return await self.tell("node-1", attempts=(attempt,))

    def later(self, seconds: float) -> None:
        """Time passes."""
        self.clock.now_ms += round(seconds * 1000)


def test_at_rest_it_draws_what_the_site_file_says() -> None:
    """Node and idle GPUs with the hall's overhead, miners asleep, auxiliary."""
    draw = Stage().twin.draw()
    assert (draw.draw_w, draw.ai_w, draw.miners_w) == (IDLE_W, 0.0, 0.0)


async def test_a_job_ends_well_when_its_work_is_done() -> None:
    """And computes until then: nobody started its command."""
    stage = Stage(work_s=100.0)
    assert (await stage.run()).attempts[0].observed is Observed.RUNNING
    assert stage.twin.draw().ai_w == pytest.approx(1.25 * 4 * 400, rel=0.1)
    stage.later(99)
    assert (await stage.run()).attempts[0].observed is Observed.RUNNING
    stage.later(1)
    (facts,) = (await stage.run()).attempts
    assert (facts.observed, facts.exit_code) == (Observed.ENDED, 0)


async def test_a_job_goes_on_where_it_was_seen_last() -> None:
    """A scheduler that comes back does not have a running job begin anew."""
    stage = Stage(work_s=100.0, done_s=80.0)
    (facts,) = (await stage.run()).attempts
    assert (facts.observed, facts.step) == (Observed.RUNNING, 80)
    stage.later(20)
    assert (await stage.run()).attempts[0].exit_code == 0


async def test_without_a_hint_it_runs_until_it_is_cancelled() -> None:
    """For as long as anybody would look."""
    stage = Stage()
    await stage.run()
    stage.later(10 * 86_400)
    assert (await stage.run()).attempts[0].observed is Observed.RUNNING
    assert (await stage.run(Phase.KILL)).attempts[0].observed is Observed.ENDED


async def test_a_lease_that_lapses_brings_all_down() -> None:
    """Also while nobody gives orders: at its own instant, and however late that is noticed."""
    stage = Stage()
    await stage.run()
    await stage.tell("loose", lease_s=10.0, miners_target_w=2000.0)
    stage.later(9)
    assert stage.twin.draw().miners_w == pytest.approx(2000.0)
    stage.later(60)
    assert stage.twin.draw().miners_w == 0.0


async def test_machines_run_whole() -> None:
    """A group whose miners sleep and wake takes no watt that no machine can use."""
    stage = Stage()
    await stage.tell("whole", miners_target_w=1700.0)
    stage.later(60)
    assert stage.twin.draw().miners_w == 1000.0


async def test_news_is_reported_unasked_and_the_beat_goes_on() -> None:
    """From each group, once a second; a twin that is closed says nothing more and moves no more."""
    stage, heard = Stage(), list[GuardReport]()

    def count(report: GuardReport) -> None:
        heard.append(report)
        stage.later(1)
        if len(heard) == 6:
            stage.twin._is_closed = True

    stage.twin.listen(count)
    await stage.twin.run()
    assert [r.spec.group_id for r in heard] == ["node-1", "loose", "whole"] * 2


def _spec(**facts: Any) -> JobSpec:
    return JobSpec(name="j", launch=LAUNCH, **facts)


def test_how_long_a_job_is_taken_to_need() -> None:
    """What its owner guesses, else most of its time limit."""
    assert needed_s(_spec(estimate_s=50.0, time_limit_s=100.0)) == 50.0
    assert needed_s(_spec(time_limit_s=100.0)) == 100.0 * OF_TIME_LIMIT
    assert needed_s(_spec()) > 365 * 86_400


async def machines(stage: Stage, group_id: str) -> list[MachineDetail]:
    """The machines of a group, as the twin tells them."""
    told = await stage.twin.inventory(group_id, timeout_s=1.0)
    assert isinstance(told, Inventory), told
    return list(told.machines)


async def test_its_miners_are_told_of_one_by_one() -> None:
    """At their plugs; those that take any watt as one. A node has none."""
    stage = Stage()
    report = await stage.tell("whole", miners_target_w=1000.0)
    stage.later(10)
    running, asleep = await machines(stage, "whole")
    [all_of_them] = await machines(stage, "loose")

    assert (running.condition, running.draw_w, running.rest_w, running.nameplate_w) == (
        Condition.RUNNING,
        1020.0,
        20.0,
        1020.0,
    )
    assert (asleep.condition, asleep.draw_w) == (Condition.ASLEEP, 20.0)
    assert (all_of_them.miner_id, all_of_them.nameplate_w, all_of_them.draw_w) == ("loose", 2040.0, 40.0)
    assert report.inventory_version > 0
    assert (await stage.run()).inventory_version == 0
    assert "no miners" in str(await stage.twin.inventory("node-1", timeout_s=1.0))


@pytest.mark.parametrize("group_id,miner_id", [("whole", "whole-1"), ("loose", "loose")])
async def test_who_is_paused_in_the_twin_sleeps(group_id: str, miner_id: str) -> None:
    """However much there is, and until a person says otherwise."""
    stage = Stage()
    await stage.tell(group_id, miners_target_w=2000.0, miner_wishes=((miner_id, Wish.PAUSED),))
    stage.later(10)
    paused = (await machines(stage, group_id))[0]
    others_w = [m.draw_w for m in (await machines(stage, group_id))[1:]]
    await stage.tell(group_id, miners_target_w=2000.0)
    stage.later(10)
    resumed = (await machines(stage, group_id))[0]

    assert (paused.wish, paused.condition) == (Wish.PAUSED, Condition.ASLEEP)
    assert others_w == [1020.0] * len(others_w)
    assert (resumed.wish, resumed.condition) == (Wish.INHERIT, Condition.RUNNING)
