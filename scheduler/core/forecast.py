"""How likely it is that the site goes dark without a word: learned from its own record of the limit, by counting.

A *loss* is a fall of the limit below the firm level that nobody foretold in time: what is not saved is gone.
What is counted: the seconds for which the site was lit, and the losses, both by four traits of the moment: for how long
it had been lit, the hour of the day, the part of the hour (markets settle by the clock), and how far the limit was
above the firm level. The rate of losses is that of all times together, times what each trait makes of it:

    rate(t) = (losses + w) / (lit_s + w PRIOR_S) * product over traits of (losses_b + 1) / (expected_b + 1)

where `expected_b` losses would have fallen into the trait's present bin b if it made no difference. The ones are
Laplace's: a bin of which little was seen is taken for ordinary; w = `_PRIOR` is what the guess of before anything was
seen weighs. What is older counts for less, by half each `HALF_S`. Moments are told apart by whole parts of an hour.
A forecast raises no limit: it says how often to save, and nothing else follows from it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from scheduler.core.envelope import Envelope, changes, lowest

PRIOR_S = 14 * 86_400.0  #: before anything was seen, one loss in so long
HALF_S = 28 * 86_400.0
TOLD_S = 120.0  #: who is told so long before can save: then nothing is lost
PART_S = 300.0  #: the finest part of an hour that is told apart
_PRIOR = 0.05  #: losses
_COUNTED_EACH = timedelta(hours=1)
_AHEAD = timedelta(hours=1)  #: as far as is looked for what is announced
_AGES_S = (600.0, 1800.0, 7200.0, 28_800.0)
_LEVELS = (1.5, 2.5, 4.0)  #: times the firm level
_BINS = (len(_AGES_S) + 1, 24, round(3600 / PART_S), len(_LEVELS) + 1)
_MOST = 50.0  #: no moment is taken for so many times as dangerous, or as safe, as another

Counts = tuple[tuple[float, ...], ...]
"""By trait, by bin."""


_NONE: Counts = tuple((0.0,) * bins for bins in _BINS)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRecord:
    """What was seen of the limit up to `at`."""

    at: datetime
    limit_w: float  #: since `at`
    lit_since_at: datetime | None = None  #: None = dark
    told_since_at: datetime | None = None  #: since when it is known that it goes dark
    lit_s: Counts = _NONE
    losses: Counts = _NONE

    @property
    def has_losses(self) -> bool:
        """Whether there ever was one."""
        return sum(self.losses[0]) > 0


def noted(
    record: LimitRecord | None, envelopes: Sequence[Envelope], *, at: datetime, firm_w: float
) -> LimitRecord:
    """The record with what the limit is at `at`. The same one while nothing of it changed, but for once an hour."""
    limit_w = lowest(envelopes, at, now=at, firm_w=firm_w).limit_w
    if record is None:
        record = LimitRecord(at=at, limit_w=limit_w, lit_since_at=None if limit_w < firm_w else at)
    elif limit_w != record.limit_w:
        record = _moved(counted(record, at, firm_w=firm_w), limit_w, firm_w=firm_w)
    elif at - record.at >= _COUNTED_EACH:
        record = counted(record, part_of(at), firm_w=firm_w)
    told_at = None
    if record.lit_since_at is not None and goes_dark_at(envelopes, at=at, firm_w=firm_w) is not None:
        told_at = record.told_since_at or at
    return record if told_at == record.told_since_at else replace(record, told_since_at=told_at)


def resumed(record: LimitRecord, at: datetime) -> LimitRecord:
    """What was learned, for whoever looks again from `at` on: nobody knows what the limit was in between."""
    return replace(record, at=at, limit_w=0.0, lit_since_at=None, told_since_at=None)


def goes_dark_at(envelopes: Sequence[Envelope], *, at: datetime, firm_w: float) -> datetime | None:
    """When the limit is known to fall below the firm level within the next hour; None = not that anybody knows."""
    return next(
        (
            t
            for t in changes(envelopes, after=at, until=at + _AHEAD)
            if lowest(envelopes, t, now=at, firm_w=firm_w).limit_w < firm_w
        ),
        None,
    )


def _moved(record: LimitRecord, limit_w: float, *, firm_w: float) -> LimitRecord:
    """The limit is another from `record.at` on."""
    at, lit_at = record.at, record.lit_since_at
    if limit_w >= firm_w:
        return replace(record, limit_w=limit_w, lit_since_at=lit_at or at)
    told_at = record.told_since_at
    is_lost = lit_at is not None and (told_at is None or (at - told_at).total_seconds() < TOLD_S)
    losses = record.losses
    if is_lost:
        losses = _added(losses, _bins(record, at, record.limit_w, firm_w), 1.0)
    return replace(record, limit_w=limit_w, lit_since_at=None, told_since_at=None, losses=losses)


def counted(record: LimitRecord, until: datetime, *, firm_w: float) -> LimitRecord:
    """The record with the time from its `at` to `until` counted in, the limit being what it was."""
    span_s = (until - record.at).total_seconds()
    if span_s <= 0:
        return record
    kept = 0.5 ** (span_s / HALF_S)
    lit_s = [[n * kept for n in row] for row in record.lit_s]
    losses = tuple(tuple(n * kept for n in row) for row in record.losses)
    begins = record.at if record.lit_since_at is not None else until
    while begins < until:
        ends = min(until, part_of(begins) + timedelta(seconds=PART_S))
        for row, b in zip(lit_s, _bins(record, begins, record.limit_w, firm_w), strict=True):
            row[b] += (ends - begins).total_seconds()
        begins = ends
    return replace(record, at=until, lit_s=tuple(map(tuple, lit_s)), losses=losses)


def loss_rate_per_s(record: LimitRecord, at: datetime, *, firm_w: float) -> float:
    """How many losses a second are to be expected at `at`, if the site is lit until then."""
    lit_s, losses = sum(record.lit_s[0]), sum(record.losses[0])
    ordinary = losses / lit_s if lit_s > 0 else 0.0
    times = 1.0
    for trait, b in enumerate(_bins(record, part_of(at), record.limit_w, firm_w)):
        times *= (record.losses[trait][b] + 1.0) / (ordinary * record.lit_s[trait][b] + 1.0)
    return (losses + _PRIOR) / (lit_s + _PRIOR * PRIOR_S) * min(_MOST, max(1.0 / _MOST, times))


def part_of(at: datetime) -> datetime:
    """When the part of the hour began in which this moment is."""
    seconds = (at.minute * 60 + at.second) % PART_S
    return at - timedelta(seconds=seconds, microseconds=at.microsecond)


def _bins(record: LimitRecord, at: datetime, limit_w: float, firm_w: float) -> tuple[int, ...]:
    """The bin of a moment by each trait."""
    lit_s = (at - (record.lit_since_at or at)).total_seconds()
    level = limit_w / firm_w if firm_w > 0 else float("inf")
    part = int((at.minute * 60 + at.second) // PART_S)
    return bisect_left(_AGES_S, lit_s), at.hour, part, bisect_right(_LEVELS, level)


def _added(counts: Counts, bins: tuple[int, ...], amount: float) -> Counts:
    return tuple((*row[:b], row[b] + amount, *row[b + 1 :]) for row, b in zip(counts, bins, strict=True))
