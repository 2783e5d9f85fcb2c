"""What each watt-hour was: firm, granted on top of that, or taken against the limit; and who allowed it.

At any instant a draw has three parts, W at the site meter, which add up to it:

    allowed = min(draw, limit)          the limit that the draw is judged by: the highest of the last reaction time
    firm    = min(allowed, firm level)  what the site may always draw
    granted = allowed - firm            surplus that a source granted
    breach  = draw - allowed            what nobody allowed

Energy is watts times the seconds for which they stand. A quarter is the half-open interval of 15 minutes that begins
at :00, :15, :30 or :45 UTC; what nobody sampled is missing from it, not made up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Final, Self

from scheduler.core.grants import Grant
from scheduler.core.snapshot import Quality

LONGEST_S: Final = 10.0
"""A reading speaks for the time until the next, but never for longer: what nobody measured is not made up."""
QUARTER: Final = timedelta(minutes=15)
MINUTE: Final = timedelta(minutes=1)
MOST_INTERVALS: Final = 24
"""Intervals that a quarter names one by one. Where the limit moves more often, they are counted by document."""
MOST_DOCUMENTS: Final = 48
"""Lines of evidence in a quarter. What more documents of a source allow is counted in one line."""
FURTHER: Final = "further documents of this source"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A draw in its three parts, W."""

    firm_w: float
    granted_w: float
    breach_w: float


def parts_of(draw_w: float, *, limit_w: float, firm_w: float) -> Parts:
    """The parts of a draw that is judged by `limit_w`."""
    allowed_w = min(draw_w, limit_w)
    firm = min(allowed_w, firm_w)
    return Parts(firm_w=firm, granted_w=allowed_w - firm, breach_w=draw_w - allowed_w)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What one grant allowed in a quarter: one interval of it, or several counted together."""

    source: str
    provenance: str = ""
    document: str = ""
    feeder: str = ""
    starts_at: datetime | None = None  #: of the first interval
    newest_at: datetime | None = None  #: when the last one began
    ends_at: datetime | None = None  #: of the last one; None = until further notice
    is_stale: bool = False
    intervals: int = 1
    least_w: float = 0.0  #: of the limits
    most_w: float = 0.0
    covered_s: float = 0.0  #: in which the draw was judged by it
    over_limit_s: float = 0.0
    firm_wh: float = 0.0
    granted_wh: float = 0.0
    breach_wh: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Sums over a stretch of time. Energy in Wh at the site meter; seconds by what the reading was worth."""

    covered_s: float = 0.0  #: that were sampled
    good_s: float = 0.0
    estimated_s: float = 0.0
    stale_s: float = 0.0
    bad_s: float = 0.0
    unmetered_s: float = 0.0  #: sampled while there was no reading at all
    over_limit_s: float = 0.0
    limit_wh: float = 0.0  #: of the limit in force: what could have been drawn
    draw_wh: float = 0.0
    firm_wh: float = 0.0
    granted_wh: float = 0.0
    breach_wh: float = 0.0
    unclassed_wh: float = 0.0  #: drawn when nobody noted what allowed it
    ai_wh: float = 0.0
    rest_wh: float = 0.0
    miners_wh: float = 0.0
    unused_wh: float = 0.0  #: under the limit and drawn by nobody

    @property
    def metered_s(self) -> float:
        """Seconds of which the draw is known."""
        return self.covered_s - self.unmetered_s

    def __add__(self, other: Tally) -> Self:
        """The sums of both."""
        return replace(self, **{name: getattr(self, name) + getattr(other, name) for name in SUMS})


SUMS: Final = tuple(f.name for f in fields(Tally))


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarter:
    """A quarter of an hour as it is on record, or a correction of one, which is added to it."""

    starts_at: datetime
    number: int = 0  #: 0 = what was measured; above, the corrections in their order
    tally: Tally = field(default_factory=Tally)
    peak_minute_w: float | None = None  #: the highest mean of a minute; None = no minute was half covered
    evidence: tuple[Evidence, ...] = ()
    reason: str = ""  #: of a correction
    by: str = ""
    recorded_at: datetime | None = None  #: when it was corrected


def quarter_of(at: datetime) -> datetime:
    """When the quarter of `at` begins. `at` is aware UTC."""
    return at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0)


def minutes_of(starts_at: datetime, seconds: float) -> tuple[tuple[datetime, float], ...]:
    """A stretch of time cut at full minutes: each minute with its seconds of it."""
    pieces: list[tuple[datetime, float]] = []
    at, left_s = starts_at, seconds
    while left_s > 0:
        minute_at = at.replace(second=0, microsecond=0)
        room_s = (minute_at + MINUTE - at).total_seconds()
        pieces.append((minute_at, min(room_s, left_s)))
        at, left_s = minute_at + MINUTE, left_s - room_s
    return tuple(pieces)


def quality_seconds(quality: Quality | None, seconds: float) -> dict[str, float]:
    """Under which name of a `Tally` the seconds of a reading count; None = there was no reading."""
    return {f"{quality.value}_s" if quality is not None else "unmetered_s": seconds}


def add_evidence(known: Sequence[Evidence], grant: Grant, energy: Tally) -> tuple[Evidence, ...]:
    """The evidence of a quarter after a stretch of `energy` that was judged by `grant`."""
    new = _evidence(grant)
    index = _place(known, new)
    if index is None and len(known) >= MOST_DOCUMENTS:
        new = replace(new, document="", provenance=FURTHER)
        index = _index(known, [(e.source, e.provenance) for e in known], (new.source, FURTHER))
    if index is None:
        return (*known, _with(new, energy))
    return (*known[:index], _with(_joined(known[index], new), energy), *known[index + 1 :])


def _place(known: Sequence[Evidence], new: Evidence) -> int | None:
    """Where it belongs: to its own interval, or where there are too many to that of the same document."""
    index = _index(known, [_interval(e) for e in known], _interval(new))
    if index is None and len(known) >= MOST_INTERVALS:
        index = _index(known, [_document(e) for e in known], _document(new))
    return index


def _index(known: Sequence[Evidence], keys: Sequence[object], key: object) -> int | None:
    return next((i for i in reversed(range(len(known))) if keys[i] == key), None)


def _evidence(grant: Grant) -> Evidence:
    return Evidence(
        source=grant.source,
        provenance=grant.provenance,
        document=grant.document,
        feeder=grant.feeder,
        starts_at=grant.starts_at,
        newest_at=grant.starts_at,
        ends_at=grant.ends_at,
        is_stale=grant.is_stale,
        least_w=grant.limit_w,
        most_w=grant.limit_w,
    )


def _document(e: Evidence) -> tuple[object, ...]:
    return (e.source, e.document, e.feeder, e.is_stale)


def _interval(e: Evidence) -> tuple[object, ...]:
    """Its end is no part of it: it may have moved meanwhile."""
    return (*_document(e), e.provenance, e.newest_at, e.least_w, e.most_w)


def _joined(old: Evidence, new: Evidence) -> Evidence:
    is_same = old.newest_at == new.starts_at
    return replace(
        old,
        newest_at=new.starts_at,
        ends_at=new.ends_at,
        intervals=old.intervals + (0 if is_same else 1),
        least_w=min(old.least_w, new.least_w),
        most_w=max(old.most_w, new.most_w),
    )


def _with(evidence: Evidence, energy: Tally) -> Evidence:
    names = ("covered_s", "over_limit_s", "firm_wh", "granted_wh", "breach_wh")
    return replace(evidence, **{n: getattr(evidence, n) + getattr(energy, n) for n in names})
