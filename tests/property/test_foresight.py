"""Whatever is foreseen: no limit is another, nobody is cut or kept for it, and nothing starts that would not fit."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings, strategies as st

from scheduler.core.decide import Decision, decide, shed
from scheduler.core.envelope import Foreseen, Quantile, lowest
from scheduler.core.hindsight import filled
from scheduler.core.jobs import Phase
from scheduler.core.plan import limit_now, usable_w
from scheduler.core.snapshot import Snapshot
from tests.builders import T0
from tests.told_site import ToldSite

WATTS = st.sampled_from([0.0, 1500.0, 3000.0, 4500.0, 6000.0, 9000.0, 20_000.0])
TIMES_S = st.sampled_from([-30.0, 0.0, 1.0, 5.0, 60.0, 600.0, 7200.0])
QUANTILES = st.dictionaries(st.sampled_from([0.05, 0.1, 0.25, 0.5, 0.9]), WATTS, max_size=4)
FORECASTS = st.dictionaries(TIMES_S, QUANTILES, max_size=5)
Forecast = dict[float, dict[float, float]]


def foreseen(told: Forecast) -> tuple[Foreseen, ...]:
    """As a source would give it."""
    return tuple(
        Foreseen(
            starts_at=T0 + timedelta(seconds=in_s),
            quantiles=tuple(
                Quantile(share=share, limit_w=limit_w)
                for share, limit_w in zip(sorted(quantiles), sorted(quantiles.values()), strict=True)
            ),
        )
        for in_s, quantiles in sorted(told.items())
    )


@st.composite
def worlds(draw: st.DrawFn) -> Snapshot:
    """Some run, some wait, under a limit that may have fallen, may be about to, or of which nobody hears any more."""
    built = (
        ToldSite(firm_w=4000.0, min_run_s=0.0).node("a", gpus=4).node("b", gpus=4).miners("m", max_w=2000.0)
    )
    built.limit_w(9000.0)
    for name, node in draw(st.sets(st.sampled_from([("r1", "a"), ("r2", "b")]))):
        built.running(name, node, gpus=draw(st.integers(1, 4)), flex=draw(st.integers(0, 4)))
    for number in range(draw(st.integers(0, 3))):
        built.job(f"w{number}", gpus=draw(st.integers(1, 4)), flex=draw(st.integers(0, 4)))
    built.limit_w(draw(st.sampled_from([2500.0, 4000.0, 6000.0, 9000.0])))
    if draw(st.booleans()):
        built.falls_to_w(
            draw(st.sampled_from([0.0, 3000.0, 9000.0])), in_s=draw(st.sampled_from([2.0, 20.0]))
        )
    snapshot = built.snapshot()
    stale_after_s = draw(st.sampled_from([None, None, -1.0]))
    return with_(snapshot, stale_after_s=stale_after_s)


def with_(snapshot: Snapshot, **changes: object) -> Snapshot:
    """With another word of the source."""
    envelopes = tuple(replace(e, **changes) for e in snapshot.envelopes)  # type: ignore[arg-type]
    return replace(snapshot, envelopes=envelopes)


def stays(decision: Decision, snapshot: Snapshot) -> dict[str, Phase]:
    """Who has been placed, and what he is told to do from now on."""
    return {k: decision.attempts.get(k, a).phase for k, a in snapshot.attempts.items()}


@given(snapshot=worlds(), told=FORECASTS)
@settings(max_examples=150, deadline=None)
def test_what_must_be_now_does_not_follow_from_a_forecast(snapshot: Snapshot, told: Forecast) -> None:
    """The limit in force, and every reduction, to the last order."""
    knowing = with_(snapshot, forecast=foreseen(told))
    site = snapshot.site

    for seconds in (0, 10, 3600):
        at = snapshot.at + timedelta(seconds=seconds)
        limits = [lowest(s.envelopes, at, now=s.at, firm_w=site.firm_w) for s in (snapshot, knowing)]
        assert limits[0] == limits[1]
    reductions = [shed(s) for s in (snapshot, knowing)]
    asked = [
        None if r is None else replace(r, wake_at=None) for r in reductions
    ]  # when to look again may differ
    assert asked[0] == asked[1]


@given(snapshot=worlds(), told=FORECASTS)
@settings(max_examples=150, deadline=None)
def test_a_forecast_touches_nobody_who_is_placed(snapshot: Snapshot, told: Forecast) -> None:
    """And what it lets start fits under the limit that is published."""
    knowing = with_(snapshot, forecast=foreseen(told))
    plain, wise = decide(snapshot), decide(knowing)

    assert stays(wise, snapshot) == stays(plain, snapshot)
    assert (wise.limit, wise.cut_work) == (plain.limit, plain.cut_work)
    started = wise.attempts.keys() - snapshot.attempts.keys()
    assert not started or wise.planned_w <= usable_w(knowing, limit_now(knowing)) + 1e-6


@given(snapshot=worlds(), quantiles=st.lists(st.sampled_from([0.05, 0.1, 0.5]), min_size=1, unique=True))
@settings(max_examples=60, deadline=None)
def test_a_forecast_of_plenty_changes_nothing(snapshot: Snapshot, quantiles: list[float]) -> None:
    """But for when to look again: nothing is held back, and nothing starts that would not without it."""
    plenty = foreseen({0.0: dict.fromkeys(quantiles, 1e6), 7200.0: {}})
    plain, wise = decide(snapshot), decide(with_(snapshot, forecast=plenty))

    assert replace(wise, wake_at=None) == replace(plain, wake_at=None)


@given(snapshot=worlds(), told=FORECASTS)
@settings(max_examples=100, deadline=None)
def test_what_history_tells_frees_no_watt(snapshot: Snapshot, told: Forecast) -> None:
    """The limit in force, every reduction, who is placed: as without it. What starts fits under what is published."""
    knowing = replace(snapshot, envelopes=filled(snapshot.envelopes, foreseen(told)))
    firm_w = snapshot.site.firm_w
    for seconds in (0, 10, 3600):
        at = snapshot.at + timedelta(seconds=seconds)
        limits = [lowest(s.envelopes, at, now=s.at, firm_w=firm_w) for s in (snapshot, knowing)]
        assert limits[0] == limits[1]
    reductions = [shed(s) for s in (snapshot, knowing)]
    asked = [None if r is None else replace(r, wake_at=None) for r in reductions]
    assert asked[0] == asked[1]
    plain, wise = decide(snapshot), decide(knowing)

    assert stays(wise, snapshot) == stays(plain, snapshot)
    assert (wise.limit, wise.cut_work) == (plain.limit, plain.cut_work)
    started = wise.attempts.keys() - snapshot.attempts.keys()
    assert not started or wise.planned_w <= usable_w(snapshot, limit_now(snapshot)) + 1e-6


@given(snapshot=worlds())
@settings(max_examples=40, deadline=None)
def test_a_forecast_of_nothing_is_none(snapshot: Snapshot) -> None:
    """As if it were not there."""
    assert decide(with_(snapshot, forecast=foreseen({-5.0: {}}))) == decide(snapshot)
