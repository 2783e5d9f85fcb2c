"""Who gives way first when power is short, told by the order in which they are suspended."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from scheduler.core.jobs import PauseCause, Phase
from scheduler.core.plan import Plan
from scheduler.core.victims import victims
from tests.builders import T0, SiteBuilder, commit, site


def two(**site_policy: Any) -> SiteBuilder:
    """Two jobs that run, `a` and `b`, each on a node of its own: of equals `b` gives way first, it is the younger."""
    built = site(**site_policy).node("node-a").node("node-b").limit_w(9000)
    return built.running("a", "node-a").passes(0.001).running("b", "node-b")


def alter(built: SiteBuilder, name: str, *, job: dict[str, Any] | None = None, **attempt: Any) -> SiteBuilder:
    """What is known of a job and its attempt is otherwise."""
    built.jobs[name] = replace(built.jobs[name], **(job or {}))
    built.attempts[f"{name}.1"] = replace(built.attempts[f"{name}.1"], **attempt)
    return built


def order(built: SiteBuilder) -> list[str]:
    """Who gives way, the first one first."""
    plan = Plan(built.snapshot())
    return [a.job_id for a, _ in victims(plan, plan.running())]


def near(built: SiteBuilder) -> dict[str, Any]:
    """A job that cannot wait any longer."""
    return {"deadline_at": built.at + timedelta(seconds=600), "estimate_s": 590.0}


def test_of_equals_the_youngest_gives_way() -> None:
    """As it has the least to show for its work."""
    assert order(two()) == ["b", "a"]


def test_a_more_flexible_tier_gives_way_before_all_else_counts() -> None:
    """Even for one whose deadline is near."""
    built = site().node("node-a").node("node-b").limit_w(9000).running("tier-3", "node-a", flex=3)
    built.running("tier-4", "node-b", **near(built))

    assert order(built) == ["tier-4", "tier-3"]


def test_whose_deadline_is_near_gives_way_last_within_his_tier() -> None:
    """However young he is; one who has time is like anybody."""
    built = site().node("node-a").node("node-b").node("node-c").limit_w(9000).running("old", "node-a")
    built.running("urgent", "node-b", **near(built)).passes(0.001)
    built.running("calm", "node-c", deadline_at=built.at + timedelta(days=1), estimate_s=600.0)

    assert order(built) == ["calm", "old", "urgent"]
    assert built.limit_w(3800).does() == ["cap old at 200 W", "cap urgent at 200 W", "suspend calm"]


def test_who_gave_way_lately_lets_another_go_first() -> None:
    """In this attempt or in the one before; an hour later it is forgotten."""
    lately, long_ago = T0 - timedelta(minutes=59), T0 - timedelta(minutes=61)

    assert order(alter(two(), "b", cut_at=lately)) == ["a", "b"]
    assert order(alter(two(), "b", job={"cut_at": lately})) == ["a", "b"]
    assert order(alter(two(), "b", cut_at=long_ago)) == ["b", "a"]


def test_it_is_not_the_same_one_twice() -> None:
    """A second withdrawal soon after the first takes the other."""
    built = two().settles()
    assert built.limit_w(2600).does() == ["cap a at 255 W", "suspend b"]
    assert built.passes(5).limit_w(9000).does() == ["cap a at 400 W", "resume b at 400 W"]

    assert built.passes(60).limit_w(2600).does() == ["cap b at 255 W", "suspend a"]


def test_fairness_does_not_cost_many_times_as_much() -> None:
    """Who takes a minute to save stays, though the other gave way a moment ago."""
    built = alter(two(), "b", cut_at=T0)

    assert order(alter(built, "a", job={"save_s": 60.0})) == ["b", "a"]


def test_an_attempt_leaves_to_its_job_when_it_gave_way() -> None:
    """So that the next attempt is treated as fairly; a person who holds a job takes no power from it."""
    built = two(suspend_max_s=10.0).settles()
    built.limit_w(2600).settles()
    built.passes(11).settles()

    assert (built.jobs["b"].cut_at, built.jobs["a"].cut_at) == (T0 + timedelta(seconds=0.001), None)
    plan = Plan(built.snapshot())
    held = plan.stop(plan.attempts["a.1"], Phase.SAVE_EXIT, PauseCause.OPERATOR)
    assert held.cut_at is None


def test_a_long_restore_counts_as_it_was_measured() -> None:
    """From the start to the first step of one that resumed; a first start tells nothing of that."""
    slow: dict[str, Any] = {"created_at": T0 - timedelta(seconds=90), "running_at": T0}
    quick: dict[str, Any] = {
        "created_at": T0 - timedelta(seconds=99),
        "running_at": T0 - timedelta(seconds=98),
    }

    resumed = alter(alter(two(), "a", **quick), "b", resume_from=commit(5), **slow)
    assert order(resumed) == ["a", "b"]
    begun = alter(alter(two(), "a", **quick), "b", **slow)
    assert order(begun) == ["b", "a"]


def test_work_that_a_save_comes_too_late_for_is_lost_as_well() -> None:
    """Saving takes both 28 s, and a limit leaves 26.5: who saved more lately gives way first."""
    built = two().passes(100)
    for name, step in (("a", 60), ("b", 40)):
        alter(built, name, job={"save_s": 28.0, "last_commit": commit(step)}, last_step=100, resumed_step=0)

    assert order(built) == ["a", "b"]
    for name in "ab":
        alter(built, name, job={"save_s": 26.0})
    assert order(built) == ["b", "a"]


def test_where_steps_are_not_told_what_lies_between_two_checkpoints_is_at_risk() -> None:
    """Or the time that it has run, where that is less."""
    built = two().passes(100)
    alter(built, "a", job={"save_s": 28.0})
    alter(built, "b", job={"save_s": 28.0}, running_at=built.at - timedelta(seconds=1))

    assert order(built) == ["b", "a"]
    alter(built, "a", running_at=built.at)
    assert order(built) == ["a", "b"]
