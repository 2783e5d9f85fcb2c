"""The limits of power domains that sources tell: a feeder, a hall or a rack with a giver of its own.

They combine as the site's do: the lowest of all that say something binds, the limit of the wires among them. A source
that fell silent counts min(its last value, the domain's firm level). Where none says anything, and the wires have no
limit, it is the firm level.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from scheduler.core.domains import Domain
from scheduler.core.envelope import Envelope, Limit, changes, limit_of
from scheduler.core.snapshot import Snapshot

FILE = "site file"  #: whose limit the wires' is


def limit_below(
    domain: Domain, envelopes: Sequence[Envelope], at: datetime, *, now: datetime
) -> Limit | None:
    """What a domain may draw at `at`, by all of `envelopes` that are for it; None = it has no sources."""
    told = [e for e in envelopes if e.domain == domain.name]
    if not told:
        return None
    firm_w = domain.firm_w or 0.0
    limits = [x for e in told if (x := limit_of(e, at, now=now, firm_w=firm_w)) is not None]
    if domain.limit_w is not None:
        limits.append(
            Limit(limit_w=domain.limit_w, source=FILE, provenance="what the wires carry", reaction_s=0.0)
        )
    nobody = Limit(limit_w=firm_w, source="firm", provenance="no source gives a limit", reaction_s=0.0)
    return min(limits, key=lambda x: x.limit_w, default=nobody)


def limits_in_force(snapshot: Snapshot) -> dict[str, Limit]:
    """What each domain with sources may draw at this very instant, by name."""
    return _limits(snapshot, snapshot.at)


def limits_now(snapshot: Snapshot) -> dict[str, Limit]:
    """The lowest known from now to the lead: drops that are known apply early."""
    if not snapshot.below:
        return {}
    lead_at = snapshot.at + timedelta(seconds=snapshot.site.lead_s)
    found = _limits(snapshot, snapshot.at)
    for at in changes(snapshot.below, after=snapshot.at, until=lead_at):
        found = {
            name: min(found[name], then, key=lambda x: x.limit_w)
            for name, then in _limits(snapshot, at).items()
        }
    return found


def limits_ahead(
    snapshot: Snapshot, *, after: datetime, until: datetime
) -> Iterator[tuple[datetime, Mapping[str, Limit]]]:
    """Each known instant in (after, until] at which a source of a domain says something else, with all limits then."""
    if snapshot.below:
        for at in changes(snapshot.below, after=after, until=until):
            yield at, _limits(snapshot, at)


def _limits(snapshot: Snapshot, at: datetime) -> dict[str, Limit]:
    found = ((d.name, limit_below(d, snapshot.below, at, now=snapshot.at)) for d in snapshot.site.domains)
    return {name: limit for name, limit in found if limit is not None}
