"""A forecast is only ever a rate: bounded, the same whoever works it out when, and no watt follows from it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings, strategies as st

from scheduler.core.decide import decide
from scheduler.core.envelope import Envelope, Segment
from scheduler.core.forecast import LimitRecord, counted, loss_rate_per_s, noted
from tests.builders import launch
from tests.told_site import ToldSite

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
FIRM_W = 1000.0
STEPS = st.lists(
    st.tuples(st.floats(1.0, 20_000.0), st.sampled_from([0.0, 500.0, 1000.0, 2500.0, 9000.0])),
    min_size=1,
    max_size=12,
)


def recorded(steps: list[tuple[float, float]]) -> LimitRecord:
    """The record of limits that came so many seconds one after another, each without a word before."""
    at, record = BEGAN, None
    for seconds, limit_w in [(0.0, 9000.0), *steps]:
        at += timedelta(seconds=seconds)
        segment = Segment(starts_at=at, limit_w=limit_w)
        told = Envelope(source="g", issued_at=at, read_at=at, reaction_s=30.0, segments=(segment,))
        record = noted(record, (told,), at=at, firm_w=FIRM_W)
    assert record is not None
    return record


@given(steps=STEPS, later_s=st.floats(0.0, 1e5), ahead_s=st.floats(0.0, 600.0))
@settings(max_examples=80, deadline=None)
def test_rates_are_positive_and_finite(
    steps: list[tuple[float, float]], later_s: float, ahead_s: float
) -> None:
    """At any moment, after any past: never more than all losses fifty times over in what was seen."""
    record = recorded(steps)
    record = counted(record, record.at + timedelta(seconds=later_s), firm_w=FIRM_W)
    rate = loss_rate_per_s(record, record.at + timedelta(seconds=ahead_s), firm_w=FIRM_W)
    falls = sum(1 for _, limit_w in steps if limit_w < FIRM_W)

    assert 0.0 < rate <= (falls + 1) * 50.0 / 60_480.0


@given(steps=STEPS, cut_s=st.floats(1.0, 50_000.0), more_s=st.floats(1.0, 50_000.0))
@settings(max_examples=60, deadline=None)
def test_it_does_not_matter_when_time_is_counted(
    steps: list[tuple[float, float]], cut_s: float, more_s: float
) -> None:
    """In one go or in two, but for what half a day fades."""
    record = recorded(steps)
    cut_at = record.at + timedelta(seconds=cut_s)
    end = cut_at + timedelta(seconds=more_s)
    whole = counted(record, end, firm_w=FIRM_W)
    parts = counted(counted(record, cut_at, firm_w=FIRM_W), end, firm_w=FIRM_W)

    assert abs(sum(whole.losses[0]) - sum(parts.losses[0])) < 1e-9
    assert abs(sum(whole.lit_s[0]) - sum(parts.lit_s[0])) <= 0.02 * sum(whole.lit_s[0])


@given(steps=STEPS, limit_w=st.sampled_from([500.0, 3000.0, 6000.0]))
@settings(max_examples=40, deadline=None)
def test_no_watt_follows_from_a_forecast(steps: list[tuple[float, float]], limit_w: float) -> None:
    """With any past, the same jobs run under the same caps as with none: only the tempo of their saves differs."""
    built = ToldSite(firm_w=FIRM_W, min_run_s=0.0).node("n", gpus=8).miners("m", max_w=2000.0)
    built.limit_w(9000.0)
    free = launch(checkpoint_auto=True, checkpoint_interval_s=600.0)
    built.running("a", "n", gpus=4, launch=free).job("b", gpus=2, launch=free)
    built.limit_w(limit_w)
    snapshot = built.snapshot()
    plain, knowing = decide(replace(snapshot, record=None)), decide(replace(snapshot, record=recorded(steps)))

    assert knowing.attempts == plain.attempts
    assert knowing.miners_w == plain.miners_w
    assert knowing.limit == plain.limit
    for gid, draft in plain.drafts.items():
        told = knowing.drafts[gid]
        assert (told.entitlement_w, told.fallback) == (draft.entitlement_w, draft.fallback)
        assert tuple(replace(a, save_every_s=None) for a in told.attempts) == draft.attempts
