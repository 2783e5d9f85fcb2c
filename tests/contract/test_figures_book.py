"""The series of figures: in memory and on every database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from scheduler.ports import FiguresBook
from scheduler.store.figures import SqlFigures
from tests.builders import T0
from tests.chain import KeptFigures, figures
from tests.stores import KINDS, database

H = timedelta(hours=1)


@pytest.fixture(params=["memory", *KINDS])
def book(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FiguresBook]:
    """Nothing is in it."""
    if request.param == "memory":
        yield KeptFigures()
        return
    with database(request.param, tmp_path) as engine:
        yield SqlFigures(engine)


def test_an_empty_book_knows_nothing(book: FiguresBook) -> None:
    """Of no time."""
    assert book.newest() is None
    assert book.figures_at(T0) is None


def test_figures_are_in_force_from_their_date_to_the_next(book: FiguresBook) -> None:
    """Whole, and whenever they were written down."""
    first, second = figures(), figures(as_of_at=T0 + 2 * H, height=925_012, stale_after_s=60.0)
    book.add(second, origin="desk", at=T0 + 3 * H)
    book.add(first, origin="node", at=T0 + 4 * H)

    assert book.newest() == second
    assert book.figures_at(T0 - H) is None
    assert book.figures_at(T0) == first
    assert book.figures_at(T0 + 2 * H - timedelta(microseconds=1)) == first
    assert book.figures_at(T0 + 2 * H) == second


def test_of_one_date_the_last_word_counts(book: FiguresBook) -> None:
    """A correction."""
    book.add(figures(), origin="desk", at=T0)
    book.add(figures(height=925_001), origin="desk", at=T0)

    assert book.newest() == book.figures_at(T0) == figures(height=925_001)


def test_the_largest_figures_fit(book: FiguresBook) -> None:
    """What is believed at most."""
    told = figures(btc_micro=10**18, difficulty=10**18, fees_sat=5 * 10**9)
    book.add(told, origin="desk", at=T0)

    assert book.newest() == told
