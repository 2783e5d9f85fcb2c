"""Stories of what hashing brings, checked against published figures."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from scheduler.core.hashprice import SATOSHI, ChainFigures, revenue_micro_per_mwh, subsidy_sat

_AT = datetime(2025, 11, 20, 12, tzinfo=UTC)
_FIGURES = ChainFigures(
    btc_micro=91_000_000_000,
    difficulty=152 * 10**12,
    height=924_000,
    fees_sat=3_000_000,
    source="published index",
    as_of_at=_AT,
)


def test_the_hashprice_is_that_of_a_published_index() -> None:
    """Late in 2025 an index said 38.2 for about these rounded figures."""
    assert 37.8e6 < _FIGURES.hashprice_micro < 38.4e6


def test_an_efficient_machine_brings_more_per_mwh() -> None:
    """At a hashprice of 38.2 an S21 of 17.5 J/TH brings 91 per MWh, an S19j Pro of 29.5 brings 54."""
    assert revenue_micro_per_mwh(38_200_000, 17.5) // 10**5 == 909
    assert revenue_micro_per_mwh(38_200_000, 29.5) // 10**5 == 539


def test_the_pool_keeps_its_fee() -> None:
    """Two percent of the revenue are the pool's."""
    assert revenue_micro_per_mwh(50_000_000, 25.0, pool_fee_ppm=20_000) == 81_666_666


def test_the_subsidy_halves_by_height_and_ends() -> None:
    """50, then 25, ..., 3.125 since 840,000; after 33 halvings there is none."""
    heights = (0, 209_999, 210_000, 840_000, 1_050_000, 33 * 210_000, 10**9)
    assert [subsidy_sat(h) for h in heights] == [
        50 * SATOSHI,
        50 * SATOSHI,
        25 * SATOSHI,
        312_500_000,
        156_250_000,
        0,
        0,
    ]


@pytest.mark.parametrize(
    "change, said",
    [
        ({"difficulty": 0}, "difficulty = 0"),
        ({"btc_micro": 0}, "btc_micro = 0"),
        ({"fees_sat": -1}, "fees_sat = -1"),
        ({"as_of_at": datetime(2025, 1, 1)}, "no time zone"),  # noqa: DTZ001 - that is the fault
        ({"stale_after_s": 0.0}, "stale_after_s = 0"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_nonsense_is_named(change: dict[str, object], said: str) -> None:
    """Each refusal names the field."""
    with pytest.raises(ValueError, match=said):
        replace(_FIGURES, **change)  # type: ignore[arg-type]


def test_figures_are_stale_when_old_or_from_the_future() -> None:
    """A day counts by default; a clock may be a minute apart."""
    later = (timedelta(hours=23), timedelta(hours=25), timedelta(seconds=-30), timedelta(seconds=-90))
    assert [_FIGURES.is_stale(_AT + d) for d in later] == [False, True, False, True]


def test_an_unknown_efficiency_brings_no_figure() -> None:
    """Nobody divides by a guess."""
    with pytest.raises(ValueError, match="not known"):
        revenue_micro_per_mwh(38_000_000, 0.0)
