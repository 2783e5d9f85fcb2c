"""Dispatch instructions: what givers of the limit told, what became of it, and what people say to it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path as InPath, Query

from api.context import Here, Person
from api.openapi import errors
from api.wire.dispatch import (
    Acknowledgement,
    AnswerView,
    EvidenceView,
    InstructionQuery,
    Instructions,
    InstructionView,
    Refusal,
)
from scheduler.core.dispatch import Instruction, Verdict
from scheduler.core.dispatch_news import sentence
from scheduler.store.instructions import InstructionFilter

router = APIRouter(prefix="/dispatch", tags=["power"])
InstructionId = Annotated[str, InPath(max_length=63, description="As the list gives it, such as d12")]


@router.get("")
def list_instructions(query: Annotated[InstructionQuery, Query()], here: Here) -> Instructions:
    """List dispatch instructions, in pages: those that hold or will hold first, then the newest."""
    which = InstructionFilter(state=query.state, source=query.source)
    page = here.desk.instructions(which, limit=query.limit, after=query.after)
    return Instructions(instructions=[shown(one) for one in page.instructions], next=page.next)


@router.get("/{instruction_id}", responses=errors(404))
def show_instruction(instruction_id: InstructionId, here: Here) -> InstructionView:
    """Show one instruction with its evidence."""
    return shown(here.desk.instruction(instruction_id))


@router.post("/{instruction_id}/acknowledge", responses=errors(404, 409))
def acknowledge_instruction(
    instruction_id: InstructionId, here: Here, person: Person, body: Acknowledgement | None = None
) -> InstructionView:
    """Say that a person has seen it. It holds either way. 409 if it is over."""
    note = (body.note if body else None) or ""
    return _answer(here, instruction_id, Verdict.ACKNOWLEDGED, by=person, note=note)


@router.post("/{instruction_id}/refuse", responses=errors(404, 409))
def refuse_instruction(
    instruction_id: InstructionId, here: Here, person: Person, body: Refusal
) -> InstructionView:
    """Refuse it, for the record. One that binds holds all the same; a voluntary one does not count any more.

    409 if it is over.
    """
    return _answer(here, instruction_id, Verdict.REFUSED, by=person, note=body.reason)


def _answer(here: Here, instruction_id: str, verdict: Verdict, *, by: str, note: str) -> InstructionView:
    told = here.desk.answer(instruction_id, verdict, by=by, note=note)
    here.waker.wake(at_once=verdict is Verdict.REFUSED and not told.binding)
    return shown(told)


def shown(one: Instruction) -> InstructionView:
    """An instruction, as it is shown."""
    return InstructionView(
        id=one.id,
        source=one.source,
        giver_id=one.giver_id or None,
        provenance=one.provenance or None,
        issued_at=one.issued_at,
        received_at=one.received_at,
        starts_at=one.starts_at,
        due_at=one.due_at,
        ends_at=one.ends_at,
        limit_w=one.limit_w,
        binding=one.binding,
        state=one.state.value,
        active=one.is_open,
        accepted_by=one.accepted_by or None,
        reason=one.why or None,
        answer=AnswerView.model_validate(one.answer) if one.answer else None,
        evidence=EvidenceView.model_validate(one),
        over_at=one.over_at,
        sentence=sentence(one),
    )
