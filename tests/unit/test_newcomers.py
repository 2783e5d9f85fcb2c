"""Of which newcomers nothing would follow: those that would wait behind their like."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from scheduler.core.decide import PowerAware
from scheduler.core.jobs import Job
from scheduler.core.orders import Draft, NodePower
from scheduler.core.projects import Project
from tests.builders import T0, SiteBuilder, site


def newcomer(**spec: Any) -> Job:
    """One that asks for two GPUs unless told otherwise."""
    return site().job("new", **({"gpus": 2, "min_cap_w": 195.0} | spec)).jobs["new"]


def decided(built: SiteBuilder) -> PowerAware:
    """A policy that has just decided on it."""
    policy = PowerAware()
    policy.decide(built.snapshot())
    return policy


def without_watts(**policy: Any) -> SiteBuilder:
    """Free GPUs, no watts for any, and a job that waits for two."""
    return site(**policy).node().limit_w(1000).job("first", gpus=2, min_cap_w=195.0)


@pytest.fixture
def dark() -> SiteBuilder:
    """One of them."""
    return without_watts()


def test_one_behind_its_like_would_wait(dark: SiteBuilder) -> None:
    """As many as there may be of them."""
    assert decided(dark).would_wait(newcomer())


@pytest.mark.parametrize(
    "spec",
    [
        {"gpus": 1},
        {"priority": 1},
        {"priority": -1},
        {"deadline_at": T0 + timedelta(hours=1)},
        {"flex": 3},
        {"begin_at": T0 + timedelta(hours=1)},
    ],
)
def test_one_that_asks_for_anything_else_is_looked_at(dark: SiteBuilder, spec: dict[str, Any]) -> None:
    """For it may start, or stand in another's way."""
    assert not decided(dark).would_wait(newcomer(**spec))


def full() -> SiteBuilder:
    """Ample watts, no GPU free, and a job that waits for two."""
    built = site().node(gpus=4).limit_w(9000).running("other", "node-1")
    return built.job("first", gpus=2, min_cap_w=195.0)


def test_one_behind_who_lacks_gpus_would_wait() -> None:
    """Nothing was found for that one."""
    assert decided(full()).would_wait(newcomer())


def test_one_is_looked_at_while_a_node_is_woken_for_who_lacks_gpus() -> None:
    """For two it may be two nodes."""
    resting = full().node("node-2", gpus=2, standby_w=20.0).node("node-3", gpus=2, standby_w=20.0)
    for name in ("node-2", "node-3"):
        resting.groups[name] = replace(resting.groups[name], power=NodePower.STANDBY)

    assert not decided(resting).would_wait(newcomer())


def test_one_is_looked_at_after_a_node_that_was_going_down_is_kept_on() -> None:
    """Who lacks GPUs has them at the next look, which its word that it took the order is awaited for."""
    going = full().node("node-2", gpus=4, standby_w=20.0)
    down = Draft(
        group_id="node-2",
        entitlement_w=20.0,
        fallback=(),
        attempts=(),
        miners_target_w=0.0,
        expires_at=T0,
        standby=True,
    )
    going.groups["node-2"] = replace(going.groups["node-2"], ordered=down)
    policy = PowerAware()

    assert policy.decide(going.snapshot()).awaits_word
    assert not policy.would_wait(newcomer())


def test_one_is_looked_at_where_projects_have_quotas() -> None:
    """One more of a lender's jobs may call in one more borrower."""
    shared = without_watts(projects=(Project(name="a", nominal_gpus=1),))

    assert not decided(shared).would_wait(newcomer())


def test_nothing_is_foreseen_before_the_first_decision(dark: SiteBuilder) -> None:
    """Nor once watts were shed since."""
    assert not PowerAware().would_wait(newcomer())

    policy = decided(dark)
    policy.shed(dark.snapshot())
    assert not policy.would_wait(newcomer())
