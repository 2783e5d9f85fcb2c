"""Power samples: each second for an hour, their energy by the minute for good."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session
from sqlmodel import col

from scheduler.records import PowerSample
from scheduler.store.tables import SampleMinuteRow, SampleRow
from scheduler.store.upsert import sql_table, upsert
from scheduler.store.views import Energy

KEPT = timedelta(hours=1)
"""How long single seconds are kept."""
LONGEST_S = 10.0
"""A sample speaks for the time until the next, but never for longer: what nobody sampled is not made up."""


def record_sample(session: Session, sample: PowerSample) -> None:
    """Add a sample, and the energy since the one before it to that one's minute. A repeated sample adds nothing."""
    last = session.scalars(select(SampleRow).order_by(col(SampleRow.at).desc()).limit(1)).first()
    if last is not None and last.at < sample.at:
        covered_s = min(LONGEST_S, (sample.at - last.at).total_seconds())
        _add(session, _energy(last, covered_s, over_limit=sample.over_limit))
    upsert(session, SampleRow, [asdict(sample)])


def forget_old_samples(session: Session, *, at: datetime) -> None:
    """Drop the seconds that are older than an hour; their minutes stay."""
    session.execute(delete(SampleRow).where(col(SampleRow.at) < at - KEPT))


def total_energy(session: Session) -> Energy:
    """Everything since the store was made."""
    columns = sql_table(SampleMinuteRow).c
    of = ("covered_s", "over_limit_s", "limit_wh", "draw_wh", "ai_wh", "miners_wh", "rest_wh", "unused_wh")
    sums = session.execute(select(*(func.coalesce(func.sum(columns[name]), 0.0) for name in of))).one()
    covered_s, over_limit_s, offered, drawn, ai, miners, rest, unused = (float(value) for value in sums)
    return Energy(
        covered_s=covered_s,
        over_limit_s=over_limit_s,
        offered_wh=offered,
        drawn_wh=drawn,
        ai_wh=ai,
        miners_wh=miners,
        overhead_wh=rest,
        unused_wh=unused,
    )


def _energy(sample: SampleRow, covered_s: float, *, over_limit: bool) -> SampleMinuteRow:
    """What a sample's watts come to until the next one, which knows whether the limit was kept in between."""
    hours = covered_s / 3600.0
    return SampleMinuteRow(
        minute_at=sample.at.replace(second=0, microsecond=0),
        covered_s=covered_s,
        limit_wh=sample.limit_w * hours,
        draw_wh=sample.draw_w * hours,
        ai_wh=sample.ai_w * hours,
        rest_wh=sample.rest_w * hours,
        miners_wh=sample.miners_w * hours,
        committed_wh=sample.committed_w * hours,
        unused_wh=max(0.0, sample.limit_w - sample.draw_w) * hours,
        over_limit_s=covered_s if over_limit else 0.0,
    )


def _add(session: Session, more: SampleMinuteRow) -> None:
    known = session.get(SampleMinuteRow, more.minute_at)
    if known is None:
        session.add(more)
    else:
        for name in set(SampleMinuteRow.model_fields) - {"minute_at"}:
            setattr(known, name, getattr(known, name) + getattr(more, name))
    session.flush()
