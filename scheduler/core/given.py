"""From what sources tell to dispatch instructions: which of it is new, which goes on, which is over. Pure.

A schedule is one document with many intervals: an instruction is made for an interval when it comes into sight,
`HORIZON_S` before it begins, and at most `MOST_OPEN` of one source are open at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count, groupby
from typing import Final, Self

from scheduler.core.dispatch import Instruction, State, accepted, over
from scheduler.core.envelope import Envelope, spans

HORIZON_S: Final = 3600.0
MOST_OPEN: Final = 20
_SIGHT: Final = timedelta(seconds=HORIZON_S)


class Refusal(str):
    """What a source did not take and why, with what its giver calls it; a plain `str` where that is not known."""

    __slots__ = ("giver_id",)
    giver_id: str

    def __new__(cls, text: str, *, giver_id: str) -> Self:
        """The text, and the name."""
        refusal = super().__new__(cls, text)
        refusal.giver_id = giver_id
        return refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What a giver says of one stretch of time."""

    starts_at: datetime
    ends_at: datetime | None
    limit_w: float
    giver_id: str
    provenance: str
    issued_at: datetime
    reaction_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Giver:
    """A source that relays what a giver tells."""

    source: str
    binding: bool = True  #: False = what it tells may be refused
    reaction_s: float = 30.0  #: granted where it does not say itself


def words(envelopes: Iterable[Envelope], now: datetime) -> list[Word]:
    """What givers say of now and later. Neighbours that say the same are one word; what nobody told is none."""
    return [word for envelope in envelopes for word in _words(envelope, now)]


def _words(envelope: Envelope, now: datetime) -> Iterator[Word]:
    told = (span for span in spans(envelope) if span[1] is None or span[1] > now)
    for (limit_w, giver_id), group in groupby(told, key=lambda span: (span[0].limit_w, span[0].giver_id)):
        alike = list(group)
        if giver_id is not None:
            yield Word(
                starts_at=alike[0][0].starts_at,
                ends_at=alike[-1][1],
                limit_w=limit_w,
                giver_id=giver_id,
                provenance=alike[0][0].provenance,
                issued_at=envelope.issued_at,
                reaction_s=envelope.reaction_s,
            )


def next_look(told: Iterable[Word], now: datetime) -> datetime | None:
    """When something that is told now ends, or comes into sight."""
    until = now + _SIGHT
    instants = (w.ends_at if w.starts_at <= until else w.starts_at - _SIGHT for w in told)
    return min((t for t in instants if t is not None), default=None)


def derive(
    known: Sequence[Instruction], told: Sequence[Word], giver: Giver, *, now: datetime, first_number: int
) -> tuple[Instruction, ...]:
    """What is new and what has changed, now that a giver tells this. `known` are its instructions that are not over.

    The same told again is no change, and neither is the limit in force told anew: its end and its name are noted where
    it is. What is not told any more has ended, or something else took its place.
    """
    same = _paired(known, told, now)
    moved = [new for n, i in same.items() if (new := _as_told(i, told[n])) != i]
    fresh = [w for n, w in enumerate(told) if n not in same and w.starts_at <= now + _SIGHT]
    room = max(0, MOST_OPEN - len(same))
    made = [_made(w, n, giver, now) for n, w in zip(count(first_number), fresh[:room], strict=False)]
    kept = {i.number for i in same.values()}
    gone = [_gone(i, made, now) for i in known if i.number not in kept]
    return (*moved, *gone, *made)


def _paired(known: Sequence[Instruction], told: Sequence[Word], now: datetime) -> dict[int, Instruction]:
    """By the place of a word in `told`: the instruction that it says again."""
    by_name = {(i.giver_id, i.starts_at, i.limit_w): i for i in known}
    pairs = {}
    for n, word in enumerate(told):
        found = by_name.pop((word.giver_id, word.starts_at, word.limit_w), None)
        if found is not None:
            pairs[n] = found
    in_force = [i for i in by_name.values() if i.starts_at <= now and (i.ends_at is None or i.ends_at > now)]
    for n, word in enumerate(told):
        if n not in pairs and word.starts_at <= now:
            anew = next((i for i in in_force if _says_again(word, i)), None)
            if anew is not None:
                in_force.remove(anew)
                pairs[n] = anew
    return pairs


def _says_again(word: Word, known: Instruction) -> bool:
    """Of two in force: the same limit, of the same name; or of another, if nobody refused it, until the same end."""
    if word.limit_w != known.limit_w:
        return False
    return word.giver_id == known.giver_id or (known.is_open and word.ends_at == known.ends_at)


def _as_told(known: Instruction, word: Word) -> Instruction:
    """With its name and its end as they are told now."""
    if (known.giver_id, known.ends_at) == (word.giver_id, word.ends_at):
        return known
    return replace(known, giver_id=word.giver_id, ends_at=word.ends_at)


def _made(word: Word, number: int, giver: Giver, now: datetime) -> Instruction:
    reaction = timedelta(seconds=word.reaction_s or giver.reaction_s)
    return accepted(
        Instruction(
            number=number,
            source=giver.source,
            giver_id=word.giver_id,
            issued_at=word.issued_at,
            received_at=now,
            starts_at=word.starts_at,
            due_at=max(word.starts_at, now) + reaction,
            ends_at=word.ends_at,
            limit_w=word.limit_w,
            provenance=word.provenance,
            binding=giver.binding,
        )
    )


def _gone(known: Instruction, made: Iterable[Instruction], now: datetime) -> Instruction:
    """One that is not told any more."""
    if known.ends_at is not None and known.ends_at <= now:
        return over(known, State.ENDED, at=known.ends_at)
    heir = next((i for i in made if _meets(known, i)), None)
    if heir is not None:
        return over(known, State.SUPERSEDED, at=now, why=f"{heir.id} took its place")
    if known.starts_at <= now:
        return over(known, State.ENDED, at=now, why="its giver ended it")
    return over(known, State.SUPERSEDED, at=now, why="its giver took it back before it began")


def _meets(old: Instruction, new: Instruction) -> bool:
    """Whether both speak of some same time."""
    begins = old.ends_at is None or new.starts_at < old.ends_at
    return begins and (new.ends_at is None or new.ends_at > old.starts_at)
