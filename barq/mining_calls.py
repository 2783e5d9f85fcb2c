"""The verbs that concern mining, as the requests that they are: machines, what they bring, their owners. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from barq.calls import Call, get, post

if TYPE_CHECKING:
    from barq.machine_views import MachineHistory, MachineRecord, MachinesWished, MinerPage
    from barq.partner_views import PartnersView, PartnerView
    from barq.reporting.settlement_views import AdjustmentView, BalancesView, StatementView
    from barq.revenue_views import FiguresPage, FiguresView, HashpriceView


def miners(
    *, group: str | None, partner: str | None, condition: str | None, limit: int, after: str | None
) -> Call[MinerPage]:
    """One page of the machines of miner groups."""
    params = {"group": group, "partner": partner, "condition": condition}
    return get("/miners", {**params, "limit": limit, "after": after})


def miner(miner_id: str) -> Call[MachineRecord]:
    """One miner."""
    return get(_miner_path(miner_id))


def miner_history(miner_id: str, *, limit: int, after: str | None) -> Call[MachineHistory]:
    """What changed of a miner."""
    return get(_miner_path(miner_id, "history"), {"limit": limit, "after": after})


def wish_of_miners(
    wish: str, *, miners: Sequence[str] | None, group: str | None, reason: str
) -> Call[MachinesWished]:
    """Pause, protect or let miners be."""
    which = {"group": group} if miners is None else {"miners": list(miners)}
    return post("/miners:wish", {"wish": wish, "reason": reason, **which})


def hashprice(*, machines: bool) -> Call[HashpriceView]:
    """What mining brings."""
    return get("/hashprice", {"machines": "true" if machines else None})


def tell_figures(body: Mapping[str, Any]) -> Call[FiguresView]:
    """Tell figures of the chain."""
    return post("/hashprice", {k: v for k, v in body.items() if v is not None})


def figures_told(*, since: str | None, until: str | None, limit: int, after: str | None) -> Call[FiguresPage]:
    """One page of the figures that were taken in."""
    return get("/hashprice/history", {"since": since, "until": until, "limit": limit, "after": after})


def partners() -> Call[PartnersView]:
    """What each mining partner may draw."""
    return get("/partners")


def partner(name: str) -> Call[PartnerView]:
    """What one of them may draw."""
    return get(f"/partners/{quote(name, safe='', errors='replace')}")


def settlement(partner: str, month: str) -> Call[StatementView]:
    """A partner's month."""
    return get(f"/settlement/statements/{quote(partner, safe='', errors='replace')}", {"month": month})


def balances(month: str) -> Call[BalancesView]:
    """Where a month's energy went."""
    return get("/settlement/balances", {"month": month})


def adjust_settlement(change: Mapping[str, Any]) -> Call[AdjustmentView]:
    """Add to an interval of settlement."""
    return post("/settlement/adjustments", change)


def _miner_path(miner_id: str, verb: str = "") -> str:
    return f"/miners/{quote(miner_id, safe='', errors='replace')}" + (f"/{verb}" if verb else "")
