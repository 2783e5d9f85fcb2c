"""What mining brings: the figures it is reckoned from, who told them, and what machines make of a MWh."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query

from api.context import Here, Person
from api.wire.hashprice import (
    FiguresQuery,
    FiguresTold,
    FiguresView,
    HashpriceQuery,
    HashpriceView,
    NewFigures,
)
from scheduler.core.earnings import TABLE_J_PER_TH, GroupEarning, MachineEarning, PartnerEarning, earnings
from scheduler.core.hashprice import ChainFigures
from scheduler.core.revenue import earning, is_known, not_usable
from scheduler.store.figures import FiguresSpan, KeptFigures

router = APIRouter(prefix="/hashprice", tags=["mining"])
_PPM = 1_000_000


@router.get("")
def show_hashprice(query: Annotated[HashpriceQuery, Query()], here: Here) -> HashpriceView:
    """Show what mining brings: hashprice, by the MWh, per partner and fleet; on whose word, and how old that is."""
    kept, at = here.desk.figures(), datetime.now(UTC)
    figures = None if kept is None else kept.figures
    newest = here.outlooks.newest()
    found = () if newest is None else earnings(newest.snapshot.site, newest.snapshot.groups, figures, at)
    facts = {
        "at": at,
        "figures": None if kept is None else _kept(kept),
        "age_s": None if figures is None else round(figures.age_s(at), 1),
        "is_stale": figures is not None and figures.is_stale(at),
        "why": not_usable(figures, at) or None,
        "per_mwh": [_per_mwh(j, figures, at) for j in TABLE_J_PER_TH],
        "read_at": None if newest is None else newest.snapshot.at,
        "partners": [_partner(p, machines=query.machines) for p in found],
    }
    return HashpriceView.model_validate(facts)


@router.post("", status_code=201)
def tell_figures(body: NewFigures, here: Here, person: Person) -> FiguresView:
    """Tell price of bitcoin, difficulty, height and fees, on the record with who told them."""
    told = ChainFigures(
        **body.model_dump(exclude={"as_of_at", "corrects"}),
        as_of_at=body.as_of_at or datetime.now(UTC),
        stale_after_s=here.settings.figures_stale_after_s,
    )
    kept = here.desk.tell_figures(told, by=person, corrects=body.corrects)
    here.waker.wake()
    return FiguresView.model_validate(_kept(kept))


@router.get("/history")
def list_figures(query: Annotated[FiguresQuery, Query()], here: Here) -> FiguresTold:
    """List the figures that were ever taken in, what was told last first."""
    span = FiguresSpan(since_at=query.since, until_at=query.until)
    page = here.desk.figures_told(span, limit=query.limit, after=query.after)
    return FiguresTold.model_validate({"figures": [_kept(k) for k in page.kept], "next": page.next})


def _kept(kept: KeptFigures) -> dict[str, Any]:
    told = kept.figures
    names = ("as_of_at", "source", "btc_micro", "difficulty", "height", "fees_sat", "subsidy_sat")
    return {
        **{name: getattr(told, name) for name in (*names, "hashprice_micro", "stale_after_s")},
        "number": kept.number,
        "told_at": kept.told_at,
        "origin": kept.origin,
        "by": kept.by or None,
        "corrects": kept.corrects,
    }


def _per_mwh(joule_per_th: float, figures: ChainFigures | None, at: datetime) -> dict[str, Any]:
    return {
        "joule_per_th": joule_per_th,
        "micro_per_mwh": earning(joule_per_th, figures, at).micro_per_mwh,
    }


def _partner(found: PartnerEarning, *, machines: bool) -> dict[str, Any]:
    return {
        **_earns(found.partner_id, found),
        "pool_fee": found.pool.fee_ppm / _PPM,
        "pool_scheme": found.pool.scheme,
        "follows": found.follows,
        "groups": [
            {
                **_earns(g.group_id, g),
                "machines": [_machine(m) for m in g.machines] if machines else None,
            }
            for g in found.groups
        ],
    }


def _earns(name: str, found: PartnerEarning | GroupEarning) -> dict[str, Any]:
    return {
        "name": name,
        "draw_w": found.draw_w,
        "joule_per_th": found.efficiency.joule_per_th,
        "known_share": found.efficiency.known_share,
        "micro_per_mwh": found.earning.micro_per_mwh,
        "why": found.earning.why or None,
    }


def _machine(found: MachineEarning) -> dict[str, Any]:
    known = is_known(found.joule_per_th)
    return {
        "name": found.miner_id,
        "draw_w": found.draw_w,
        "joule_per_th": found.joule_per_th if known else None,
        "known_share": float(known),
        "micro_per_mwh": found.earning.micro_per_mwh,
        "why": found.earning.why or None,
    }
