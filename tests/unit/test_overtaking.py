"""A job of half the site or more: passed while there is no help for it, and by nobody once others can make room."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from scheduler.core.jobs import Phase
from scheduler.core.overtaking import has_passed
from scheduler.core.plan import Plan
from tests.builders import SiteBuilder, commit, site


def two_nodes(**policy: Any) -> SiteBuilder:
    """Two nodes of four GPUs, and power for all of them."""
    built = site(firm_w=90_000.0, patience_s=300.0, min_run_s=900.0, **policy)
    return built.node("a").node("b").limit_w(90_000)


def ran(built: SiteBuilder, name: str, on: str, seconds: float = 1200.0, **spec: Any) -> SiteBuilder:
    """A job of one GPU that has run for so long, and saved meanwhile unless told otherwise."""
    saved = spec.pop("last_commit", commit(5))
    built.running(name, on, last_commit=saved, **{"gpus": 1, **spec})
    attempt = built.attempts[f"{name}.1"]
    built.attempts[f"{name}.1"] = replace(attempt, running_at=built.at - timedelta(seconds=seconds))
    return built


def starved(**small: Any) -> SiteBuilder:
    """A gang of all GPUs that has waited, one small job that came later and runs, and another that waits."""
    built = two_nodes().job("gang", gpus=4, nodes=2)
    return ran(built, "small", "a", **small).job("later", gpus=1).passes(301.0)


def test_who_passed_it_makes_room_and_nobody_passes_it_meanwhile() -> None:
    """Then it starts, and who made room resumes when it can."""
    built = starved()

    assert built.decided(obeyed=False).reasons["later"].text.startswith("gang is ahead")
    built = starved()
    assert built.does() == ["save small"]
    assert built.does() == ["end small: PREEMPTED", "start gang on a+b at 400 W"]
    assert built.does() == []


@pytest.mark.parametrize("small", [{"last_commit": None}, {"seconds": 300.0}, {"flex": 2}], ids=str)
def test_while_nobody_can_be_asked_it_is_passed(small: dict[str, Any]) -> None:
    """Who never saved, began a moment ago or may not be paused stays; GPUs that stand idle help nobody."""
    assert starved(**small).does() == ["start later on a at 400 W"]


def test_who_came_before_it_is_waited_for() -> None:
    """It was there first."""
    built = ran(two_nodes(), "small", "a").job("gang", gpus=4, nodes=2).job("later", gpus=1).passes(301.0)

    assert built.does() == ["start later on a at 400 W"]


def test_one_that_waits_for_a_moment_is_passed() -> None:
    """Somebody may be done at any time."""
    built = ran(two_nodes().job("gang", gpus=4, nodes=2), "small", "a").job("later", gpus=1)

    assert built.does() == ["start later on a at 400 W"]


def test_one_of_which_most_gpus_are_taken_is_passed() -> None:
    """Too many would have to leave for it."""
    built = two_nodes().job("gang", gpus=4, nodes=2)
    ran(ran(built, "x", "a", gpus=4), "y", "b").job("later", gpus=1).passes(301.0)

    assert built.does() == ["start later on b at 400 W"]


def test_one_that_needs_less_than_half_the_site_is_passed() -> None:
    """It finds its GPUs sooner or later."""
    built = site(firm_w=90_000.0, patience_s=300.0).limit_w(90_000)
    for name in "abc":
        built.node(name)
    built.job("gang", gpus=4)
    for name in "abc":
        ran(built, f"on-{name}", name)

    assert "start later on a at 400 W" in built.job("later", gpus=1).passes(301.0).does()


def test_one_for_which_there_are_no_watts_is_passed() -> None:
    """Room alone would not let it start."""
    built = starved().limit_w(2 * 820.0 + 700.0)

    assert "save small" not in built.does()


def test_who_waits_for_any_gpus_is_made_room_for_too() -> None:
    """Though it needs no whole nodes."""
    built = two_nodes().job("gang", gpus=8, scatter=True)
    ran(built, "small", "a").job("later", gpus=1).passes(301.0)

    assert built.does() == ["save small"]


@pytest.mark.parametrize(
    "gang, small, passed",
    [
        ({}, {}, True),
        ({"priority": 1}, {}, False),
        ({}, {"priority": 1}, False),
        ({"ran_s": 20 * 3600.0}, {}, False),
        ({"ran_s": 20 * 3600.0}, {"ran_s": 80 * 3600.0}, True),
    ],
    ids=str,
)
def test_who_has_passed_whom(gang: dict[str, Any], small: dict[str, Any], *, passed: bool) -> None:
    """An equal that came later, unless it goes first because it had little service."""
    built = two_nodes(little_service_gpu_h=4.0)
    asks = [{k: v for k, v in spec.items() if k != "ran_s"} for spec in (gang, small)]
    ran(built.job("gang", gpus=4, nodes=2, **asks[0]), "small", "a", **asks[1])
    for name, spec in (("gang", gang), ("small", small)):
        built.jobs[name] = replace(built.jobs[name], ran_s=spec.get("ran_s", 0.0))
    plan = Plan(built.snapshot())

    assert has_passed(plan, plan.attempts["small.1"], plan.jobs["gang"]) is passed


def test_who_is_held_is_not_asked() -> None:
    """It would lose its place for nothing: it leaves by itself if it is held for long."""
    built = starved()
    found = built.attempts["small.1"]
    built.attempts["small.1"] = replace(found, phase=Phase.SUSPEND)

    assert "save small" not in built.does()
