"""Settlement with mining partners: statements, balances of the site, adjustments."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query

from api.context import Here, Person, is_job_id
from api.openapi import errors
from api.wire.settlement import (
    AdjustmentView,
    Balances,
    BalanceView,
    BetweenView,
    LinkView,
    LoggedView,
    MonthQuery,
    NewAdjustment,
    Statement,
    TotalsView,
)
from scheduler.core.compliance_report import month_of
from scheduler.core.settled_totals import changes_of, totals_of
from scheduler.store.refusals import InvalidField
from scheduler.store.settlement import Account, Link

router = APIRouter(prefix="/settlement", tags=["settlement"])


@router.get("/statements/{partner}", responses=errors(404))
def statement(partner: str, query: Annotated[MonthQuery, Query()], here: Here) -> Statement:
    """Show a partner's month: each interval and adjustment as written down, and what they come to."""
    account = here.desk.settlement.statement(partner if is_job_id(partner) else "", *_month(query.month))
    return statement_of(account, site=here.settings.site, month=query.month, made_at=datetime.now(UTC))


def statement_of(account: Account, *, site: str, month: str, made_at: datetime) -> Statement:
    """A partner's rows of a month as they are shown, with what they come to."""
    since, until = _month(month)
    return Statement(
        site=site,
        partner=account.party,
        month=month,
        since_at=since,
        until_at=until,
        made_at=made_at,
        links=[_link(link) for link in account.links],
        between=[BetweenView.model_validate(row) for row in account.between],
        logged=None if account.logged is None else LoggedView.model_validate(account.logged),
        measured=TotalsView.model_validate(totals_of(account.rows)),
        adjusted=TotalsView.model_validate(changes_of(account.adjustments)),
    )


@router.get("/balances")
def balances(query: Annotated[MonthQuery, Query()], here: Here) -> Balances:
    """Show where the energy at the site's meter went, by the quarter of an hour."""
    account = here.desk.settlement.balances(*_month(query.month))
    return Balances(
        site=here.settings.site,
        month=query.month,
        balances=[
            BalanceView(
                starts_at=b.starts_at,
                covered_ms=b.covered_ms,
                metered_ms=b.metered_ms,
                site_ws=b.site_ws,
                partners_ws=dict(b.partners_ws),
                ai_ws=b.ai_ws,
                overhead_ws=b.overhead_ws,
                losses_ws=b.losses_ws,
                link=link.link,
                hash=link.hash,
            )
            for b, link in sorted(
                zip(account.balances, account.links, strict=True),
                key=lambda pair: (pair[0].starts_at, pair[1].number),
            )
        ],
    )


@router.post("/adjustments", status_code=201, responses=errors(404))
def adjust(body: NewAdjustment, here: Here, person: Person) -> AdjustmentView:
    """Add to an interval that is over. It stays listed, with who did it and why; the interval is not edited."""
    change = body.change()
    if not (change.metered_ws or change.curtailed_ws or change.charge_micro or change.credit_micro):
        remedy = "give metered_ws, curtailed_ws, charge_micro or credit_micro"
        raise InvalidField("metered_ws", body.metered_ws, remedy)
    made = here.desk.settlement.adjust(body.partner, body.starts_at, change, reason=body.reason, by=person)
    return AdjustmentView.model_validate(made)


def _month(text: str) -> tuple[datetime, datetime]:
    return month_of(int(text[:4]), int(text[5:]), UTC)


def _link(link: Link) -> LinkView:
    return LinkView(
        link=link.link,
        number=link.number,
        row=json.loads(link.body),
        hash_before=link.hash_before,
        hash=link.hash,
    )
