"""Limited power domains as people see them: what each may draw, on whose word, does and could at most."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from scheduler.core.domains import Zone, zones_of
from scheduler.core.feeding import FILE, limits_ahead, limits_in_force
from scheduler.core.ledger import exposure_w
from scheduler.core.reasons import Event
from scheduler.core.snapshot import Snapshot

SITE_CHANGED: Final = "limit.changed"
CHANGED: Final = "domain.limit_changed"
_AHEAD = timedelta(days=366)
Told = Mapping[str, tuple[float, str]]
"""Watts and who says so, by domain."""


def domain_documents(snapshot: Snapshot) -> list[dict[str, Any]]:
    """All limited domains, the outer ones first."""
    zones = zones_of(snapshot.site.domains, snapshot.groups, limits_in_force(snapshot))
    changes = _next_changes(snapshot)
    return [
        _domain(zone, snapshot) | {"next_change": changes.get(zone.name)} for zone in reversed(zones.limited)
    ]


def _domain(zone: Zone, snapshot: Snapshot) -> dict[str, Any]:
    groups = [(snapshot.groups[gid], factor) for gid, factor in zone.factors.items()]
    at, fall_s = snapshot.at, snapshot.site.fall_s
    level = next((d.firm_w for d in snapshot.site.domains if d.name == zone.name), None)
    return {
        "name": zone.name,
        "limit_w": zone.limit_w,
        "limit_source": zone.source or FILE,
        "limit_provenance": zone.provenance,
        "limit_stale": zone.stale,
        "firm_w": level,
        "draw_w": sum(factor * g.draw_w for g, factor in groups),
        "committed_w": sum(factor * exposure_w(g.account, at, fall_s=fall_s) for g, factor in groups),
    }


def _next_changes(snapshot: Snapshot) -> dict[str, dict[str, Any]]:
    """The next limit of each domain that is known to have another."""
    now, found = limits_in_force(snapshot), dict[str, dict[str, Any]]()
    for at, limits in limits_ahead(snapshot, after=snapshot.at, until=snapshot.at + _AHEAD):
        for name, limit in limits.items():
            if name not in found and limit.limit_w != now[name].limit_w:
                found[name] = {"at": at.isoformat(), "limit_w": limit.limit_w}
        if found.keys() == now.keys():
            break
    return found


def told_below(snapshot: Snapshot) -> Told:
    """What sources of domains allow at this instant."""
    return {name: (x.limit_w, x.source) for name, x in limits_in_force(snapshot).items()}


def limit_events(snapshot: Snapshot, before: Told) -> list[Event]:
    """That the limit of a domain is another, or another's, than `before`."""
    limits = limits_in_force(snapshot)
    return [
        _changed(
            name, before.get(name), snapshot.at, limit_w=x.limit_w, by=(x.source, x.provenance), stale=x.stale
        )
        for name, x in limits.items()
        if before.get(name) != (x.limit_w, x.source)
    ]


def limits_told(events: Iterable[Event]) -> Told:
    """What these events say of limits, by domain; "" = the site."""
    found = {}
    for event in events:
        if event.kind in (SITE_CHANGED, CHANGED):
            domain, limit_w, source = (event.data.get(k) for k in ("domain", "limit_w", "source"))
            found[str(domain or "")] = (float(limit_w or 0.0), str(source))
    return found


def _changed(
    name: str,
    before: tuple[float, str] | None,
    at: datetime,
    *,
    limit_w: float,
    by: tuple[str, str],
    stale: bool,
) -> Event:
    source, provenance = by
    was = f" (was {before[0] / 1000:.1f} kW)" if before else ""
    text = f"{name}: {source} allows {limit_w / 1000:.1f} kW{was}: {provenance}"
    data: dict[str, str | float | int | bool | None] = {
        "domain": name,
        "limit_w": limit_w,
        "source": source,
        "stale": stale,
    }
    return Event(at=at, kind=CHANGED, text=text, data=data)
