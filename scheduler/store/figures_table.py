"""The table of what revenue is reckoned from. Conventions as in `tables`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, Text
from sqlmodel import Field

from scheduler.store.columns import BIG, UtcDateTime
from scheduler.store.tables import Table


class ChainFiguresRow(Table, table=True):
    """Figures of the chain, on whose word and since when. Rows are added, and never changed."""

    __tablename__ = "chain_figures"
    __table_args__ = (Index("ix_chain_figures_as_of_at_number", "as_of_at", "number"),)
    number: int | None = Field(default=None, primary_key=True, sa_type=BIG)
    as_of_at: datetime = Field(sa_type=UtcDateTime)
    told_at: datetime = Field(sa_type=UtcDateTime)
    origin: str  #: name of the source, or "operator"
    by: str = ""  #: the person; empty = no person
    btc_micro: int = Field(sa_type=BIG)
    difficulty: int = Field(sa_type=BIG)
    height: int = Field(sa_type=BIG)
    fees_sat: int = Field(sa_type=BIG)
    source: str = Field(sa_type=Text)
    stale_after_s: float
    corrects: bool = False  #: a person said so although they do not follow from those before
