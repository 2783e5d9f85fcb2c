"""Dispatch instructions: written by the leader, answered and looked at by people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select
from sqlalchemy.orm import Session
from sqlmodel import col

from scheduler.core.dispatch import OPEN, Answer, Instruction, State, Verdict
from scheduler.store import chain, deeds
from scheduler.store.refusals import InstructionIsOver, InstructionNotFound, InvalidField
from scheduler.store.rows import legible
from scheduler.store.tables import InstructionRow, IntentRow
from scheduler.store.upsert import upsert
from scheduler.store.wishes import ANSWERS, take_numbers

MAX_PAGE: Final = 1000
"""Rows given at once, whatever is asked for."""
ACTIVE: Final = "active"
"""All states of what holds, or will hold, together."""
_PEOPLES: Final = frozenset({"answer", "answered_by", "answered_at", "note"})
_OPEN: Final = tuple(state.value for state in OPEN)
_ID = re.compile(r"d([1-9][0-9]{0,17})", re.ASCII)
_CURSOR = re.compile(r"([01])-([0-9]{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstructionFilter:
    """Which to list. `state` is one of their states, or `ACTIVE`."""

    state: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstructionPage:
    """Some of them, and where the next page begins (None = there is none)."""

    instructions: tuple[Instruction, ...]
    next: str | None


# -- the leader's side ---------------------------------------------------------------------------------------------


def record(session: Session, changed: Iterable[Instruction]) -> None:
    """Write what is new or changed. What people said stays theirs."""
    upsert(session, InstructionRow, [_values(i) for i in changed], keep=_PEOPLES)


def standing(session: Session) -> tuple[Instruction, ...]:
    """Those that are not over, oldest first."""
    return tuple(_instruction(row) for row in session.scalars(_standing()))


def last_number(session: Session) -> int:
    """The highest that any has."""
    return session.scalar(select(func.max(col(InstructionRow.number)))) or 0


def answers(session: Session) -> Mapping[str, Answer]:
    """What people said to those that are not over, by id."""
    rows = session.scalars(_standing().where(col(InstructionRow.answer).is_not(None)))
    found = [_instruction(row) for row in rows]
    return {i.id: i.answer for i in found if i.answer is not None}


def _standing() -> Select[InstructionRow]:
    goes_on = select(InstructionRow).where(col(InstructionRow.over_at).is_(None))
    return goes_on.order_by(col(InstructionRow.number))


# -- people's side -------------------------------------------------------------------------------------------------


def get(session: Session, instruction_id: str) -> Instruction:
    """One of them. Raises `InstructionNotFound`."""
    return _instruction(_row(session, instruction_id))


def page(session: Session, which: InstructionFilter, *, limit: int, after: str | None) -> InstructionPage:
    """Those that hold or will hold, then the others, each newest first. Raises `InvalidField`."""
    size = max(1, min(limit, MAX_PAGE))
    rank, number = case((_is_active(), 0), else_=1), col(InstructionRow.number)
    query = select(InstructionRow).where(*_conditions(which))
    if after is not None:
        before_rank, before_number = _place(after)
        query = query.where(or_(rank > before_rank, and_(rank == before_rank, number < before_number)))
    rows = list(session.scalars(query.order_by(rank, number.desc()).limit(size + 1)))
    shown = [_instruction(row) for row in rows[:size]]
    more = len(rows) > size
    return InstructionPage(instructions=tuple(shown), next=_cursor(shown[-1]) if more else None)


def answer(session: Session, site: str, instruction_id: str, said: Answer) -> Instruction:
    """Note a person's word. The same again is no change. Raises what `Desk.answer` raises."""
    if said.verdict is Verdict.REFUSED and not said.note.strip():
        raise InvalidField("reason", said.note, "say why, for those who will wonder")
    take_numbers(session, site, 0)
    row = _row(session, instruction_id)
    known = _instruction(row)
    if not known.is_open:
        raise InstructionIsOver(known.id, known.state.value)
    before = known.answer
    if before is not None and (before.verdict, before.by, before.note) == (said.verdict, said.by, said.note):
        return known
    if before is not None and before.verdict is Verdict.REFUSED and not known.binding:
        raise InstructionIsOver(known.id, State.REFUSED.value)  # the leader is about to leave it out
    row.answer, row.answered_by, row.answered_at, row.note = said.verdict.value, said.by, said.at, said.note
    session.add(IntentRow(kind=ANSWERS, at=said.at))
    session.flush()
    chain.note(session, deeds.answered(known, said))
    return _instruction(row)


def _row(session: Session, instruction_id: str) -> InstructionRow:
    match = _ID.fullmatch(instruction_id)
    row = None if match is None else session.get(InstructionRow, int(match[1]))
    if row is None:
        raise InstructionNotFound(instruction_id)
    return row


def _is_active() -> ColumnElement[bool]:
    return col(InstructionRow.state).in_(_OPEN)


def _conditions(which: InstructionFilter) -> Sequence[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if which.state is not None:
        found.append(_is_in(which.state.lower()))
    if which.source is not None:
        found.append(col(InstructionRow.source) == which.source)
    return found


def _is_in(name: str) -> ColumnElement[bool]:
    if name == ACTIVE:
        return _is_active()
    if name not in set(State):
        raise InvalidField("state", name, f"use one of {', '.join([ACTIVE, *State])}")
    return col(InstructionRow.state) == name


def _cursor(last: Instruction) -> str:
    return f"{0 if last.is_open else 1}-{last.number}"


def _place(after: str) -> tuple[int, int]:
    match = _CURSOR.fullmatch(after)
    if match is None:
        raise InvalidField("after", after, "give the `next` of the page before")
    return int(match[1]), int(match[2])


# -- rows ----------------------------------------------------------------------------------------------------------


def _values(instruction: Instruction) -> dict[str, Any]:
    values = asdict(instruction)
    said = instruction.answer
    del values["answer"]
    return {
        **values,
        "state": instruction.state.value,
        "answer": said.verdict.value if said else None,
        "answered_by": said.by if said else None,
        "answered_at": said.at if said else None,
        "note": said.note if said else None,
    }


def _instruction(row: InstructionRow) -> Instruction:
    with legible(f"dispatch instruction d{row.number}"):
        values = row.model_dump(exclude=set(_PEOPLES))
        values["state"] = State(row.state)
        return Instruction(**values, answer=_answer(row))


def _answer(row: InstructionRow) -> Answer | None:
    if row.answer is None or row.answered_at is None:
        return None
    verdict = Verdict(row.answer)
    return Answer(verdict=verdict, by=row.answered_by or "", at=row.answered_at, note=row.note or "")
