"""What holds of revenue and of the ranking by it, whatever the figures are."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import given, strategies as st

from scheduler.connections.messages import Refused
from scheduler.core.chain_news import absurd
from scheduler.core.hashprice import revenue_micro_per_mwh
from scheduler.core.modes import AiBlock, AiFirst, DivisionCode, Revenue, Surplus, divide
from scheduler.core.partners import HashpriceShare, Partner
from scheduler.core.revenue import earning, efficiency, priced
from scheduler.figures.keeping import FiguresKeeping
from scheduler.figures.reading import figures_of, look_into
from scheduler.revenue_settings import FileSource
from tests.builders import T0, site
from tests.chain import KeptFigures, figures, mines
from tests.fakes import FakeClock

JOULES = st.floats(5.0, 200.0)
PRICES = st.integers(1, 10**13)
DIFFICULTIES = st.integers(10**12, 10**17)


@given(PRICES, PRICES, DIFFICULTIES, DIFFICULTIES, JOULES, JOULES)
def test_revenue_rises_with_the_price_and_falls_with_difficulty_and_joule_per_th(
    btc: int, other_btc: int, difficulty: int, other_difficulty: int, joules: float, other_joules: float
) -> None:
    """Each by itself."""
    told = figures(btc_micro=min(btc, other_btc), difficulty=max(difficulty, other_difficulty))
    dearer = replace(told, btc_micro=max(btc, other_btc))
    easier = replace(told, difficulty=min(difficulty, other_difficulty))
    worse, better = max(joules, other_joules), min(joules, other_joules)
    base = revenue_micro_per_mwh(told.hashprice_micro, worse)

    assert base <= revenue_micro_per_mwh(dearer.hashprice_micro, worse)
    assert base <= revenue_micro_per_mwh(easier.hashprice_micro, worse)
    assert base <= revenue_micro_per_mwh(told.hashprice_micro, better)


@given(st.lists(st.tuples(st.floats(0, 5000), st.none() | st.just(0.0) | JOULES), max_size=6))
def test_a_fleet_is_as_good_as_its_best_and_worst(machines: list[tuple[float, float | None]]) -> None:
    """In between, and no machine that nobody measured moves it."""
    found = efficiency(machines)
    known = [j for _, j in machines if j]

    assert 0.0 <= found.known_share <= 1.0 + 1e-9
    if found.joule_per_th is not None:
        assert min(known) * (1 - 1e-9) <= found.joule_per_th <= max(known) * (1 + 1e-9)


@given(
    st.floats(-1e6, 1e6),
    st.floats(60.0, 1e6),
    JOULES,
    st.integers(0, 10_000),
    st.integers(0, 10**9),
    st.integers(0, 20_000),
)
def test_stale_figures_rank_nobody(
    age_s: float, stale_after_s: float, joules: float, ai_w: int, value: int, room_w: int
) -> None:
    """Too old, or of a time to come: the division is that of AI first, and says so."""
    chain = figures(as_of_at=T0 - timedelta(seconds=age_s), stale_after_s=stale_after_s)
    groups = mines(site().miners("a"), "a", joules).groups
    partners = priced((Partner(partner_id="a", groups=("a",), follows=HashpriceShare()),), groups, chain)
    ai = (AiBlock(watts=ai_w, micro_per_mwh=value),)
    surplus = Surplus(room_w=room_w, ai=ai, partners=partners, available_w={"a": 4000.0}, at=T0)

    made, plain = divide(Revenue(), surplus), divide(AiFirst(), surplus)
    assert (made.reasons[0].code == DivisionCode.NOT_RANKED) == chain.is_stale(T0)
    assert (earning(joules, chain, T0).micro_per_mwh is None) == chain.is_stale(T0)
    if chain.is_stale(T0):
        assert (made.ai_w, made.partners_w) == (plain.ai_w, plain.partners_w)


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["1e9", "-0", "٣"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
FIELDS = ("btc", "difficulty", "height", "fees_btc", "as_of_at")
GOOD = {
    "btc": 91000,
    "difficulty": 152e12,
    "height": 925_000,
    "fees_btc": 0.03,
    "as_of_at": "2026-01-10T12:00:00Z",
}
DESK = FileSource(type="file", name="desk", path=Path("f.json"))


@given(st.dictionaries(st.sampled_from(FIELDS), JUNK, max_size=3))
def test_whatever_a_document_holds_is_read_or_refused(junk: dict[str, Any]) -> None:
    """And nothing else happens: no device or desk can break the asking."""
    with suppress(Refused):
        told = figures_of(look_into(GOOD | junk), DESK, by="desk", at=T0, stale_after_s=60.0)
        assert told.btc_micro > 0
        assert absurd(told, T0) != ""


STEPS = st.tuples(
    st.integers(-3600, 7200),
    st.integers(-300, 3000),
    st.floats(0.01, 100.0),
    st.floats(0.05, 20.0),
    st.booleans(),
)


@given(st.lists(STEPS, max_size=12))
def test_a_series_only_goes_forward_whatever_is_told(
    steps: list[tuple[int, int, float, float, bool]],
) -> None:
    """In date and height; the difficulty never jumps by more than the protocol allows."""
    book, clock = KeptFigures(), FakeClock()
    keeping = FiguresKeeping((), book, clock, take=lambda _: None, tell=lambda _: None)
    for after_s, blocks, price, difficulty, by_node in steps:
        known = book.newest() or figures()
        clock.now_ms += 3_600_000
        told = figures(
            as_of_at=known.as_of_at + timedelta(seconds=after_s),
            height=known.height + blocks,
            btc_micro=round(known.btc_micro * price),
            difficulty=round(known.difficulty * difficulty),
        )
        with suppress(Refused):
            keeping._taken("node" if by_node else "desk", told, clock.now())

    kept = [f for f, _ in book.told]
    for before, then in pairwise(kept):
        assert before.as_of_at <= then.as_of_at
        assert before.height <= then.height
        retargets = max(1, then.height // 2016 - before.height // 2016)
        assert max(before.difficulty, then.difficulty) <= 4**retargets * min(
            before.difficulty, then.difficulty
        )
