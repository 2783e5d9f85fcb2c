"""Where a forecast that was made from the history of the limit counts: where no source says or foresees anything.

What sources publish for a time that has an end is known, and what they foresee themselves is better founded: there
nothing is filled in. What they publish until further notice is how it is now. Like every forecast it is planned on, and
no limit: see `scheduler.core.foresight`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

from scheduler.core.envelope import Envelope, Foreseen

HISTORY = "history"
"""Who such a forecast is by."""
_FOR_EVER = datetime.max.replace(tzinfo=UTC)

Span = tuple[datetime, datetime]


def filled(envelopes: Sequence[Envelope], learned: Sequence[Foreseen]) -> tuple[Envelope, ...]:
    """The envelopes, those without a forecast with what was learned, where none of them covers the time."""
    steps = uncovered(learned, covered(envelopes))
    if not any(step.quantiles for step in steps):
        return tuple(envelopes)
    return tuple(e if e.forecast else replace(e, forecast=steps, forecast_by=HISTORY) for e in envelopes)


def covered(envelopes: Iterable[Envelope]) -> list[Span]:
    """The times for which some source publishes a limit with an end, or foresees one itself: in order, apart."""
    spans = sorted(span for e in envelopes for span in (*_published(e), *_foreseen(e)) if span[0] < span[1])
    joined: list[Span] = []
    for begins_at, ends_at in spans:
        if joined and begins_at <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], ends_at))
        else:
            joined.append((begins_at, ends_at))
    return joined


def uncovered(learned: Sequence[Foreseen], spans: Sequence[Span]) -> tuple[Foreseen, ...]:
    """What was learned, with nothing in its place within the spans."""
    if not learned:
        return ()
    instants = {f.starts_at for f in learned} | {t for span in spans for t in span}
    steps: list[Foreseen] = []
    for at in sorted(t for t in instants if learned[0].starts_at <= t < _FOR_EVER):
        known = learned[bisect_right(learned, at, key=lambda f: f.starts_at) - 1]
        inside = bisect_right(spans, at, key=lambda span: span[0])
        is_covered = inside > 0 and at < spans[inside - 1][1]
        quantiles = () if is_covered else known.quantiles
        if not steps or steps[-1].quantiles != quantiles:
            steps.append(Foreseen(starts_at=at, quantiles=quantiles))
    return tuple(steps)


def _published(envelope: Envelope) -> Iterable[Span]:
    """Segments of which it is said when they end."""
    starts = [s.starts_at for s in envelope.segments]
    if envelope.valid_until is not None:
        starts = [*(t for t in starts if t < envelope.valid_until), envelope.valid_until]
    return pairwise(starts)


def _foreseen(envelope: Envelope) -> Iterable[Span]:
    """Steps of its own forecast; the last one has no end, unless it foresees nothing."""
    steps = envelope.forecast
    ends = [*(f.starts_at for f in steps[1:]), _FOR_EVER]
    return ((f.starts_at, end) for f, end in zip(steps, ends, strict=False) if f.quantiles)
