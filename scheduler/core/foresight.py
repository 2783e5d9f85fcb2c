"""What is planned on the forecast of a limit: what starts, and what is told. Never what may be drawn.

Sources may foresee the limit beside publishing it: quantiles for times to come. The limit in force, what is shed and
how long orders stand follow from what is published alone. A forecast only holds a start back, and gives a range to
expected starts:

- what must not be cut (flex tiers up to `KEPT_TIER`) is planned on a low quantile: there, all of it has to run while
  whatever else runs is held;
- everything together is planned on the median, at its knees: less than that is to be expected half of the time, and
  work that may be cut is there for that.

Of several sources the lowest counts, each at the same quantile.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import fsum

from scheduler.core.envelope import Envelope, Foreseen, Limit, Quantile, changes, limit_of
from scheduler.core.plan import Plan
from scheduler.core.snapshot import Snapshot

LOW = 0.1
MEDIAN = 0.5
KEPT_TIER = 1  #: and below: work that is hardly slowed, let alone paused


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """Where a forecast does not carry what is planned on it."""

    at: datetime
    share: float  #: of the quantile that is too low
    source: str
    foreseen_w: float
    needed_w: float  #: as a limit, the margin included
    needed_s: float  #: from now on


def has_forecast(envelopes: Iterable[Envelope]) -> bool:
    """Whether any source foresees anything."""
    return any(e.forecast for e in envelopes)


def word(share: float) -> str:
    """How a quantile is called."""
    return "median" if share == MEDIAN else f"{share * 100:g} % quantile"


def basis(envelopes: Sequence[Envelope], tier: int) -> str | None:
    """On which quantiles a start of a tier is judged, None where nothing is foreseen."""
    sources = ", ".join(dict.fromkeys(e.forecast_by or e.source for e in envelopes if e.forecast))
    if not sources:
        return None
    if tier > KEPT_TIER:
        return f"tier {tier} may be cut, and is planned on the {word(MEDIAN)} of the forecast of {sources}"
    kept = f"the {word(LOW)} of the forecast of {sources}, which has to carry all that must not be cut"
    return f"tier {tier} is planned on {kept}, and on its {word(MEDIAN)} for everything"


def turns(envelopes: Iterable[Envelope], *, after: datetime, until: datetime) -> list[datetime]:
    """The instants in (after, until] at which some source foresees another limit, in order."""
    instants = (f.starts_at for e in envelopes for f in e.forecast)
    return sorted({t for t in instants if after < t <= until})


def next_foreseen(envelope: Envelope, at: datetime) -> tuple[Foreseen, ...]:
    """What a source foresees for `at`, and next. What others made of the past says nothing of the present."""
    begun = _begun(envelope, at)
    first = begun if envelope.forecast_by else max(0, begun - 1)
    return tuple(f for f in envelope.forecast[first : begun + 1] if f.quantiles)


def _begun(envelope: Envelope, at: datetime) -> int:
    """How much of a forecast has begun by then."""
    return bisect_right(envelope.forecast, at, key=lambda f: f.starts_at)


def planned(
    envelopes: Iterable[Envelope], at: datetime, share: float, *, now: datetime, firm_w: float
) -> tuple[Limit, float | None]:
    """The limit to plan on for `at`, and the share of the quantile if it is one.

    The firm level where no source publishes or foresees anything.
    """
    found = [x for e in envelopes if (x := _of(e, at, share, now=now, firm_w=firm_w)) is not None]
    if found:
        return min(found, key=lambda x: x[0].limit_w)
    return Limit(limit_w=firm_w, source="firm", provenance="no source gives a limit", reaction_s=0.0), None


def _of(
    envelope: Envelope, at: datetime, share: float, *, now: datetime, firm_w: float
) -> tuple[Limit, float | None] | None:
    """One source's part in it: the lower of what it publishes and foresees.

    What it publishes until further notice counts no longer from where on it foresees something. What others made of
    the past says nothing of the present.
    """
    limit = limit_of(envelope, at, now=now, firm_w=firm_w)
    if envelope.forecast_by and at <= now:
        return None if limit is None else (limit, None)
    begun = _begun(envelope, at)
    foreseen = envelope.forecast[begun - 1] if begun else None
    if foreseen is None or not foreseen.quantiles:
        return None if limit is None else (limit, None)
    is_open = envelope.valid_until is None and at > now
    is_open &= not envelope.segments or envelope.segments[-1].starts_at < foreseen.starts_at
    chosen = _quantile(foreseen.quantiles, share)
    if limit is not None and (limit.stale or not is_open) and limit.limit_w <= chosen.limit_w:
        return limit, None
    text = f"{word(chosen.share)} of its forecast"
    told = Limit(
        limit_w=chosen.limit_w,
        source=envelope.forecast_by or envelope.source,
        provenance=text,
        reaction_s=envelope.reaction_s,
    )
    return told, chosen.share


def _quantile(quantiles: Sequence[Quantile], share: float) -> Quantile:
    """The highest one that is not above what is asked for, or the lowest there is."""
    return quantiles[max(0, bisect_right(quantiles, share, key=lambda q: q.share) - 1)]


def shortfall(
    plan: Plan, snapshot: Snapshot, *, tier: int, needed_s: float, more_w: float = 0.0
) -> Shortfall | None:
    """Where the forecast is too low within `needed_s` for the plan and `more_w` of a tier; None if it is not.

    Mining gives way before that.
    """
    envelopes, margin = snapshot.envelopes, snapshot.margin
    if not has_forecast(envelopes):
        return None
    asked = {MEDIAN: plan.at_knees_w(tier)}
    if tier <= KEPT_TIER:
        asked = {LOW: kept_w(plan)} | asked
    until = plan.at + timedelta(seconds=needed_s)
    known = {*changes(envelopes, after=plan.at, until=until), *turns(envelopes, after=plan.at, until=until)}
    for share, watts in asked.items():
        needed_w = (watts + more_w - plan.kept_w) / (1.0 - margin)
        for at in (plan.at, *sorted(known)):
            limit, used = planned(envelopes, at, share, now=plan.at, firm_w=plan.site.firm_w)
            if used is not None and limit.limit_w < needed_w:
                return Shortfall(
                    at=at,
                    share=used,
                    source=limit.source,
                    foreseen_w=limit.limit_w,
                    needed_w=needed_w,
                    needed_s=needed_s,
                )
    return None


def kept_w(plan: Plan) -> float:
    """Site watts of the nodes while all that may be cut is held, and the rest runs at its knees."""
    held = (
        gpus * max(0.0, kind.model.charge_w(cap_w) - kind.model.held_w())
        for kind, caps in plan.roster.gpus().items()
        if kind.tier > KEPT_TIER
        for cap_w, gpus in caps.items()
    )
    above_w = plan.roster.above_knees_w(KEPT_TIER) - plan.roster.above_knees_w(KEPT_TIER + 1)
    return plan.nodes_w() - above_w - plan.site.overhead * fsum(held)
