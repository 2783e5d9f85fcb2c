"""What a giver of limits means to allow over a day, and what goes wrong on its way: both drawn from a seed."""

from __future__ import annotations

import random
from bisect import bisect_right
from dataclasses import dataclass
from enum import StrEnum

from scheduler.sim.clock import us

Doc = tuple[tuple[int, float], ...]
"""What is told at once: (from this instant on, this limit in W), rising in time."""


class Trouble(StrEnum):
    """What is wrong with a giver, its wire, or one message."""

    SILENT = "silent"  #: nothing comes, or nobody answers
    CUT = "cut"  #: the line to the broker is down; it keeps what it keeps
    ERROR = "error"  #: the server answers with 503
    GARBAGE = "garbage"  #: bytes that mean nothing
    TORN = "torn"  #: the first part of it, as of a file while it is copied
    NAN = "nan"
    NEGATIVE = "negative"
    ABSURD = "absurd"  #: more than can be meant
    OLD = "old"  #: what was said before, with the time of then
    AHEAD = "ahead"  #: dated an hour ahead, and a higher limit
    LOST = "lost"
    LATE = "late"  #: underway for seconds, so that others overtake it
    TWICE = "twice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One trouble, from one instant to another."""

    trouble: Trouble
    starts_us: int
    ends_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """From `at_us` on the giver allows `limit_w`. A surprise is told when it is there, others a while ahead."""

    at_us: int
    limit_w: float
    is_surprise: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How lively a giver is. With many at once each is calmer, else the lowest of all never rises."""

    gap_s: float = 75.0  #: between two steps, on average
    busy: float = 0.85  #: the share of steps that are below the highest
    troubles_per_h: float = 8.0
    longest_s: float = 240.0  #: of a trouble
    spoilt: float = 0.2  #: of messages that are sent one by one


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a giver means to allow."""

    steps: tuple[Step, ...]
    ahead_s: float = 300.0  #: how far ahead it tells what is no surprise

    def shown(self, now_us: int) -> Doc:
        """What it tells at an instant: what holds, and what it announces."""
        first = bisect_right(self.steps, now_us, key=lambda s: s.at_us) - 1
        last = bisect_right(self.steps, now_us + us(self.ahead_s), key=lambda s: s.at_us)
        announced = (s for s in self.steps[first + 1 : last] if not s.is_surprise)
        return tuple((s.at_us, s.limit_w) for s in (self.steps[first], *announced))


def drawn_plan(
    chance: random.Random, window_s: float, pace: Pace, *, firm_w: float, top_w: float, grid_s: float = 1e-3
) -> Plan:
    """Steps of every size down to the firm level, the largest among them, at instants on a grid."""
    steps, at_s = [Step(at_us=0, limit_w=top_w, is_surprise=True)], 0.0
    while (
        at_s := at_s + grid_s * round((2.0 + chance.expovariate(1.0 / pace.gap_s)) / grid_s)
    ) < window_s + 3600.0:
        limit_w = _level_w(chance, pace, firm_w, top_w)
        steps.append(Step(at_us=us(at_s), limit_w=limit_w, is_surprise=chance.random() < 0.7))
    return Plan(steps=tuple(steps))


def _level_w(chance: random.Random, pace: Pace, firm_w: float, top_w: float) -> float:
    if chance.random() > pace.busy:
        return top_w
    if chance.random() < 0.3:
        return firm_w
    return 100.0 * round(chance.uniform(firm_w, top_w) / 100.0)


def drawn_troubles(
    chance: random.Random, window_s: float, pace: Pace, kinds: tuple[Trouble, ...]
) -> list[Span]:
    """Troubles one after the other, of these kinds."""
    spans: list[Span] = []
    at_s = 0.0
    while kinds and (at_s := at_s + 1.0 + chance.expovariate(pace.troubles_per_h / 3600.0)) < window_s:
        kind = chance.choice(kinds)
        longest_s = 8.0 if kind is Trouble.TORN else pace.longest_s
        ends_s = at_s + chance.uniform(0.5, longest_s)
        spans.append(Span(trouble=kind, starts_us=us(at_s), ends_us=us(ends_s)))
        at_s = ends_s
    return spans
