"""Forecasts of the limit that are made from its history: what goes in, what comes out, and how good it was.

All that is told is a plan on what may come. Nothing here is a limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

QUARTER: Final = timedelta(minutes=15)
AHEAD: Final = timedelta(hours=48)
STEPS: Final = AHEAD // QUARTER
SHARES: Final = (0.1, 0.5, 0.9)
BUCKETS_H: Final = (1, 6, 24, 48)
"""Where each range of lead times ends, in hours; the first begins at 0."""
LEAST_HISTORY: Final = timedelta(days=3)
DOCUMENT: Final = "forecast"
"""Key of the document that says what was forecast last, and how good it has been."""

Watts = tuple[float, ...]
"""By `SHARES`, not falling."""


class Method(StrEnum):
    """How a forecast is made."""

    LEARNED = "learned"  #: quantile regression on the history
    YESTERDAY = "yesterday"  #: the same time of the day before, and how far off that usually was
    LAST = "last"  #: as it is now, and how far off that usually was


class State(StrEnum):
    """Whether there is a forecast."""

    OFF = "off"  #: the site file says `use: nothing`
    MISSING = "missing"  #: the library is not installed
    TOO_SHORT = "too_short"  #: too little history
    FAILED = "failed"  #: the last try failed
    MADE = "made"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarter:
    """The mean limit of a quarter of an hour, as far as it was the grid's doing and somebody saw it."""

    at: datetime
    limit_w: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One forecast by every method, so that each can be held against what came: `STEPS` rows from `starts_at` on."""

    made_at: datetime
    starts_at: datetime
    rows: Mapping[Method, tuple[Watts, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How far off a method was in one range of lead times."""

    until_h: int  #: where the range of lead times ends
    count: int  #: quarters that came
    pinball_w: Watts  #: mean pinball loss of each quantile
    covered: float  #: share of quarters between the lowest and the highest quantile

    @property
    def loss_w(self) -> float:
        """The mean over the quantiles."""
        return sum(self.pinball_w) / len(self.pinball_w)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How good the forecasts of the last days were, by method and range of lead times."""

    since_at: datetime
    tallies: Mapping[Method, tuple[Tally, ...]]

    def loss_w(self, method: Method) -> float | None:
        """The mean over the ranges of lead times, each counting alike; None where nothing came yet."""
        known = [t.loss_w for t in self.tallies.get(method, ()) if t.count]
        return sum(known) / len(known) if known else None

    @property
    def best_persistence(self) -> Method | None:
        """Which kind of persistence was better; None where nothing came yet."""
        known = [(w, m) for m in (Method.YESTERDAY, Method.LAST) if (w := self.loss_w(m)) is not None]
        return min(known)[1] if known else None

    @property
    def skill(self) -> float | None:
        """1 - loss / loss of the better persistence: 0 = no better than that. None where nothing came yet."""
        learned, best = self.loss_w(Method.LEARNED), self.best_persistence
        if learned is None or best is None:
            return None
        against_w = self.loss_w(best) or 0.0
        return 1.0 - learned / against_w if against_w > 0 else (0.0 if learned == 0 else -1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is known of the forecast: the newest one, which method is planned on, how good it has been, and why."""

    at: datetime
    state: State
    why: str  #: a sentence for people
    history_days: float = 0.0
    made: Made | None = None
    method: Method | None = None  #: that is shown
    is_used: bool = False  #: and planned on
    score: Score | None = None
    took_s: float = 0.0  #: CPU seconds


def before(at: datetime) -> datetime:
    """When the quarter began in which this moment is."""
    return at - timedelta(minutes=at.minute % 15, seconds=at.second, microseconds=at.microsecond)


def too_short(days: float) -> str:
    """Why there is no forecast yet."""
    least = LEAST_HISTORY / timedelta(days=1)
    return f"{days:.1f} days of the limit are on record, and a forecast from history needs {least:g}"
