"""The tables of power events. Conventions as in `tables`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import LargeBinary, Text
from sqlmodel import Field

from scheduler.store.columns import BIG, UtcDateTime
from scheduler.store.tables import Table


class PowerEventRow(Table, table=True):
    """One fall of the limit below what the site drew or was entitled to: the core's `PowerEvent`, flattened."""

    __tablename__ = "power_events"
    began_at: datetime = Field(primary_key=True, sa_type=UtcDateTime)
    number: int = Field(unique=True, sa_type=BIG)  #: by which people call it
    source: str
    provenance: str = Field(sa_type=Text)
    reaction_s: float
    before_w: float
    limit_w: float
    draw_w: float
    entitled_w: float
    complied_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    released_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    baseline_w: float | None = None
    baseline_s: float = 0.0
    baseline_since_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    plan_sha256: str = ""
    covered_s: float = 0.0
    draw_wh: float = 0.0
    limit_wh: float = 0.0
    commanded_wh: float = 0.0
    unused_wh: float = 0.0
    held_covered_s: float = 0.0
    held_draw_wh: float = 0.0
    held_limit_wh: float = 0.0
    held_commanded_wh: float = 0.0
    held_unused_wh: float = 0.0
    least_w: float | None = None
    most_w: float | None = None
    over_limit_s: float = 0.0
    unmetered_s: float = 0.0
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    after_s: float = 0.0
    after_peak_w: float | None = None
    is_final: bool = Field(default=False, index=True)


class CounterfactualRow(Table, table=True):
    """What the site would have drawn without a fall of the limit. Never changes: the log holds its hash."""

    __tablename__ = "counterfactuals"
    sha256: str = Field(primary_key=True)
    seq: int | None = Field(default=None, sa_type=BIG)  #: of the line in the log
    made_at: datetime = Field(sa_type=UtcDateTime)
    falls_at: datetime = Field(sa_type=UtcDateTime)
    plan: bytes = Field(sa_type=LargeBinary)  #: canonical JSON, zlib-compressed
