"""The series of figures that revenue is reckoned from: added to by sources and people, and never changed.

Of figures of one date, those that were told last are in force: so a person corrects what a source told.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session
from sqlmodel import col

from scheduler.core.chain_news import absurd, implausible
from scheduler.core.hashprice import ChainFigures
from scheduler.core.reasons import Event
from scheduler.store import chain
from scheduler.store.cursors import cursor_of, number_of
from scheduler.store.database import reading, writing
from scheduler.store.figures_table import ChainFiguresRow
from scheduler.store.refusals import FiguresRefused
from scheduler.store.wishes import take_numbers

MAX_PAGE = 1000
OPERATOR = "operator"
"""Origin of what people tell."""
_FIGURES = ("btc_micro", "difficulty", "height", "fees_sat", "source", "as_of_at", "stale_after_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFigures:
    """Figures as they were written down."""

    number: int
    figures: ChainFigures
    origin: str  #: name of the source, or "operator"
    by: str  #: the person; empty = no person
    told_at: datetime
    corrects: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FiguresPage:
    """Some of the series, the newest first. `next` is where to go on, None at the end."""

    kept: tuple[KeptFigures, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FiguresSpan:
    """Which of the series: of dates from `since_at` on, and before `until_at`."""

    since_at: datetime | None = None
    until_at: datetime | None = None


EVER = FiguresSpan()


class SqlFigures:
    """The `FiguresBook` port on the database. May be used by several threads and processes at once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def newest(self) -> ChainFigures | None:
        """Those of the latest date; of one date, those that were told last."""
        with reading(self._engine) as session:
            return _figures(newest(session))

    def figures_at(self, at: datetime) -> ChainFigures | None:
        """What was in force at `at`: the newest of no later date. Whether they were stale then, they say themselves."""
        with reading(self._engine) as session:
            return figures_at(session, at)

    def add(self, told: ChainFigures, *, origin: str, at: datetime) -> None:
        """Write down what a source told."""
        with writing(self._engine) as session:
            session.add(_row(told, origin=origin, at=at))


def newest(session: Session) -> KeptFigures | None:
    """Those of the latest date; of one date, those that were told last."""
    return _first_of(session, None)


def figures_at(session: Session, at: datetime) -> ChainFigures | None:
    """What was in force at `at`: the newest of no later date."""
    return _figures(_first_of(session, at))


def page(session: Session, span: FiguresSpan, *, limit: int, after: str | None) -> FiguresPage:
    """A page of the series, what was told last first. `after` is the `next` of the page before."""
    size, number = max(1, min(limit, MAX_PAGE)), col(ChainFiguresRow.number)
    query = select(ChainFiguresRow).order_by(number.desc()).limit(size + 1)
    if span.since_at is not None:
        query = query.where(col(ChainFiguresRow.as_of_at) >= span.since_at)
    if span.until_at is not None:
        query = query.where(col(ChainFiguresRow.as_of_at) < span.until_at)
    if after is not None:
        query = query.where(number < number_of(after))
    kept = [_kept(row) for row in session.scalars(query)]
    shown = tuple(kept[:size])
    return FiguresPage(kept=shown, next=cursor_of(shown[-1].number) if len(kept) > size else None)


def tell(
    session: Session, site: str, told: ChainFigures, *, by: str, at: datetime, corrects: bool
) -> KeptFigures:
    """Take in what a person tells, on the record. Raises `FiguresRefused` for what cannot be.

    With `corrects` they need not follow from those that are known: for when those were wrong.
    """
    take_numbers(session, site, 0)
    known = _figures(newest(session))
    if complaint := absurd(told, at) or (None if corrects else implausible(told, known)):
        raise FiguresRefused(complaint)
    row = _row(told, origin=OPERATOR, at=at)
    row.by, row.corrects = by, corrects
    session.add(row)
    session.flush()
    chain.note(session, _deed(told, by=by, at=at, corrects=corrects))
    return _kept(row)


def _first_of(session: Session, until: datetime | None) -> KeptFigures | None:
    at, number = col(ChainFiguresRow.as_of_at), col(ChainFiguresRow.number)
    query = select(ChainFiguresRow).order_by(at.desc(), number.desc()).limit(1)
    row = session.scalars(query if until is None else query.where(at <= until)).first()
    return None if row is None else _kept(row)


def _figures(kept: KeptFigures | None) -> ChainFigures | None:
    return None if kept is None else kept.figures


def _row(told: ChainFigures, *, origin: str, at: datetime) -> ChainFiguresRow:
    return ChainFiguresRow(told_at=at, origin=origin, **{name: getattr(told, name) for name in _FIGURES})


def _kept(row: ChainFiguresRow) -> KeptFigures:
    return KeptFigures(
        number=row.number or 0,
        figures=ChainFigures(**{name: getattr(row, name) for name in _FIGURES}),
        origin=row.origin,
        by=row.by,
        told_at=row.told_at,
        corrects=row.corrects,
    )


def _deed(told: ChainFigures, *, by: str, at: datetime, corrects: bool) -> Event:
    verb = "corrected" if corrects else "told"
    text = (
        f"{by} {verb} what mining brings: a bitcoin at {told.btc_micro / 1e6:,.2f}, difficulty {told.difficulty}, "
        f"height {told.height}, fees {told.fees_sat / 1e8:g} BTC a block, as of "
        f"{told.as_of_at:%Y-%m-%d %H:%M} UTC, by {told.source}"
    )
    data: dict[str, str | int | bool] = {"by": by, "source": told.source}
    data |= {"btc_micro": told.btc_micro, "difficulty": told.difficulty}
    data |= {"height": told.height, "fees_sat": told.fees_sat, "corrects": corrects}
    return Event(at=at, kind="figures.set", text=text, data=data)
