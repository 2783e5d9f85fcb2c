"""What givers are told of the site: from what was decided to watts and one word."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from scheduler.core.decide import PowerAware
from scheduler.core.envelope import Envelope, Segment
from scheduler.core.estop import EmergencyStop
from scheduler.core.site_state import (
    FORECAST_S,
    MOST_STEPS,
    Operating,
    SiteState,
    Standing,
    expected_w,
    forecast,
    site_state,
)
from tests.builders import T0, SiteBuilder, site

BREAKS = {"grid": Standing(limit_w=1000.0, keeps=False)}


def told(built: SiteBuilder, standings: dict[str, Standing] | None = None, **changed: object) -> SiteState:
    """The state right after a decision."""
    policy, snapshot = PowerAware(), replace(built.snapshot(), **changed)  # type: ignore[arg-type]
    return site_state(snapshot, policy.decide(snapshot), policy.offer(), standings or {})


def test_a_site_with_nothing_to_do_is_normal() -> None:
    """And what it is made of is known, however little of it runs."""
    state = told(site().node(gpus=4).limit_w(4200))
    assert (state.state, state.wanted_w, state.draw_w) == (Operating.NORMAL, 0.0, None)
    assert state.limit_source == "grid"
    assert state.nameplate_w > 4 * 400


def test_work_that_has_what_it_wants_runs_as_it_should() -> None:
    """Miners, too; what could go is told with it."""
    state = told(site().node(gpus=4).miners().limit_w(9000).running("j", "node-1").settles())
    assert state.state is Operating.RUNNING_NORMAL
    assert [c.within_s for c in state.changes] == [5.0, 30.0, 300.0]
    assert state.changes[0].down_w > 0
    assert state.least_w == state.planned_w - state.changes[-1].down_w


def test_work_that_waits_for_power_makes_a_curtailed_site() -> None:
    """With something running or without; it wants what it lacks, and miners would make way."""
    idle = told(site().node(gpus=4).limit_w(1000).job("j", gpus=4))
    busy = site().node("a", gpus=4).node("b", gpus=4).limit_w(2400).running("i", "a").settles()
    some = told(busy.job("j", gpus=4))
    assert idle.state is Operating.IDLE_CURTAILED
    assert some.state is Operating.RUNNING_CURTAILED
    assert min(idle.wanted_w, some.wanted_w) > 0


def test_a_stopped_site_is_in_error() -> None:
    """Whatever runs on it, and whatever waits."""
    stop = EmergencyStop(id="s", reason="smoke", by="asma", at=T0)
    assert told(site().node(gpus=4).limit_w(4200).job("j"), stops=(stop,)).state is Operating.ERROR


def test_nodes_are_named_in_a_breach_alone() -> None:
    """The most flexible first; what is firm is no hint."""
    built = site().node("a", gpus=4).node("b", gpus=4).node("c", gpus=4).limit_w(9000)
    built.running("x", "a", flex=1).running("y", "b", flex=4).running("z", "c", flex=0).settles()
    assert told(built).hints == ()
    hints = told(built, BREAKS).hints
    assert [(h.node_id, h.tier) for h in hints] == [("b", 4), ("a", 1)]
    assert all(h.rests_w < h.draw_w for h in hints)


def limit(*steps: tuple[float, float]) -> Envelope:
    """A limit in steps: hours from now, watts."""
    segments = tuple(Segment(starts_at=T0 + timedelta(hours=h), limit_w=w) for h, w in steps)
    return Envelope(source="grid", issued_at=T0, read_at=T0, reaction_s=30.0, segments=segments)


def test_the_forecast_is_what_runs_as_far_as_the_limit_lets_it() -> None:
    """A limit that rises starts nothing that is known; what makes no difference is no step."""
    steps, until = forecast(
        [limit((0, 5000), (1, 3000), (2, 2000), (3, 9000), (4, 8000))], 2500, at=T0, firm_w=0
    )
    hour = timedelta(hours=1)
    assert list(steps) == [(T0, 2500), (T0 + 2 * hour, 2000), (T0 + 3 * hour, 2500)]
    assert until == T0 + timedelta(seconds=FORECAST_S)


def test_of_very_many_steps_the_first_are_foreseen() -> None:
    """And nothing is said of what comes after them."""
    many = limit(*((n / 60, 1000 + n % 2) for n in range(MOST_STEPS * 2)))
    steps, until = forecast([many], 5000, at=T0, firm_w=0)
    assert len(steps) == MOST_STEPS
    assert until == T0 + timedelta(minutes=MOST_STEPS)


@pytest.mark.parametrize(
    "begin_h, end_h, watts", [(0, 1, 4500), (0.5, 1.5, 3750), (1, 3, 3000), (23.5, 24.5, None)]
)
def test_an_interval_is_expected_at_its_mean(begin_h: float, end_h: float, watts: float | None) -> None:
    """None where the forecast does not reach over all of it."""
    state = replace(
        told(site().limit_w(1)),
        forecast=((T0, 4500.0), (T0 + timedelta(hours=1), 3000.0)),
        forecast_until=T0 + timedelta(hours=24),
    )
    assert expected_w(state, T0 + timedelta(hours=begin_h), T0 + timedelta(hours=end_h)) == watts
