"""The verbs that concern mining, as the requests that they are: machines, what they bring, their owners. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from barq.calls import Call, get, post
from barq.errors import InvalidInput

if TYPE_CHECKING:
    from barq.machine_views import MachineHistory, MachineRecord, MachinesWished, MinerPage
    from barq.partner_views import PartnersView, PartnerView
    from barq.reporting.settlement_views import AdjustmentView, BalancesView, StatementView
    from barq.revenue_views import FiguresPage, FiguresView, HashpriceView
    from barq.views import JoinedGuardView


def miners(
    *, group: str | None, partner: str | None, condition: str | None, limit: int, after: str | None
) -> Call[MinerPage]:
    """One page of the machines of miner groups."""
    params = {"group": group, "partner": partner, "condition": condition}
    return get("/miners", {**params, "limit": limit, "after": after})


def join_guard(name: str, address: str, *, again: bool) -> Call[JoinedGuardView]:
    """Have a machine take on the guards of miners that the site file leaves to it."""
    return post("/miners:join", {"name": name, "address": address, "again": again})


def miner(miner_id: str) -> Call[MachineRecord]:
    """One miner."""
    return get(_miner_path(miner_id))


def miner_history(miner_id: str, *, limit: int, after: str | None) -> Call[MachineHistory]:
    """What changed of a miner."""
    return get(_miner_path(miner_id, "history"), {"limit": limit, "after": after})


def wish_of_miners(
    wish: str, *, miners: Sequence[str] | None, group: str | None, reason: str
) -> Call[MachinesWished]:
    """Pause, protect or let miners be. Raises InvalidInput for neither miners nor a group, and for both."""
    if (miners is None) is (group is None):
        raise InvalidInput(
            "name either miners or a group", field="miners", value=group, remedy="leave one of them out"
        )
    which = {"group": group} if miners is None else {"miners": list(miners)}
    return post("/miners:wish", {"wish": wish, "reason": reason, **which})


def hashprice(*, machines: bool) -> Call[HashpriceView]:
    """What mining brings."""
    return get("/hashprice", {"machines": "true" if machines else None})


def tell_figures(
    *,
    btc_micro: int,
    difficulty: int,
    height: int,
    fees_sat: int,
    source: str,
    as_of_at: str | None,
    corrects: bool,
) -> Call[FiguresView]:
    """Tell figures of the chain."""
    figures = {"btc_micro": btc_micro, "difficulty": difficulty, "height": height, "fees_sat": fees_sat}
    dated = {} if as_of_at is None else {"as_of_at": as_of_at}
    return post("/hashprice", {**figures, "source": source, "corrects": corrects, **dated})


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


def adjust_settlement(
    partner: str,
    starts_at: str,
    *,
    metered_ws: int,
    curtailed_ws: Mapping[str, int] | None,
    charge_micro: int | None,
    credit_micro: int | None,
    reason: str,
) -> Call[AdjustmentView]:
    """Add to an interval of settlement."""
    energy = {"metered_ws": metered_ws, "curtailed_ws": dict(curtailed_ws or {})}
    money = {"charge_micro": charge_micro, "credit_micro": credit_micro}
    which = {"partner": partner, "starts_at": starts_at, "reason": reason}
    return post("/settlement/adjustments", {**which, **energy, **money})


def _miner_path(miner_id: str, verb: str = "") -> str:
    return f"/miners/{quote(miner_id, safe='', errors='replace')}" + (f"/{verb}" if verb else "")
