"""When no flexible work may go on there is nobody to choose: what that saves is time, and nothing else."""

from __future__ import annotations

from unittest.mock import patch

from hypothesis import given, settings, strategies as st

from scheduler.core import shedding
from scheduler.core.decide import Decision, shed
from scheduler.core.plan import Plan
from scheduler.core.victims import victims
from tests.builders import SiteBuilder, site

works = st.lists(
    st.tuples(st.integers(1, 4), st.integers(0, 4), st.sampled_from((195.0, 250.0, 400.0))), max_size=4
)


def built_of(work: list[tuple[int, int, float]]) -> SiteBuilder:
    """Two nodes with work on them, so many GPUs each, of these tiers, under these caps."""
    built = site().node("a", gpus=8).node("b", gpus=8).miners().limit_w(20_000)
    for n, (gpus, flex, cap_w) in enumerate(work):
        built.passes(1).running(f"j{n}", "ab"[n % 2], gpus=gpus, flex=flex, cap_w=cap_w)
    return built


def held_w(work: list[tuple[int, int, float]]) -> float:
    """What both draw once all flexible work is held."""
    return 2 * (600 + 8 * 55.0) + sum(
        gpus * (cap_w - 55.0 if flex == 0 else 40.0) for gpus, flex, cap_w in work
    )


def told(decision: Decision | None) -> object:
    """All that is decided, in whatever order it is told."""
    if decision is None:
        return None
    return decision.attempts, decision.drafts, decision.planned_w, sorted(e.text for e in decision.events)


@given(work=works, is_settled=st.booleans(), above_w=st.floats(-200.0, 400.0))
@settings(max_examples=150, deadline=None)
def test_all_go_as_they_would_one_by_one(
    work: list[tuple[int, int, float]],
    is_settled: bool,
    above_w: float,
) -> None:
    """Around the limit at which the last of them goes, whether nodes have shown what they come down to or not."""
    built = built_of(work)
    snapshot = (built.settles() if is_settled else built).limit_w(held_w(work) + above_w).snapshot()

    at_once = shed(snapshot)
    with patch.object(shedding, "_takes_all", return_value=False):
        assert told(at_once) == told(shed(snapshot))


def test_they_are_told_in_turn_where_one_may_go_on_after_all() -> None:
    """On a node that counts as much whatever is planned: that is the first of the victims, not the first by id."""
    work = [(2, 4, 400.0), (2, 4, 400.0), (2, 4, 400.0)]
    built = built_of(work).limit_w(held_w(work))
    plan = Plan(built.snapshot())
    turns = [a.id for a, _ in victims(plan, plan.flexible())]

    with patch.object(Plan, "slack_w", return_value=1.0):
        going = shedding._suspend_surely(plan, held_w(work))

    assert [a.id for a in going] == turns
    assert turns != sorted(turns)
