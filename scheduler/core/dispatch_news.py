"""What the log tells of dispatch instructions: one event for each step. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from scheduler.core.dispatch import BARQ, Instruction, State, Verdict
from scheduler.core.reasons import Event

_MOST_CHARACTERS: Final = 500


def steps(before: Instruction | None, now: Instruction, *, at: datetime) -> Iterator[Event]:
    """The steps from one state to the other. What a person said is told where they said it."""
    if before is None:
        yield from _begun(now, at)
    elif before.breached_at is None and now.breached_at is not None:
        yield _event(now, "breached", _breached(now), at, over_s=now.over_s)
    elif before.complied_at is None and now.complied_at is not None:
        yield _event(now, "complied", _complied(now), at, draw_w=now.complied_w)
    if before is not None and before.is_open and now.state in (State.ENDED, State.SUPERSEDED):
        yield _event(now, now.state.value, _ended(now), at, over_s=now.over_s)


def _begun(new: Instruction, at: datetime) -> Iterator[Event]:
    if new.state is State.REFUSED:
        text = f"{new.id}: {_named(new)} was refused: {new.why}"[:_MOST_CHARACTERS]
        yield _event(new, "refused", text, at)
        return
    yield _event(new, "received", f"{new.id}: {_named(new)}: {asked(new)}", at)
    by = new.accepted_by or BARQ
    text = f"{new.id} was accepted by {by}: due at {_time(new.due_at)}"
    yield _event(new, "accepted", text, at, by=by)


def sentence(instruction: Instruction) -> str:
    """What is told, whether it is kept, and what a person's refusal changes."""
    if instruction.limit_w is None:
        return f"refused: {instruction.why}"
    return "; ".join([asked(instruction), _how(instruction), *_refusal(instruction)])


def _how(of: Instruction) -> str:
    over = f", {of.over_s:.1f} s over it" if of.over_s else ""
    if of.breached_at is not None:
        return f"not kept{over}"
    if of.complied_at is not None:
        return "kept"
    if not of.is_open:
        return f"{of.state}: {of.why}" if of.why else of.state.value
    return f"due at {_time(of.due_at)}"


def _refusal(of: Instruction) -> Iterator[str]:
    if of.answer is None or of.answer.verdict is not Verdict.REFUSED:
        return
    said = f"refused by {of.answer.by}: {of.answer.note}"
    if of.binding:
        yield f"{said}; it binds and holds all the same: who must draw more agrees that with its giver"
    else:
        yield f"{said}; it does not count any more"


def asked(instruction: Instruction) -> str:
    """What is told, in words."""
    until = "until further notice" if instruction.ends_at is None else f"until {_time(instruction.ends_at)}"
    return f"at most {_kw(instruction.limit_w)} from {_time(instruction.starts_at)} {until}"


def _named(instruction: Instruction) -> str:
    name = f" {instruction.giver_id}" if instruction.giver_id else ""
    return f"instruction{name} of {instruction.source}"


def _complied(now: Instruction) -> str:
    late = " late" if now.complied_at is not None and now.complied_at > now.due_at else ""
    return f"{now.id} was complied with{late}: the site draws {_kw(now.complied_w)}, at most {_kw(now.limit_w)} is told"


def _breached(now: Instruction) -> str:
    return f"{now.id} is not kept: the site draws more than {_kw(now.limit_w)}, and it was due at {_time(now.due_at)}"


def _ended(now: Instruction) -> str:
    why = f": {now.why}" if now.why else ""
    kept = f"; {now.over_s:.1f} s were over it" if now.over_s else ""
    word = "ended" if now.state is State.ENDED else "is superseded"
    return f"{now.id} {word}{why}{kept}"


def _event(of: Instruction, step: str, text: str, at: datetime, **data: str | float | None) -> Event:
    facts = {"instruction": of.id, "source": of.source, "giver_id": of.giver_id, "limit_w": of.limit_w}
    return Event(at=at, kind=f"dispatch.{step}", text=text, data={**facts, **data})


def _kw(power_w: float | None) -> str:
    return "nothing known" if power_w is None else f"{power_w / 1000:.1f} kW"


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
