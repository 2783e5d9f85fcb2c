"""The simulator's forecast: it errs, as it was told to, and says honestly by how much it may."""

from __future__ import annotations

from dataclasses import replace
from math import pi, sin
from typing import Any

import pytest

from scheduler.core.envelope import Foreseen, lowest
from scheduler.core.foresight import planned
from scheduler.errors import TraceError
from scheduler.sim.clock import BEGAN_AT, us, us_of
from scheduler.sim.foresight import ISSUE_S, RUN_S, Forecaster
from scheduler.sim.maps import parse_error
from scheduler.sim.supply import Supply
from tests.simulated import AMPLE_W, SITE, job, power, simulated

HOUR_S = 3600.0
DAY_S = 86_400.0


def wave_w(at_us: int) -> float:
    """A limit that rises and falls over two days."""
    return 5000.0 + 4000.0 * sin(at_us / us(2 * DAY_S) * 2.0 * pi)


def of(seed: int, error: float = 0.3) -> Forecaster:
    """Who foresees it."""
    return Forecaster(wave_w, error=error, seed=seed)


def watts(foreseen: Foreseen) -> list[float]:
    """Of its quantiles."""
    return [q.limit_w for q in foreseen.quantiles]


def test_without_an_error_every_quantile_is_the_truth() -> None:
    """All day long; after that nothing is foreseen."""
    *steps, end = of(1, error=0.0).forecast(0)

    assert all(watts(f) == [wave_w(us_of(f.starts_at))] * 3 for f in steps)
    assert (end.quantiles, us_of(end.starts_at)) == ((), us(DAY_S + 1800.0))


def test_quantiles_spread_with_the_time_that_is_left() -> None:
    """Of now all is known."""
    steps = of(1).forecast(0)
    spread_w = [watts(f)[2] - watts(f)[0] for f in steps if f.quantiles]

    assert spread_w[0] == 0.0
    assert spread_w[1] < spread_w[12] < spread_w[24]
    assert all(watts(f) == sorted(watts(f)) for f in steps)


def test_the_truth_is_below_a_quantile_as_often_as_that_says() -> None:
    """Over many runs of the model, eight hours ahead where the wave is steep."""
    lead_s = 8 * HOUR_S
    below = [0, 0, 0]
    for seed in range(400):
        forecast = of(seed, error=0.2).forecast(us(DAY_S - lead_s))
        [told] = [f for f in forecast if us_of(f.starts_at) == us(DAY_S)]
        for i, limit_w in enumerate(watts(told)):
            below[i] += wave_w(us(DAY_S)) < limit_w

    assert [round(n / 400, 1) for n in below] == [0.1, 0.5, 0.9]


def test_the_same_seed_foresees_the_same() -> None:
    """Anew every quarter of an hour, from one run of the model to the next."""
    once, again = of(3), of(3)
    for at_s in (0.0, ISSUE_S, RUN_S + 7.0, ISSUE_S):
        assert once.forecast(us(at_s)) == again.forecast(us(at_s))
    assert once.forecast(0) == once.forecast(us(ISSUE_S) - 1) != once.forecast(us(ISSUE_S))
    assert of(3).forecast(0) != of(4).forecast(0)


def test_the_site_is_told_of_it_beside_the_limit() -> None:
    """Whenever it is made anew; the limit is as without it."""
    trace = power((0.0, 9000.0), (HOUR_S, 8200.0))
    told: dict[str, Any] = {"notice_s": 0.0, "reaction_s": 30.0, "source": "grid"}
    plain, foreseeing = Supply(trace, **told), Supply(trace, **told, forecast_error=0.0)
    now = us(1200.0)

    assert plain.envelope(now).forecast == ()
    assert plain.envelope(now).segments == foreseeing.envelope(now).segments
    assert set(foreseeing.news_us(us(HOUR_S))) == {0, us(900.0), us(1800.0), us(2700.0)}
    at = BEGAN_AT.replace(hour=1)
    envelopes = [foreseeing.envelope(now)]
    asked: dict[str, Any] = {"now": BEGAN_AT.replace(minute=20), "firm_w": 8200.0}
    assert lowest(envelopes, at, **asked).limit_w == 9000.0
    assert planned(envelopes, at, 0.5, **asked)[0].limit_w == 8200.0


def test_a_run_with_a_forecast_spares_a_start_that_would_not_pay_off() -> None:
    """Where nothing is announced and the fall is foreseen, in every run alike."""
    trace = power((0.0, AMPLE_W), (600.0, 8200.0), (HOUR_S, AMPLE_W))
    work = [job("a", gpus=16, flex=1, arrives_s=100.0)]
    foreseeing = replace(SITE, forecast_error=0.0)

    [blind] = simulated(work, trace).jobs
    [wise], [again] = (simulated(work, trace, site=foreseeing).jobs for _ in range(2))

    assert blind.started_s == pytest.approx(100.0, abs=1.0)
    assert blind.pauses > 0
    assert wise.started_s is not None
    assert HOUR_S <= wise.started_s < HOUR_S + 400.0  # its nodes were put to standby meanwhile
    assert (wise.pauses, wise) == (0, again)


@pytest.mark.parametrize("text", ["110%", "1.1", "much"])
def test_an_error_is_a_share(text: str) -> None:
    """Said in a sentence with the option."""
    with pytest.raises(TraceError, match="--forecast: "):
        parse_error(text, option="--forecast")
