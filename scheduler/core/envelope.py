"""How much the site may draw, when, on whose word: envelopes and their combination (DESIGN section 4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from scheduler.core.altered import swift

OPERATOR = "operator"
"""Who limits are by that people set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """From `starts_at` on, the limit is `limit_w`, until the next segment."""

    starts_at: datetime
    limit_w: float
    provenance: str = ""  #: in words: document, row, operator's reason
    document: str = ""  #: what its giver calls the document that says so, where there is one
    giver_id: str | None = None
    """What its giver calls it, empty = it gave no name; None = nobody told it: the source worked it out by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantile:
    """The limit will be below `limit_w` with a probability of `share`, by the forecast."""

    share: float  #: above 0, below 1
    limit_w: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """From `starts_at` on the limit is foreseen so, until the next of these. No quantiles = nothing is foreseen."""

    starts_at: datetime
    quantiles: tuple[Quantile, ...]  #: rising in share, not falling in watts


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A piecewise-constant limit from one source, as known at `read_at`.

    A limit that was issued at `issued_at` binds `reaction_s` later at the earliest.
    `valid_until` None = until further notice.
    """

    source: str
    issued_at: datetime
    read_at: datetime
    reaction_s: float
    segments: tuple[Segment, ...]
    valid_until: datetime | None = None
    stale_after_s: float | None = (
        None  #: silent for longer = stale; None = never (a person's limit); < 0 = always
    )
    feeder: str = ""  #: that it is a limit of, where that is known
    domain: str | None = None  #: the power domain below the site's meter that it limits; None = the site
    forecast: tuple[Foreseen, ...] = ()
    """Rising in time. It binds nobody and frees nobody: only `scheduler.core.foresight` looks at it."""
    forecast_by: str = ""
    """Who made the forecast, if not the source itself."""

    def limit_at(self, at: datetime) -> Segment | None:
        """The segment in force at `at`, None before the first one or after the end."""
        if self.valid_until is not None and at >= self.valid_until:
            return None
        return next((s for s in reversed(self.segments) if s.starts_at <= at), None)


@swift
@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """The limit in force at one instant and who binds."""

    limit_w: float
    source: str
    provenance: str
    reaction_s: float
    stale: bool = False
    document: str = ""
    feeder: str = ""


def spans(envelope: Envelope) -> Iterator[tuple[Segment, datetime | None]]:
    """Each segment with its end; None = until further notice. One without any time of its own is left out."""
    following = [*(s.starts_at for s in envelope.segments[1:]), None]
    for segment, then in zip(envelope.segments, following, strict=False):
        ends_at = min((t for t in (then, envelope.valid_until) if t is not None), default=None)
        if ends_at is None or ends_at > segment.starts_at:
            yield segment, ends_at


def unheard(source: str, *, at: datetime, reaction_s: float, domain: str | None = None) -> Envelope:
    """A source that is known to exist and has not spoken yet: silent from the start, so firm is all that counts."""
    return Envelope(
        source=source,
        issued_at=at,
        read_at=at,
        reaction_s=reaction_s,
        segments=(),
        stale_after_s=-1.0,
        domain=domain,
    )


def of_domain(told: Envelope, domain: str | None) -> Envelope:
    """The same as of the domain that its source is bound to; None = the site."""
    return told if told.domain == domain else replace(told, domain=domain)


def unheard_since(told: Envelope) -> Envelope:
    """What a source told an earlier leader: until it is heard again it is silent, and its rises are not trusted."""
    return replace(told, stale_after_s=-1.0)


def at_feeder(envelope: Envelope, feeder: str) -> Envelope:
    """The envelope as one of this feeder, if the site file names it; what the source itself names stands otherwise."""
    return replace(envelope, feeder=feeder) if feeder else envelope


def begun(envelope: Envelope, at: datetime) -> Envelope:
    """The envelope of a person, which holds by `at` at the latest: their word is not for later.

    The clock by which it was written down may be ahead.
    """
    if all(s.starts_at <= at for s in envelope.segments):
        return envelope
    segments = tuple(replace(s, starts_at=min(at, s.starts_at)) for s in envelope.segments)
    return replace(envelope, segments=segments)


def is_stale(envelope: Envelope, at: datetime) -> bool:
    """Whether its source has been silent for too long."""
    age_s = (at - envelope.read_at).total_seconds()
    return envelope.stale_after_s is not None and age_s > envelope.stale_after_s


def limit_of(envelope: Envelope, at: datetime, *, now: datetime, firm_w: float) -> Limit | None:
    """What one source contributes for `at`, judged by its freshness `now`.

    A stale one gives min(its last value, firm), or less where it had announced less: its rises are not trusted.
    """
    segment, stale = envelope.limit_at(at), is_stale(envelope, now)
    if stale:
        known = [s for s in (envelope.limit_at(envelope.read_at), segment) if s is not None]
        segment = min(known, key=lambda s: s.limit_w, default=None)
    if segment is None:
        return (
            Limit(
                limit_w=firm_w,
                source=envelope.source,
                provenance="silent",
                reaction_s=envelope.reaction_s,
                stale=True,
                feeder=envelope.feeder,
            )
            if stale
            else None
        )
    return Limit(
        limit_w=min(segment.limit_w, firm_w) if stale else segment.limit_w,
        source=envelope.source,
        provenance=segment.provenance,
        reaction_s=envelope.reaction_s,
        stale=stale,
        document=segment.document,
        feeder=envelope.feeder,
    )


def lowest(envelopes: Iterable[Envelope], at: datetime, *, now: datetime, firm_w: float) -> Limit:
    """The limit that binds at `at`: the lowest of all sources; the firm level where none says anything."""
    limits = [x for e in envelopes if (x := limit_of(e, at, now=now, firm_w=firm_w)) is not None]
    if not limits:
        return Limit(limit_w=firm_w, source="firm", provenance="no source gives a limit", reaction_s=0.0)
    return limits[0] if len(limits) == 1 else min(limits, key=lambda x: x.limit_w)


def changes(envelopes: Sequence[Envelope], *, after: datetime, until: datetime) -> list[datetime]:
    """The known instants in (after, until] at which some source's limit changes, in order."""
    found = {s.starts_at for e in envelopes for s in e.segments if after < s.starts_at <= until}
    found |= {t for e in envelopes if (t := e.valid_until) is not None and after < t <= until}
    return sorted(found)


def lowest_within(
    envelopes: Sequence[Envelope], at: datetime, *, lead_s: float, now: datetime, firm_w: float
) -> Limit:
    """The lowest limit known for [at, at + lead_s]: a drop that is known applies early by the lead."""
    first = lowest(envelopes, at, now=now, firm_w=firm_w)
    coming = changes(envelopes, after=at, until=at + timedelta(seconds=lead_s))
    if not coming:
        return first
    limits = [first, *(lowest(envelopes, t, now=now, firm_w=firm_w) for t in coming)]
    return min(limits, key=lambda x: x.limit_w)


def window_s(
    envelopes: Sequence[Envelope], needed_w: float, *, now: datetime, horizon_s: float, firm_w: float
) -> float | None:
    """Seconds until the limit is known to fall below `needed_w`; None = not within the horizon as far as is known."""
    if lowest(envelopes, now, now=now, firm_w=firm_w).limit_w < needed_w:
        return 0.0
    for t in changes(envelopes, after=now, until=now + timedelta(seconds=horizon_s)):
        if lowest(envelopes, t, now=now, firm_w=firm_w).limit_w < needed_w:
            return (t - now).total_seconds()
    return None
