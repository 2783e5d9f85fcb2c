"""What no site and no queue may make of a range."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings, strategies as st

from scheduler.core.envelope import Envelope
from scheduler.core.outlook import Outlook
from scheduler.core.snapshot import Snapshot
from tests.builders import T0, SiteBuilder, site

NEVER = T0 + timedelta(days=9999)
LIMITS_S = st.none() | st.integers(1, 5).map(lambda n: n * 600.0)


@st.composite
def worlds(draw: st.DrawFn) -> Snapshot:
    """Nodes, some of them busy, a limit with steps, and a queue of a few shapes."""
    built = site().limit_w(draw(st.integers(1000, 9000)))
    for n in range(draw(st.integers(1, 3))):
        built.node(f"node-{n}", gpus=4)
        if draw(st.booleans()):
            gpus = draw(st.integers(1, 4))
            built.running(f"r{n}", f"node-{n}", gpus=gpus, time_limit_s=draw(LIMITS_S))
    for n in range(draw(st.integers(0, 3))):
        built.falls_to_w(draw(st.integers(500, 9000)), in_s=(n + 1) * 500.0)
    for n in range(draw(st.integers(1, 8))):
        _job(draw, built, n)
    return built.snapshot()


def _job(draw: st.DrawFn, built: SiteBuilder, number: int) -> None:
    wanted: dict[str, Any] = {
        "gpus": draw(st.sampled_from([1, 2, 4])),
        "nodes": draw(st.sampled_from([1, 1, 2])),
    }
    wanted |= {"priority": draw(st.integers(0, 2)), "time_limit_s": draw(LIMITS_S)}
    built.job(f"w{number}", **wanted)


def when(at: datetime | None) -> datetime:
    """Not known is later than all that is."""
    return NEVER if at is None else at


@given(worlds())
@settings(max_examples=150)
def test_nobody_ahead_of_its_own_shape_has_a_later_early_end(snapshot: Snapshot) -> None:
    """And the late end is never before the early one; positions are 1 to the number of those who queue."""
    outlook = Outlook(snapshot)
    known = {k: p for k in snapshot.jobs if (p := outlook.of(k)) is not None and p.position is not None}
    by_shape: dict[tuple[int, int], list[datetime]] = {}
    order = sorted(known, key=lambda k: known[k].position or 0)
    for job_id in order:
        start, spec = known[job_id].start, snapshot.jobs[job_id].spec
        by_shape.setdefault((spec.gpus, spec.nodes), []).append(when(start.earliest_at))
        assert when(start.earliest_at) <= when(start.latest_at)
    assert all(times == sorted(times) for times in by_shape.values())
    assert [known[k].position for k in order] == list(range(1, len(known) + 1))


@given(worlds(), st.integers(0, 5000))
@settings(max_examples=150)
def test_more_power_makes_nobody_later(snapshot: Snapshot, more_w: int) -> None:
    """Neither end of any range."""
    raised = replace(snapshot, envelopes=tuple(_raised(e, more_w) for e in snapshot.envelopes))
    before, now = Outlook(snapshot), Outlook(raised)
    for job_id in snapshot.jobs:
        old, new = before.of(job_id), now.of(job_id)
        assert (old is None) == (new is None)
        if old is not None and new is not None:
            assert when(new.start.earliest_at) <= when(old.start.earliest_at)
            assert when(new.start.latest_at) <= when(old.start.latest_at)


def _raised(envelope: Envelope, more_w: int) -> Envelope:
    return replace(
        envelope, segments=tuple(replace(s, limit_w=s.limit_w + more_w) for s in envelope.segments)
    )
