"""What figures of the chain can be, alone and after others."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from scheduler.core.chain_news import absurd, implausible
from tests.builders import T0
from tests.chain import figures

LATER = T0 + timedelta(hours=1)


def test_figures_of_now_are_taken_first_and_after_others() -> None:
    """A block later, with another price."""
    told = figures(as_of_at=LATER, height=925_006, btc_micro=92_000_000_000)

    assert absurd(told, LATER) is None
    assert implausible(told, None) is None
    assert implausible(told, figures()) is None


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"btc_micro": 10**19}, "btc_micro = 1000"),
        ({"difficulty": 10**19}, "no hash rate"),
        ({"fees_sat": 10**11}, "mean fees of one block"),
        ({"height": 9_250_000}, "height = 9250000: by 2026"),
        ({"height": 92_500}, "correct the height"),
        ({"as_of_at": T0 + timedelta(minutes=5)}, "300 s ahead of the clock"),
    ],
)
def test_what_cannot_be_is_named_with_its_remedy(changes: dict[str, Any], words: str) -> None:
    """Whatever is known."""
    complaint = absurd(figures(**changes), T0)

    assert complaint is not None
    assert words in complaint


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"height": 924_999}, "heights do not go backwards"),
        ({"difficulty": 609_000_000_000_000}, "a factor of 4 at most in each 2016 blocks"),
        ({"difficulty": 37_000_000_000_000}, "it was 152000000000000 at height 925000"),
        ({"height": 927_020, "difficulty": 609_000_000_000_000}, "correct difficulty or height"),
        ({"btc_micro": 911_000_000_000}, "check the price and its currency"),
        ({"btc_micro": 9_000_000_000}, "check the price and its currency"),
        ({"as_of_at": T0 - timedelta(seconds=1)}, "the series only goes forward"),
    ],
)
def test_what_cannot_follow_is_named_with_what_is_known(changes: dict[str, Any], words: str) -> None:
    """A difficulty of more than four times in one retarget, a chain that shrinks, a price with a digit too many."""
    complaint = implausible(figures(**({"as_of_at": LATER} | changes)), figures())

    assert complaint is not None
    assert words in complaint


def test_two_retargets_allow_the_square_of_the_factor() -> None:
    """Also when sources were silent for a month."""
    told = figures(as_of_at=LATER, height=925_000 + 2 * 2016, difficulty=15 * 152_000_000_000_000)

    assert implausible(told, figures()) is None


def test_after_figures_that_are_stale_any_price_is_believed() -> None:
    """Nobody looked for long."""
    long_after = T0 + timedelta(days=30)

    assert implausible(figures(as_of_at=long_after, btc_micro=9_000_000_000), figures()) is None
