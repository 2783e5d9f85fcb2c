"""Orders that guards may still act on, kept so that a new leader counts them (DESIGN section 4).

The store never hears acknowledgements. It drops an order only when a later one makes it irrelevant to the sum of
exposures whatever the guard did, so that what is left gives the same upper bound as all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from scheduler.core.ledger import OpenOrder
from scheduler.store.tables import OpenOrdersRow
from scheduler.store.upsert import upsert
from scheduler.wire import dumps, loads

FALLEN_S = 600.0
"""An order that expired this long ago has had its time to fall: only its fallback counts from then on."""

OpenOrders = tuple[OpenOrder, ...]


def read_open_orders(session: Session) -> dict[str, OpenOrders]:
    """All that may still stand, by group."""
    rows = session.scalars(select(OpenOrdersRow))
    return {row.group_id: loads(OpenOrders, row.orders) for row in rows}


def record_orders(session: Session, orders: Mapping[str, OpenOrder], *, at: datetime) -> None:
    """Add one order per group; drop what it makes irrelevant."""
    here = col(OpenOrdersRow.group_id).in_(list(orders))
    known = {
        r.group_id: loads(OpenOrders, r.orders) for r in session.scalars(select(OpenOrdersRow).where(here))
    }
    rows = [
        {
            "group_id": g,
            "orders": dumps(still_open((*known.get(g, ()), o), at=at)).decode(),
            "recorded_at": at,
        }
        for g, o in orders.items()
    ]
    upsert(session, OpenOrdersRow, rows)


def still_open(orders: Sequence[OpenOrder], *, at: datetime) -> OpenOrders:
    """The orders that matter at `at` and after: none of the others could add to the group's exposure."""
    latest = {o.fence: o for o in orders}  # an order recorded again replaces itself
    rising = [latest[fence] for fence in sorted(latest)]
    return tuple(
        o for i, o in enumerate(rising) if not any(_covers(later, o, at) for later in rising[i + 1 :])
    )


def _covers(later: OpenOrder, order: OpenOrder, at: datetime) -> bool:
    """Whether `later` allows at least as much as `order` at every instant from `at` on."""
    if later.expires_at < order.expires_at or not _rests_as_high(later, order):
        return False
    fallen = order.expires_at + timedelta(seconds=FALLEN_S) <= at
    return fallen or later.entitlement_w >= order.entitlement_w


def _rests_as_high(later: OpenOrder, order: OpenOrder) -> bool:
    """Compares the fallbacks at every step of either. That of `later` starts no sooner, which can only raise it."""
    after_s = {0.0, *(s.after_s for s in later.fallback), *(s.after_s for s in order.fallback)}
    return all(later.step_w(s) >= order.step_w(s) for s in after_s)
