"""A dry run is the decision itself, and leaves no trace."""

from __future__ import annotations

from typing import Any

from scheduler.core.jobs import JobSpec, JobState
from scheduler.core.reasons import Code
from scheduler.core.rehearsal import Rehearsal, Verdict, rehearse
from tests.builders import SiteBuilder, launch, site


def rehearsed(built: SiteBuilder, **spec: Any) -> Rehearsal:
    """What would become of a job."""
    return rehearse(built.snapshot(), JobSpec(name="new", launch=launch(), **spec))


def test_what_fits_would_start_now_where_and_how_the_decision_says() -> None:
    """The same nodes, GPUs and cap as when it is submitted."""
    built = site().node(gpus=4).limit_w(5000)

    found = rehearsed(built, gpus=4)

    assert found.verdict is Verdict.STARTS_NOW
    assert found.attempt is not None
    assert built.job("j", gpus=4).does() == [f"start j on node-1 at {found.attempt.cap_w:.0f} W"]


def test_what_does_not_fit_would_wait_with_reason_position_and_range() -> None:
    """It is the last submitted one."""
    built = site().node(gpus=4).limit_w(5000).running("j", "node-1", time_limit_s=60.0).job("a", gpus=4)

    found = rehearsed(built, gpus=2)

    assert found.verdict is Verdict.WAITS
    assert found.reason is not None
    assert found.reason.code == Code.WAITING_FOR_RESOURCES
    assert found.prospect is not None
    assert (found.prospect.position, found.prospect.ahead_gpus) == (2, 4)


def test_priority_passes_those_who_wait() -> None:
    """Who would start without it and waits with it is named."""
    built = site().node(gpus=4).limit_w(5000).job("a", gpus=4)

    found = rehearsed(built, gpus=2, priority=9)

    assert found.verdict is Verdict.STARTS_NOW
    assert [e.text for e in found.effects] == ["a would start now without it, and waits with it"]


def test_who_would_be_capped_is_told() -> None:
    """Watts come from those who run above their knee."""
    built = site().node(gpus=8).limit_w(2900).running("j", "node-1").settles()

    found = rehearsed(built, gpus=2)

    assert found.effects
    assert all(e.job_id == "j" and "capped at" in e.text for e in found.effects)


def test_what_can_never_fit_is_no_wait() -> None:
    """A verdict of its own."""
    found = rehearsed(site().node(gpus=4).limit_w(5000), gpus=8)

    assert found.verdict is Verdict.NEVER_FITS
    assert found.reason is not None


def test_a_dependency_that_succeeded_is_none() -> None:
    """Its state comes from the store: the snapshot knows only what others wait for."""
    snapshot = site().node(gpus=4).limit_w(5000).snapshot()
    spec = JobSpec(name="new", launch=launch(), gpus=1, dependencies=("s-1",))

    assert rehearse(snapshot, spec).verdict is Verdict.WAITS
    assert rehearse(snapshot, spec, settled={"s-1": JobState.SUCCEEDED}).verdict is Verdict.STARTS_NOW
