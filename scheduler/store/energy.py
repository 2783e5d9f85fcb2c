"""Power samples: each second for an hour, their energy by minutes for 90 days, by quarters of an hour for ever."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session
from sqlmodel import col

from scheduler.core.accounting import LONGEST_S, Tally, minutes_of, parts_of, quality_seconds
from scheduler.core.grants import Grant
from scheduler.core.snapshot import Quality
from scheduler.records import PowerSample
from scheduler.store.quarters import SampleQuarterRow, add_to_quarter, note_minute
from scheduler.store.tables import SampleMinuteRow, SampleRow
from scheduler.store.upsert import sql_table, upsert
from scheduler.store.views import Energy
from scheduler.wire import dumps, loads

KEPT = timedelta(hours=1)
"""How long single seconds are kept."""
MINUTES_KEPT = timedelta(days=90)


def record_sample(session: Session, sample: PowerSample) -> None:
    """Add a sample, and the energy since the one before to minutes and quarters. A repeated sample adds nothing.

    A late one adds nothing either, but one of a clock that was ahead, and went back since, makes no other one late.
    """
    at, ahead_at = col(SampleRow.at), sample.at + timedelta(seconds=LONGEST_S)
    last = session.scalars(select(SampleRow).where(at <= ahead_at).order_by(at.desc()).limit(1)).first()
    if last is not None and last.at < sample.at:
        covered_s = min(LONGEST_S, (sample.at - last.at).total_seconds())
        for minute_at, seconds in minutes_of(last.at, covered_s):
            grant = loads(Grant, last.allowed) if last.allowed is not None else None
            minute = _energy(last, minute_at, seconds, over_limit=sample.over_limit)
            add_to_quarter(session, minute_at, _tally(minute, last, grant), grant)
            _add(session, minute)
    upsert(session, SampleRow, [_values(sample)])


def sample_of(row: SampleRow) -> PowerSample:
    """A sample as it was recorded."""
    values = row.model_dump(exclude={"quality", "allowed"})
    return PowerSample(
        **values,
        quality=Quality(row.quality) if row.quality is not None else None,
        allowed=loads(Grant, row.allowed) if row.allowed is not None else None,
    )


def forget_old_samples(session: Session, *, at: datetime) -> None:
    """Drop the seconds that are older than an hour, and minutes older than 90 days; their quarters stay.

    And seconds that are over an hour ahead: the clock went back, and nobody takes them for the newest.
    """
    when = col(SampleRow.at)
    session.execute(delete(SampleRow).where((when < at - KEPT) | (when > at + KEPT)))
    session.execute(delete(SampleMinuteRow).where(col(SampleMinuteRow.minute_at) < at - MINUTES_KEPT))


def total_energy(session: Session) -> Energy:
    """Everything since the store was made."""
    columns = sql_table(SampleQuarterRow).c
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


def _values(sample: PowerSample) -> dict[str, object]:
    """The columns of a row."""
    allowed = dumps(sample.allowed).decode() if sample.allowed is not None else None
    return asdict(replace(sample, allowed=None)) | {"allowed": allowed}


def _tally(energy: SampleMinuteRow, sample: SampleRow, grant: Grant | None) -> Tally:
    """The same energy by class, and its seconds by the quality of the reading."""
    seconds = energy.covered_s
    quality = Quality(sample.quality) if sample.quality is not None else None
    tally = Tally(
        covered_s=seconds,
        over_limit_s=energy.over_limit_s,
        limit_wh=energy.limit_wh,
        draw_wh=energy.draw_wh,
        ai_wh=energy.ai_wh,
        rest_wh=energy.rest_wh,
        miners_wh=energy.miners_wh,
        unused_wh=energy.unused_wh,
        **quality_seconds(quality, seconds),
    )
    if grant is None:
        return replace(tally, unclassed_wh=energy.draw_wh)
    hours = seconds / 3600.0
    parts = parts_of(sample.draw_w, limit_w=grant.limit_w, firm_w=sample.firm_w)
    return replace(
        tally,
        firm_wh=parts.firm_w * hours,
        granted_wh=parts.granted_w * hours,
        breach_wh=parts.breach_w * hours,
    )


def _energy(sample: SampleRow, minute_at: datetime, covered_s: float, *, over_limit: bool) -> SampleMinuteRow:
    """What a sample's watts come to until the next one, which knows whether the limit was kept in between."""
    hours = covered_s / 3600.0
    return SampleMinuteRow(
        minute_at=minute_at,
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
        _close_minute_before(session, more.minute_at)
        session.add(more)
    else:
        for name in set(SampleMinuteRow.model_fields) - {"minute_at"}:
            setattr(known, name, getattr(known, name) + getattr(more, name))
    session.flush()


def _close_minute_before(session: Session, minute_at: datetime) -> None:
    """The newest minute before a new one gets no more energy."""
    at = col(SampleMinuteRow.minute_at)
    before = select(SampleMinuteRow).where(at < minute_at).order_by(at.desc()).limit(1)
    last = session.scalars(before).first()
    if last is not None:
        note_minute(session, last)
