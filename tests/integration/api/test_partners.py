"""Mining partners over HTTP: their grants, and what was settled with them so far."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scheduler.core.curtailment import Cause
from scheduler.core.partners import Partner
from scheduler.store.database import writing
from scheduler.store.settlement import record_intervals
from scheduler.store.settlement_days import day_of
from tests.api_site import ApiSite, two_nodes
from tests.settled import MWH, draft, energy, interval, terms

PARTNERS = (Partner(partner_id="north", groups=("n",), weight=3), Partner(partner_id="south", groups=("s",)))


async def shown(site: ApiSite) -> None:
    """Have two partners' grants told, and a quarter of today settled with each."""
    built = two_nodes().miners("n", max_w=4000).miners("s", max_w=4000)
    built.site = replace(built.site, partners=PARTNERS)
    await site.show(built)
    began_at = day_of(datetime.now(UTC))
    north = draft(replace(energy(MWH, {Cause.GRID: MWH // 10}), curtailed_ms=90_000))
    one = interval(north, draft(energy(MWH), contract=terms("south")))
    drafts = tuple(replace(d, starts_at=began_at) for d in one.drafts)
    with writing(site.context.desk._engine) as session:
        record_intervals(
            session, [replace(one, balance=replace(one.balance, starts_at=began_at), drafts=drafts)]
        )


def north_of(found: Any) -> Any:
    """One of them."""
    return next(one for one in found["partners"] if one["name"] == "north")


async def test_partners_are_shown_with_their_month_and_day(site: ApiSite) -> None:
    """Energy, money, how long they were curtailed, and their share beside what their weight is due."""
    await shown(site)
    one = north_of(await site.get("/partners"))
    assert one == await site.get("/partners/north")
    assert one["month"]["metered_ws"] == one["today"]["metered_ws"] == MWH
    assert (one["today"]["charge_micro"], one["today"]["credit_micro"]) == (52_500_000, 500_000)
    assert (one["today"]["curtailed_ws"], one["today"]["curtailed_s"]) == (MWH // 10, 90.0)
    assert (one["today"]["share"], one["today"]["due_share"]) == (0.5, 0.6)  # the house has one of five
    until_at = datetime.fromisoformat(one["today"]["until_at"])
    assert until_at == day_of(datetime.now(UTC)) + timedelta(minutes=15)
    assert (one["max_curtailed_s"], one["hours_spent"]) == (None, False)


async def test_before_anything_is_settled_nothing_is_said_of_it(site: ApiSite) -> None:
    """That is no error, and no nought."""
    built = two_nodes().miners("n", max_w=4000)
    await site.show(built)
    (house,) = (await site.get("/partners"))["partners"]
    assert (house["month"], house["today"]) == (None, None)


@pytest.mark.parametrize("role, sees", [("viewer", False), ("researcher", False), ("operator", True)])
async def test_money_is_shown_to_operators_only(site: ApiSite, role: str, sees: bool) -> None:
    """The energy to everybody."""
    await shown(site)
    async with site.client_of(role, role) as client:
        one = north_of((await client.get("/api/v1/partners")).json())
    assert one["month"]["metered_ws"] == MWH
    assert (one["month"]["charge_micro"] is not None) is sees
    assert (one["month"]["credit_micro"] is not None) is sees
