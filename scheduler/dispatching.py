"""The book of dispatch instructions: kept up by what sources tell, what people say and what the meter shows.

What changed is kept until it is on record: a store that is down loses none of it. A tick in which nobody told anything
costs nothing; a reading of the meter costs a look at what is open, which is bounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from scheduler.core.dispatch import (
    Answer,
    Instruction,
    State,
    answered,
    counted,
    judged,
    left_out,
    over,
    refused,
)
from scheduler.core.dispatch_news import steps
from scheduler.core.envelope import Envelope
from scheduler.core.given import Giver, derive, next_look, words
from scheduler.core.reasons import Event
from scheduler.records import TickRecord

Told = tuple[Envelope, ...]


class DispatchBook:
    """The instructions of a site that are not over. One writer: the scheduler's event loop."""

    def __init__(self, *, reaction_s: float, voluntary: Iterable[str] = ()) -> None:
        self._reaction_s = reaction_s
        self._voluntary = frozenset(voluntary)  #: sources whose limits may be refused
        self._last_number = 0
        self._standing: dict[int, Instruction] = {}  #: that are not over
        self.left_out: tuple[Instruction, ...] = ()  #: that do not count
        self._told: dict[str, Told] = {}  #: by source, as heard last
        self._looks: dict[str, datetime] = {}  #: when something of it ends or comes into sight
        self._measured_at: datetime | None = None
        self._changed: dict[int, Instruction] = {}  #: that are not on record like that
        self._events: tuple[Event, ...] = ()

    def restore(self, standing: Iterable[Instruction], *, last_number: int, at: datetime) -> None:
        """Go on from what an earlier leader recorded. What binds is as the site file says now."""
        self._standing = {i.number: i for i in standing}
        self._last_number = last_number
        self.left_out = left_out(self._standing.values())
        for instruction in tuple(self._standing.values()):
            self._note(self._resumed(instruction, at), at)
        for source in {i.source for i in self._standing.values()}:
            self._await_ends(source)

    # -- what comes in -------------------------------------------------------------------------------------------

    def hear(self, source: str, told: Told, at: datetime) -> None:
        """Take in all that a source tells. The same again is nothing."""
        before = self._told.get(source)
        self._told[source] = told
        if before is told:
            return
        if before is None or [_gist(e) for e in before] != [_gist(e) for e in told]:
            self._look(source, at)

    def pass_to(self, at: datetime) -> None:
        """Time went on: some may have ended, or come into sight."""
        for source in [s for s, due_at in self._looks.items() if due_at <= at]:
            self._look(source, at)

    def give_up_unknown(self, sources: Iterable[str], at: datetime) -> None:
        """End what sources told that the site has no more."""
        known = set(sources)
        for instruction in [i for i in self._standing.values() if i.source not in known]:
            self._note(over(instruction, State.ENDED, at=at, why="the site has its source no more"), at)

    def measure(self, draw_w: float, at: datetime) -> None:
        """Judge what is in force by a reading of the site meter."""
        before_at, self._measured_at = self._measured_at, at
        for instruction in tuple(self._standing.values()):
            now = judged(instruction, at=at, draw_w=draw_w, before_at=before_at)
            if now is not instruction:
                self._note(now, at)

    def note_refused(self, source: str, giver_id: str, why: str, at: datetime) -> None:
        """A source did not take something that its giver calls by a name."""
        self._last_number += 1
        self._note(refused(self._last_number, source=source, giver_id=giver_id, why=why, at=at), at)

    def answer(self, answers: Mapping[str, Answer]) -> bool:
        """Take in what people said, by id. Whether the limit is another one now."""
        before = self.left_out
        for instruction in tuple(self._standing.values()):
            said = answers.get(instruction.id)
            if said is not None and said != instruction.answer:
                self._note(answered(instruction, said), said.at)
        return self.left_out != before

    def _resumed(self, known: Instruction, at: datetime) -> Instruction:
        binding = known.source not in self._voluntary
        if known.is_left_out and binding:  # it counts again, as a new one
            return over(known, State.ENDED, at=at)
        bound = known if known.binding == binding else replace(known, binding=binding)
        return bound if bound.answer is None else answered(bound, bound.answer)

    # -- what goes out -------------------------------------------------------------------------------------------

    def counted(self, envelopes: Sequence[Envelope]) -> Sequence[Envelope]:
        """The envelopes without what was refused and does not bind."""
        if not self.left_out:
            return envelopes
        return [part for e in envelopes for part in counted(e, self.left_out)]

    @property
    def standing(self) -> tuple[Instruction, ...]:
        """All that are not over, oldest first."""
        return tuple(self._standing[n] for n in sorted(self._standing))

    def added_to(self, record: TickRecord) -> TickRecord:
        """The record of a tick with what changed here."""
        if not self._changed:
            return record
        changed = tuple(self._changed.values())
        return replace(record, instructions=changed, events=(*record.events, *self._events))

    def recorded(self, record: TickRecord) -> None:
        """This is on record now. What came in meanwhile is not."""
        if record.instructions:
            written = {i.number: i for i in record.instructions}
            self._changed = {n: i for n, i in self._changed.items() if written.get(n) != i}
            self._events = tuple(e for e in self._events if e not in record.events)

    # -- how -----------------------------------------------------------------------------------------------------

    def _look(self, source: str, at: datetime) -> None:
        known = [i for i in self._standing.values() if i.source == source]
        if source not in self._told:  # an earlier leader heard it: what it says now is not known yet
            self._end_overdue(known, at)
            self._await_ends(source)
            return
        told = words(self._told[source], at)
        giver = Giver(source=source, binding=source not in self._voluntary, reaction_s=self._reaction_s)
        for instruction in derive(known, told, giver, now=at, first_number=self._last_number + 1):
            self._last_number = max(self._last_number, instruction.number)
            self._note(instruction, at)
        look_at = next_look(told, at)
        self._looks.pop(source, None)
        if look_at is not None:
            self._looks[source] = look_at

    def _end_overdue(self, known: Iterable[Instruction], at: datetime) -> None:
        for instruction in known:
            if instruction.ends_at is not None and instruction.ends_at <= at:
                self._note(over(instruction, State.ENDED, at=instruction.ends_at), at)

    def _await_ends(self, source: str) -> None:
        self._looks.pop(source, None)
        ends = [i.ends_at for i in self._standing.values() if i.source == source and i.ends_at is not None]
        if ends:
            self._looks[source] = min(ends)

    def _note(self, now: Instruction, at: datetime) -> None:
        before = self._standing.get(now.number)
        if before == now:
            return
        self._events += tuple(steps(before, now, at=at))
        self._changed[now.number] = now
        self._standing[now.number] = now
        if now.over_at is not None:
            del self._standing[now.number]
        if not now.binding:
            self.left_out = left_out(self._standing.values())


def _gist(envelope: Envelope) -> tuple[object, ...]:
    return (envelope.segments, envelope.valid_until)
