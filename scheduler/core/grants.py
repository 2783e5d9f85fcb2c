"""Who granted what the site may draw: by which document, for which feeder, in which interval.

A draw is judged by the highest limit of the last `reaction_s` seconds (`scheduler.core.compliance`): this remembers the
same limits with their givers, so that each second of energy has the name of the one that allowed it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from scheduler.core.envelope import Envelope, Limit, Segment


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A limit in force, with all that is known of who gave it. It holds in [starts_at, ends_at)."""

    limit_w: float
    source: str
    provenance: str = ""
    document: str = ""
    feeder: str = ""
    starts_at: datetime | None = None  #: None = no source gives a limit, or a silent one none that is known
    ends_at: datetime | None = None  #: as known then; None = until further notice
    is_stale: bool = False  #: the source is silent: no more than the firm level


Grants = tuple[tuple[datetime, Grant], ...]
"""Since when each was in force, oldest first."""


def grant_of(limit: Limit, envelopes: Iterable[Envelope], at: datetime) -> Grant:
    """The limit in force at `at`, with its interval."""
    envelope = next((e for e in envelopes if e.source == limit.source), None)
    starts_at, ends_at = _interval(envelope, limit, at) if envelope is not None else (None, None)
    return Grant(
        limit_w=limit.limit_w,
        source=limit.source,
        provenance=limit.provenance,
        document=limit.document,
        feeder=limit.feeder,
        starts_at=starts_at,
        ends_at=ends_at,
        is_stale=limit.stale,
    )


def note_grant(known: Grants, grant: Grant, *, at: datetime, reaction_s: float) -> Grants:
    """Remember who grants what from `at` on, as long as `note_limit` remembers the watts.

    An end that moves is no new grant: it replaces the one before it.
    """
    last = known[-1][1] if known else None
    if last is not None and replace(last, ends_at=grant.ends_at) == grant:
        grown = (*known[:-1], (known[-1][0], grant))
    else:
        grown = (*known, (at, grant))
    horizon = at - timedelta(seconds=reaction_s)
    first = max((i for i, (since, _) in enumerate(grown) if since <= horizon), default=0)
    return grown[first:]


def lasts(known: Grants, at: datetime) -> bool:
    """Whether one grant is all that is remembered, and it holds at `at`, too, as long as nobody tells anything else.

    Of a silent source that is not known.
    """
    if len(known) != 1 or (grant := known[0][1]).is_stale:
        return False
    return (grant.starts_at is None or grant.starts_at <= at) and (
        grant.ends_at is None or at < grant.ends_at
    )


def judged_by(known: Grants) -> Grant:
    """The one that a draw is judged by: the highest of those remembered, of equals the newest."""
    return max((grant for _, grant in reversed(known)), key=lambda g: g.limit_w)


def _interval(envelope: Envelope, limit: Limit, at: datetime) -> tuple[datetime | None, datetime | None]:
    """The segment that the limit comes from, up to the next one or the end. A stale one has no known end."""
    segments = envelope.segments
    then = envelope.read_at if limit.stale and not _is_from(envelope.limit_at(at), limit) else at
    index = bisect_right(segments, then, key=lambda s: s.starts_at)
    if not index:
        return None, None
    following = segments[index].starts_at if index < len(segments) else None
    ends = [end for end in (following, envelope.valid_until) if end is not None]
    return segments[index - 1].starts_at, None if limit.stale else min(ends, default=None)


def _is_from(segment: Segment | None, limit: Limit) -> bool:
    return segment is not None and (segment.provenance, segment.document) == (
        limit.provenance,
        limit.document,
    )
