"""The mining partners as people see them: the JSON document behind `/partners`, and what is told of their floors."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from scheduler.core.decide import Decision
from scheduler.core.envelope import changes, lowest
from scheduler.core.ledger import OpenOrder
from scheduler.core.partner_grants import PartnerGrant, floor_events, lacking, partner_grants
from scheduler.core.reasons import Event, Reason
from scheduler.core.snapshot import Snapshot

PARTNERS = "partners"  #: the name of the document
_AHEAD = timedelta(days=366)


class Floors:
    """Whose floor is missed and since when, and what of that is not on record yet: a store that is down loses none."""

    def __init__(self) -> None:
        self._since: Mapping[str, datetime] = {}
        self.events: tuple[Event, ...] = ()

    def look(self, grants: Iterable[PartnerGrant], at: datetime) -> None:
        """Take in what partners are due."""
        found = tuple(grants)
        self.events += tuple(floor_events(self._since, found, at))
        self._since = lacking(self._since, found, at)

    def recorded(self, events: Collection[Event]) -> None:
        """These are on record now."""
        self.events = tuple(e for e in self.events if e not in events)


def told_of_partners(
    snapshot: Snapshot, decision: Decision, orders: Mapping[str, OpenOrder], floors: Floors
) -> dict[str, Any]:
    """The document; `floors` learns which are missed."""
    grants = partner_grants(snapshot, decision, orders)
    floors.look(grants, snapshot.at)
    return partners_document(snapshot, decision, grants)


def partners_document(
    snapshot: Snapshot, decision: Decision, grants: Iterable[PartnerGrant]
) -> dict[str, Any]:
    """What `/partners` shows: each grant, how the surplus is divided, and what is known to change next."""
    return {
        "at": snapshot.at.isoformat(),
        "mode": snapshot.site.mode.name,
        "division": "; ".join(reason.text for reason in decision.sharing),
        "next_change": _next_change(snapshot),
        "partners": [
            {**_partner(grant), "hours_spent": grant.partner.partner_id in snapshot.spent} for grant in grants
        ],
    }


def _partner(grant: PartnerGrant) -> dict[str, Any]:
    partner, filled = grant.partner, {node for _, node in grant.fillers}
    return {
        "name": partner.partner_id,
        "groups": [group for group in partner.groups if group not in filled],
        "fillers": [{"name": name, "node": node} for name, node in grant.fillers],
        "weight": partner.weight,
        "tier": partner.tier,
        "floor_w": partner.floor_w,
        "cap_w": partner.cap_w,
        "granted_w": grant.granted_w,
        "until_at": grant.until_at.isoformat() if grant.until_at else None,
        "then_w": grant.then_w,
        "acknowledged": grant.is_followed,
        "rest_w": grant.rest_w,
        "draw_w": grant.draw_w,
        "due_w": grant.due_w,
        "wants_w": grant.wants_w,
        "owed_wh": grant.owed_wh,
        "machines": grant.machines,
        "machines_on": grant.machines_on,
        "why": [_reason(reason) for reason in grant.reasons],
    }


def _reason(reason: Reason) -> dict[str, Any]:
    return {
        "code": reason.code,
        "text": reason.text,
        "numbers": dict(reason.numbers),
        "remedy": reason.remedy,
    }


def _next_change(snapshot: Snapshot) -> dict[str, Any] | None:
    """Of the site's limit: what that leaves a partner then depends on what AI uses, and is told by nobody."""
    for at in changes(snapshot.envelopes, after=snapshot.at, until=snapshot.at + _AHEAD):
        limit = lowest(snapshot.envelopes, at, now=snapshot.at, firm_w=snapshot.site.firm_w)
        return {"at": at.isoformat(), "limit_w": limit.limit_w}
    return None
