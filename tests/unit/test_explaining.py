"""Sentences about placed jobs: kept while they are true, and no longer."""

from __future__ import annotations

from dataclasses import replace

from scheduler.core.explaining import Explainer
from scheduler.core.jobs import JobState, PauseCause, Phase
from scheduler.core.plan import Plan, limit_now
from scheduler.core.power import PowerLimits
from scheduler.core.reasons import Code, Reason
from tests.builders import SiteBuilder, site


class Asked:
    """An explainer that is asked round after round, beside a new one."""

    def __init__(self, built: SiteBuilder) -> None:
        self.built, self.plan, self.explainer = built, Plan(built.snapshot()), Explainer()

    def reasons(self) -> dict[str, Reason]:
        """Why each placed job is as it is now."""
        snapshot = self.built.snapshot()
        self.plan.follow(snapshot)
        limit = limit_now(snapshot)
        found = self.explainer.of_placed(self.plan, snapshot, limit, {})
        assert found == Explainer().of_placed(Plan(snapshot), snapshot, limit, {})
        return found


def capped() -> Asked:
    """A job at 300 W and one without a cap."""
    built = site().node("a").limit_w(3000)
    return Asked(built.running("j", "a", gpus=2, cap_w=300.0).running("k", "a", gpus=2))


def test_only_who_is_capped_is_told_so() -> None:
    """In the same words as long as nothing changes."""
    asked = capped()
    first = asked.reasons()

    assert first.keys() == {"j"}
    assert first["j"].code is Code.CAPPED
    assert asked.reasons()["j"] is first["j"]


def test_another_cap_or_another_limit_is_another_sentence() -> None:
    """And none once the cap is gone."""
    asked = capped()
    asked.reasons()
    asked.built.attempts["j.1"] = replace(asked.built.attempts["j.1"], cap_w=250.0)
    assert "runs at 250 of 400 W" in asked.reasons()["j"].text

    asked.built.limit_w(2500)
    assert "2.5 kW" in asked.reasons()["j"].text

    asked.built.attempts["j.1"] = replace(asked.built.attempts["j.1"], cap_w=400.0)
    assert asked.reasons() == {}


def test_other_gpus_are_another_sentence() -> None:
    """Though the attempt is the same: its node says now that its GPUs are others."""
    asked = capped()
    asked.reasons()
    asked.built.node("a", limits=PowerLimits(min_w=120.0, max_w=350.0, idle_w=40.0))

    assert "runs at 300 of 350 W" in asked.reasons()["j"].text


def test_who_is_suspended_is_told_by_whom_and_until_when() -> None:
    """Not that he is capped."""
    asked = capped()
    held = replace(asked.built.attempts["j.1"], phase=Phase.SUSPEND, pause_cause=PauseCause.POWER_WITHDRAWN)
    asked.built.attempts["j.1"] = held
    asked.built.jobs["j"] = replace(asked.built.jobs["j"], state=JobState.SUSPENDED)

    assert asked.reasons()["j"].text.startswith("suspended since 12:00:00 UTC")
