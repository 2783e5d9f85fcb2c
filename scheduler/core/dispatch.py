"""Dispatch instructions: what a giver of the limit tells, each change of it as an object, with what became of it. Pure.

An envelope says how the limit runs. What is kept here is who told what, when it is due, who answered, and whether the
meter shows that it was kept. Nothing here lifts a binding limit: it holds whether or not anybody acknowledges it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from typing import Final

from scheduler.core.compliance import Met, met
from scheduler.core.envelope import Envelope, Segment, spans

BARQ: Final = "barq"
"""Who accepts what is valid: a limit waits for nobody's leave."""


class State(StrEnum):
    """Where an instruction is. It only moves on in this order, and from the last three nowhere."""

    RECEIVED = "received"
    ACCEPTED = "accepted"
    COMPLIED = "complied"  #: the meter showed a draw at or under it
    BREACHED = "breached"  #: the meter showed more after it was due
    ENDED = "ended"
    SUPERSEDED = "superseded"  #: its giver told something else, or took it back before it began
    REFUSED = "refused"  #: by its source, or a voluntary one by a person


OPEN: Final = frozenset({State.RECEIVED, State.ACCEPTED, State.COMPLIED, State.BREACHED})


class Verdict(StrEnum):
    """What a person says to an instruction."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A person's word on an instruction."""

    verdict: Verdict
    by: str
    at: datetime
    note: str = ""  #: of a refusal the reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One change of the limit that a giver told, and what became of it."""

    number: int
    source: str
    giver_id: str  #: what its giver calls it; empty = it gave no name
    issued_at: datetime  #: by its giver, as far as it says so
    received_at: datetime  #: it came into sight
    starts_at: datetime
    due_at: datetime  #: the draw has to be at or under it from then on
    ends_at: datetime | None = None  #: as now known; None = until further notice
    limit_w: float | None = None  #: None = what was refused is no limit
    provenance: str = ""
    binding: bool = True  #: False = a person may refuse it, and then it does not count
    state: State = State.RECEIVED
    accepted_by: str = ""
    why: str = ""  #: it was refused, superseded, or ended early
    answer: Answer | None = None
    complied_at: datetime | None = None  #: the first reading at or under it
    complied_w: float | None = None  #: that reading
    breached_at: datetime | None = None  #: the first reading over it once it was due
    over_s: float = 0.0  #: seconds over it after it was due
    over_at: datetime | None = None  #: nothing more becomes of it

    @property
    def id(self) -> str:
        """What people call it."""
        return f"d{self.number}"

    @property
    def is_open(self) -> bool:
        """Whether it holds, or will hold."""
        return self.state in OPEN

    @property
    def is_left_out(self) -> bool:
        """Whether it does not count, because a person refused what does not bind."""
        return self.state is State.REFUSED and not self.binding and self.over_at is None


def accepted(instruction: Instruction) -> Instruction:
    """Taken, by Barq itself."""
    return replace(instruction, state=State.ACCEPTED, accepted_by=BARQ)


def refused(number: int, *, source: str, giver_id: str, why: str, at: datetime) -> Instruction:
    """What a source did not take, and why."""
    return Instruction(
        number=number,
        source=source,
        giver_id=giver_id,
        issued_at=at,
        received_at=at,
        starts_at=at,
        due_at=at,
        state=State.REFUSED,
        why=why,
        over_at=at,
    )


def answered(instruction: Instruction, answer: Answer) -> Instruction:
    """With a person's word on it. Refusing ends what is voluntary; what binds goes on, and its refusal is on record."""
    if not instruction.is_open:
        return instruction
    if answer.verdict is Verdict.REFUSED and not instruction.binding:
        return replace(instruction, answer=answer, state=State.REFUSED, why=answer.note)
    return replace(instruction, answer=answer)


def judged(
    instruction: Instruction, *, at: datetime, draw_w: float, before_at: datetime | None
) -> Instruction:
    """After a reading of the meter `at`, the one before it at `before_at`. The same object if it shows nothing new."""
    limit_w = instruction.limit_w
    if limit_w is None or not instruction.is_open or at < instruction.starts_at:
        return instruction
    if met(limit_w, in_force_w=limit_w, draw_w=draw_w) is Met.COMPLIED:  # it is open: it is in force itself
        return instruction if instruction.complied_at is not None else _complied(instruction, at, draw_w)
    if at <= instruction.due_at:
        return instruction
    since_at = max(instruction.due_at, before_at or instruction.due_at)
    return replace(
        instruction,
        state=State.BREACHED,
        breached_at=instruction.breached_at or at,
        over_s=instruction.over_s + max(0.0, (at - since_at).total_seconds()),
    )


def _complied(instruction: Instruction, at: datetime, draw_w: float) -> Instruction:
    state = State.BREACHED if instruction.state is State.BREACHED else State.COMPLIED
    return replace(instruction, state=state, complied_at=at, complied_w=draw_w)


def over(instruction: Instruction, state: State, *, at: datetime, why: str = "") -> Instruction:
    """Nothing more becomes of it from `at` on. One that was refused stays so."""
    if not instruction.is_open:
        return replace(instruction, over_at=at)
    return replace(instruction, state=state, over_at=at, why=why)


def counted(envelope: Envelope, left_out: Sequence[Instruction]) -> tuple[Envelope, ...]:
    """What of an envelope counts: all but the stretches of voluntary instructions that a person refused.

    There it says nothing, and the others decide. A binding instruction is never left out, whoever refused it.
    """
    gone = [i for i in left_out if i.is_left_out and i.source == envelope.source]
    if not gone:
        return (envelope,)
    stretches = groupby(spans(envelope), key=lambda span: any(_covers(i, *span) for i in gone))
    kept = [list(stretch) for is_gone, stretch in stretches if not is_gone]
    parts = [
        replace(envelope, segments=tuple(segment for segment, _ in stretch), valid_until=stretch[-1][1])
        for stretch in kept
    ]
    return tuple(part if n == 0 else replace(part, forecast=()) for n, part in enumerate(parts))


def _covers(instruction: Instruction, segment: Segment, ends_at: datetime | None) -> bool:
    """Whether a segment is part of what was told."""
    if (segment.giver_id, segment.limit_w) != (instruction.giver_id, instruction.limit_w):
        return False
    begins_before = instruction.ends_at is None or segment.starts_at < instruction.ends_at
    return begins_before and (ends_at is None or ends_at > instruction.starts_at)


def left_out(instructions: Iterable[Instruction]) -> tuple[Instruction, ...]:
    """Those that do not count, because a person refused them."""
    return tuple(i for i in instructions if i.is_left_out)
