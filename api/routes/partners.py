"""Mining partners: what each may draw, until when, and why it is no more."""

from __future__ import annotations

import json

from fastapi import APIRouter

from api.context import Here
from api.openapi import errors
from api.problems import Refused
from api.wire.partners import Partners, PartnerView

router = APIRouter(prefix="/partners", tags=["site"])


@router.get("")
def list_partners(here: Here) -> Partners:
    """Show each partner's grant. None before the scheduler ran, or if there are no miners."""
    document = here.desk.current("partners")
    if document is None:
        return Partners(partners=[])
    return Partners.model_validate({**json.loads(document.text), "shadow": here.desk.is_shadow})


@router.get("/{name}", responses=errors(404))
def show_partner(name: str, here: Here) -> PartnerView:
    """Show one partner's grant."""
    partners = list_partners(here).partners
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
