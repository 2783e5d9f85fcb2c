"""What a machine does, by what it was told, what it says and what is measured."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from scheduler.core.inventory import Condition


class Word(StrEnum):
    """What a machine says that it does."""

    RUNNING = "running"
    RAMPING = "ramping"
    ASLEEP = "asleep"
    FAULTED = "faulted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that is known of one machine. Seconds are since now."""

    is_usable: bool  #: it can be told something, and is the machine that it should be
    is_to_work: bool
    told_s: float  #: since it was first told what it is told now
    word: Word | None  #: its last; None = it never said anything
    silent_s: float  #: since its last word
    missed: bool  #: it did not answer when it was last asked
    is_in_doubt: bool  #: it may draw more than it was told
    is_given_up: bool  #: all was tried, and people were told
    is_cut: bool  #: its outlet was switched off


def condition_of(seen: Evidence, *, lost_after_s: float, ramp_s: float) -> Condition:
    """The condition of a machine that takes `ramp_s` at most from its order to work.

    Without a word for `lost_after_s` it is lost. What it was told counts for more than what it says.
    """
    if not seen.is_usable:
        return Condition.UNUSABLE
    if seen.word is None or seen.silent_s > lost_after_s:
        return Condition.FAULTED if seen.is_cut else Condition.LOST
    if seen.is_cut or seen.is_given_up or (seen.word is Word.FAULTED and not seen.missed):
        return Condition.FAULTED
    if seen.missed:
        return Condition.STALE
    return _at_work(seen, ramp_s) if seen.is_to_work else _at_rest(seen)


def _at_rest(seen: Evidence) -> Condition:
    is_down = seen.word is Word.ASLEEP and not seen.is_in_doubt
    return Condition.ASLEEP if is_down else Condition.RAMPING


def _at_work(seen: Evidence, ramp_s: float) -> Condition:
    if seen.word is Word.RUNNING:
        return Condition.RUNNING
    return Condition.FAULTED if seen.told_s > ramp_s else Condition.RAMPING
