"""Mining partners: what each may draw, until when, and why it is no more; and what was settled with it so far."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter

from api.context import Asking, Here
from api.openapi import errors
from api.problems import Refused
from api.wire.partners import Partners, PartnerView
from barq.roles import Role
from scheduler.store.settlement_desk import Stretch

router = APIRouter(prefix="/partners", tags=["site"])


@router.get("")
def list_partners(here: Here, asking: Asking) -> Partners:
    """Show each partner's grant, and this month and today as settled so far; the money to operators only.

    None before the scheduler ran, or if there are no miners.
    """
    document = here.desk.current("partners")
    if document is None:
        return Partners(partners=[])
    told = json.loads(document.text)
    weights = {one["name"]: one["weight"] for one in told["partners"]}
    month, today = here.desk.settlement.so_far()
    may_see_money = asking.caller.role.includes(Role.OPERATOR)
    for one in told["partners"]:
        name, terms = one["name"], here.settings.contracts.get(one["name"])
        one["max_curtailed_s"] = None if terms is None else terms.max_curtailed_s
        one["month"] = _so_far(month, name, weights, may_see_money=may_see_money)
        one["today"] = _so_far(today, name, weights, may_see_money=may_see_money)
    return Partners.model_validate({**told, "shadow": here.desk.is_shadow})


@router.get("/{name}", responses=errors(404))
def show_partner(name: str, here: Here, asking: Asking) -> PartnerView:
    """Show one partner's grant, and this month and today as settled so far."""
    partners = list_partners(here, asking).partners
    found = next((one for one in partners if one.name == name), None)
    if found is None:
        known = ", ".join(one.name for one in partners) or "none"
        raise Refused(
            404,
            "not_found",
            f"there is no mining partner {name!r}",
            remedy=f"use one of: {known}",
        )
    return found


def _so_far(
    stretch: Stretch, name: str, weights: Mapping[str, int], *, may_see_money: bool
) -> dict[str, Any] | None:
    own = stretch.sums.get(name)
    if own is None:
        return None
    return {
        "since_at": stretch.since_at,
        "until_at": stretch.until_at,
        "metered_ws": own.metered_ws,
        "granted_ws": own.granted_ws,
        "curtailed_ws": own.curtailed_ws,
        "curtailed_s": own.curtailed_ms / 1000,
        "charge_micro": own.charge_micro if may_see_money else None,
        "credit_micro": own.credit_micro if may_see_money else None,
        "share": own.share_of(stretch.sums.values()),
        "due_share": weights[name] / sum(weights.values()),
        "unpriced": own.unpriced,
        "notices": own.notices,
        "notices_missed": own.notices_missed,
    }
