"""Power events: one row for each fall of the limit, and the plan of what would have been drawn without it."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session
from sqlmodel import col

from scheduler.core.compliance import Fall
from scheduler.core.counterfactual import Counterfactual
from scheduler.core.power_events import PowerEvent, Span
from scheduler.core.reasons import Event
from scheduler.store import chain
from scheduler.store.cursors import cursor_of, number_of
from scheduler.store.event_tables import CounterfactualRow, PowerEventRow
from scheduler.store.refusals import PowerEventNotFound
from scheduler.store.upsert import upsert
from scheduler.store.views import PlanProof, PowerEventPage, PowerEventView
from scheduler.witness import BASELINE

MAX_PAGE = 1000
_FALL = (
    "began_at",
    "before_w",
    "limit_w",
    "draw_w",
    "entitled_w",
    "reaction_s",
    "complied_at",
    "released_at",
)
_SPAN = ("covered_s", "draw_wh", "limit_wh", "commanded_wh", "unused_wh")
_PLAIN = (
    "source",
    "provenance",
    "baseline_w",
    "baseline_s",
    "baseline_since_at",
    "plan_sha256",
    "least_w",
    "most_w",
    "over_limit_s",
    "unmetered_s",
    "ended_at",
    "after_s",
    "after_peak_w",
    "is_final",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which power events: begun from `since_at` on, and before `until_at`."""

    since_at: datetime | None = None
    until_at: datetime | None = None


def record_plans(session: Session, plans: Iterable[Counterfactual], logged: Mapping[int, Event]) -> None:
    """Store plans with the number of the line in the log that holds their hash. One that is there stays as it is."""
    seqs = {e.data["plan_sha256"]: seq for seq, e in logged.items() if e.kind == BASELINE}
    rows = [
        {
            "sha256": plan.sha256,
            "seq": seqs.get(plan.sha256),
            "made_at": plan.made_at,
            "falls_at": plan.falls_at,
            "plan": zlib.compress(plan.text.encode()),
        }
        for plan in plans
    ]
    upsert(session, CounterfactualRow, rows, keep={"seq", "made_at", "falls_at", "plan"})


def record_events(session: Session, events: Sequence[PowerEvent]) -> None:
    """Write events as they are now; a new one gets the next number. The caller holds the leader's row."""
    if not events:
        return
    theirs = col(PowerEventRow.began_at).in_([e.began_at for e in events])
    known = set(session.scalars(select(col(PowerEventRow.began_at)).where(theirs)))
    number = session.scalar(select(func.max(col(PowerEventRow.number)))) or 0
    rows = []
    for event in sorted(events, key=lambda e: e.began_at):
        number += event.began_at not in known
        rows.append({"number": number, **_values(event)})
    upsert(session, PowerEventRow, rows, keep={"number"})


def open_events(session: Session) -> tuple[PowerEvent, ...]:
    """Those that are not final, oldest first: a new leader goes on with them."""
    going_on = select(PowerEventRow).where(col(PowerEventRow.is_final).is_(False))
    return tuple(_event(row) for row in session.scalars(going_on.order_by(col(PowerEventRow.began_at))))


def list_events(session: Session, which: EventFilter, *, limit: int, after: str | None) -> PowerEventPage:
    """A page of events, newest first. `after` is the `next` of the page before. Raises `InvalidField`."""
    size = max(1, min(limit, MAX_PAGE))
    query = _filtered(which).order_by(col(PowerEventRow.number).desc()).limit(size + 1)
    if after is not None:
        query = query.where(col(PowerEventRow.number) < number_of(after))
    rows = list(session.scalars(query))
    shown = rows[:size]
    more = len(rows) > size
    seqs = _seqs(session, {row.plan_sha256 for row in shown})
    return PowerEventPage(
        events=tuple(_view(row, seqs) for row in shown), next=cursor_of(shown[-1].number) if more else None
    )


def get_event(session: Session, number: int) -> tuple[PowerEventView, PlanProof | None]:
    """One event, and the plan of what would have been drawn without it. Raises `PowerEventNotFound`."""
    row = session.scalars(select(PowerEventRow).where(col(PowerEventRow.number) == number)).first()
    if row is None:
        raise PowerEventNotFound(number)
    plan = session.get(CounterfactualRow, row.plan_sha256)
    view = _view(row, {} if plan is None else {plan.sha256: plan.seq})
    return view, None if plan is None else _proof(session, plan)


def _seqs(session: Session, digests: Collection[str]) -> dict[str, int | None]:
    theirs = select(col(CounterfactualRow.sha256), col(CounterfactualRow.seq))
    found = session.execute(theirs.where(col(CounterfactualRow.sha256).in_(digests)))
    return {digest: seq for digest, seq in found.all()}  # noqa: C416 - rows are no pairs to a type checker


def _proof(session: Session, plan: CounterfactualRow) -> PlanProof:
    return PlanProof(
        text=zlib.decompress(plan.plan).decode(),
        made_at=plan.made_at,
        falls_at=plan.falls_at,
        line=None if plan.seq is None else chain.line(session, plan.seq),
    )


def _filtered(which: EventFilter) -> Select[PowerEventRow]:
    query = select(PowerEventRow)
    if which.since_at is not None:
        query = query.where(col(PowerEventRow.began_at) >= which.since_at)
    if which.until_at is not None:
        query = query.where(col(PowerEventRow.began_at) < which.until_at)
    return query


def _values(event: PowerEvent) -> dict[str, Any]:
    return {
        **{name: getattr(event.fall, name) for name in _FALL},
        **{name: getattr(event, name) for name in _PLAIN},
        **{name: getattr(event.during, name) for name in _SPAN},
        **{f"held_{name}": getattr(event.held, name) for name in _SPAN},
    }


def _event(row: PowerEventRow) -> PowerEvent:
    return PowerEvent(
        fall=Fall(**{name: getattr(row, name) for name in _FALL}),
        during=Span(**{name: getattr(row, name) for name in _SPAN}),
        held=Span(**{name: getattr(row, f"held_{name}") for name in _SPAN}),
        **{name: getattr(row, name) for name in _PLAIN},
    )


def _view(row: PowerEventRow, seqs: Mapping[str, int | None]) -> PowerEventView:
    return PowerEventView(number=row.number, event=_event(row), plan_seq=seqs.get(row.plan_sha256))
