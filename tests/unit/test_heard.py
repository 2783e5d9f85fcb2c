"""Since when an attempt does what it does: by its guard's word, whenever the loop looks."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from scheduler.core.decide import decide
from scheduler.core.orders import AttemptFacts, GuardReport, Observed
from scheduler.core.snapshot import Group
from scheduler.heard import as_heard
from tests.builders import T0, site
from tests.reports import quiet_report


def seen(observed: Observed, attempt_id: str = "j.1", *, step: int = 0) -> AttemptFacts:
    """An attempt as its guard sees it."""
    return AttemptFacts(attempt_id=attempt_id, observed=observed, step=step)


def told(group: Group, after_s: float, *facts: AttemptFacts) -> Group:
    """The group once its guard has told this."""
    report: GuardReport = replace(quiet_report(group.spec, draw_w=820.0), attempts=facts)
    return as_heard(group, report, after(after_s), cordoned=False)


def after(seconds: float) -> datetime:
    """An instant of the story."""
    return T0 + timedelta(seconds=seconds)


def test_since_when_it_runs_is_known_whatever_else_is_told_later() -> None:
    """Steps of its own, and the begin of another on the same node."""
    group = told(site().node().groups["node-1"], 10.0, seen(Observed.STARTING))
    group = told(group, 20.0, seen(Observed.RUNNING))
    group = told(group, 30.0, seen(Observed.RUNNING, step=7))
    group = told(group, 40.0, seen(Observed.STARTING, "k.1"), seen(Observed.RUNNING, step=9))

    assert group.told_at("j.1") == after(20.0)
    assert group.told_at("k.1") == after(40.0)
    assert group.told_at("l.1") is None


def test_what_it_did_before_does_not_count_when_it_does_it_again() -> None:
    """It was held in between."""
    group = told(site().node().groups["node-1"], 10.0, seen(Observed.RUNNING))
    group = told(group, 20.0, seen(Observed.SUSPENDED))

    assert told(group, 30.0, seen(Observed.RUNNING)).told_at("j.1") == after(30.0)


def test_an_attempt_has_run_since_it_was_told_and_not_since_a_later_look() -> None:
    """Its node told of its steps in between."""
    built = site().node().limit_w(9000).running("j", "node-1")
    attempt = replace(built.attempts["j.1"], running_at=None)
    built.attempts["j.1"] = attempt
    group = told(built.groups["node-1"], 10.0, seen(Observed.RUNNING))
    built.groups["node-1"] = told(group, 30.0, seen(Observed.RUNNING, step=7))
    built.at = after(60.0)

    assert decide(built.snapshot()).attempts["j.1"].running_at == after(10.0)
