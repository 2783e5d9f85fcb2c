"""What decisions make of an emergency stop: all falls, nothing rises, and everybody is told why."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from scheduler.core.decide import decide, shed
from scheduler.core.estop import SOURCE, EmergencyStop, envelope_of
from scheduler.core.jobs import Phase
from scheduler.core.snapshot import Snapshot
from tests.builders import SiteBuilder, actions, obey, site

AT = datetime(2026, 1, 10, 11, 59, 58, tzinfo=UTC)
STOP = EmergencyStop(id="s1", reason="smoke in hall 2", by="ada", at=AT)


def busy() -> SiteBuilder:
    """Two jobs that run, one of them firm; one that waits; miners at work. Power for all."""
    world = site(firm_w=4000.0).node(gpus=6).miners(max_w=1000.0).limit_w(9000)
    world.running("flex", "node-1", gpus=2).running("firm", "node-1", gpus=2, flex=0).job("next", gpus=2)
    world.groups["miners"] = replace(world.groups["miners"], miners_target_w=800.0)
    return world


def stopped(snapshot: Snapshot) -> Snapshot:
    """The same site under the stop, as the view shows it."""
    limit = envelope_of(STOP, firm_w=snapshot.site.firm_w, reaction_s=30.0)
    return replace(snapshot, stops=(STOP,), envelopes=(limit, *snapshot.envelopes))


def test_everything_falls_and_nothing_rises() -> None:
    """Miners rest and flexible work is held; firm work is not touched, and what waits goes on waiting."""
    snapshot = stopped(busy().snapshot())

    decision = decide(snapshot)

    assert actions(snapshot, decision) == ["mine 0 W on miners", "suspend flex"]
    assert (decision.limit.source, decision.limit.limit_w) == (SOURCE, 4000.0)


def test_the_fast_path_needs_no_record() -> None:
    """`shed` does the same, before anything is written down, and is silent once it is done."""
    world = busy()
    reduction = shed(stopped(world.snapshot()))
    assert reduction is not None
    assert actions(world.snapshot(), reduction) == ["mine 0 W on miners", "suspend flex"]

    world.apply(reduction)
    assert shed(stopped(world.snapshot())) is None


def test_held_work_saves_as_after_a_lost_lease() -> None:
    """After `save_after_s` it saves and gives its GPUs back."""
    world = busy()
    world.apply(decide(stopped(world.snapshot())))
    world.passes(world.site.save_after_s)
    snapshot = stopped(world.snapshot())

    assert actions(snapshot, decide(snapshot)) == ["save flex"]
    assert "flex told to save and release its GPUs: emergency stop" in [
        e.text for e in decide(snapshot).events
    ]


@pytest.mark.parametrize("name", ["flex", "next"])
def test_everybody_is_told_why(name: str) -> None:
    """What is held and what waits name the person, the time and the reason."""
    world = busy()
    world.apply(decide(stopped(world.snapshot())))
    obey(world, "node-1")

    reason = decide(stopped(world.snapshot())).reasons[name]

    assert reason.code == "EmergencyStop"
    assert reason.text == "Emergency stop by ada since 2026-01-10 11:59:58 UTC: smoke in hall 2"
    assert "barq estop release" in reason.remedy


def test_work_goes_on_by_itself_after_the_release() -> None:
    """What was held resumes, what waited starts, miners mine."""
    world = busy()
    world.apply(decide(stopped(world.snapshot())))
    assert world.attempts["flex.1"].phase is Phase.SUSPEND

    done = world.passes(1.0).does()

    assert "start next on node-1 at 400 W" in done
    assert "resume flex at 400 W" in done


def test_every_order_carries_the_stop_and_the_release() -> None:
    """A guard that missed it latches; one that holds a released one is told so by its name, others are told nothing."""
    world = busy()
    old = replace(STOP, id="s0")
    world.groups["node-1"] = replace(world.groups["node-1"], stop=old)
    snapshot = replace(stopped(world.snapshot()), released_stops=("s0",))

    drafts = decide(snapshot).drafts

    assert {d.stop for d in drafts.values()} == {STOP}
    assert (drafts["node-1"].released_stop, drafts["miners"].released_stop) == ("s0", "")


def test_a_stop_that_is_not_known_as_released_is_never_released() -> None:
    """Whatever the view forgot."""
    world = busy()
    world.groups["node-1"] = replace(world.groups["node-1"], stop=STOP)

    assert decide(world.snapshot()).drafts["node-1"].released_stop == ""
