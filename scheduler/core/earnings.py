"""What each partner's, fleet's and machine's MWh brings now, as a site shows it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from scheduler.core.hashprice import ChainFigures
from scheduler.core.orders import GroupKind
from scheduler.core.partners import HOUSE, Partner, PoolTerms, with_house
from scheduler.core.revenue import Earning, Efficiency, drawn_efficiency, earning
from scheduler.core.snapshot import Group, SitePolicy

TABLE_J_PER_TH = (13.5, 15.0, 17.5, 20.0, 25.0, 30.0)
"""Efficiencies of machines in common use: what a MWh brings is shown for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineEarning:
    """One machine."""

    miner_id: str
    draw_w: float
    joule_per_th: float | None
    earning: Earning


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupEarning:
    """One fleet, by what its machines draw now."""

    group_id: str
    draw_w: float
    efficiency: Efficiency
    earning: Earning
    machines: tuple[MachineEarning, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerEarning:
    """All fleets of one partner, by what their machines draw now."""

    partner_id: str
    pool: PoolTerms
    follows: bool  #: its price is a part of this
    draw_w: float
    efficiency: Efficiency
    earning: Earning
    groups: tuple[GroupEarning, ...]


def earnings(
    site: SitePolicy, groups: Mapping[str, Group], figures: ChainFigures | None, at: datetime
) -> tuple[PartnerEarning, ...]:
    """Of each partner with miners or fillers, the site itself among them."""
    miners = {gid: g for gid, g in groups.items() if g.miners or g.spec.miners_max_w}
    filled = {
        gid: g.spec.filler.partner for gid, g in miners.items() if g.spec.filler and g.spec.filler.partner
    }
    owners = (
        replace(p, groups=(*p.groups, *(gid for gid, owner in filled.items() if owner == p.partner_id)))
        for p in with_house(site.partners, (gid for gid in miners if gid not in filled))
    )
    return tuple(_partner(p, site, miners, figures, at) for p in owners if any(g in miners for g in p.groups))


def _partner(
    partner: Partner,
    site: SitePolicy,
    miners: Mapping[str, Group],
    figures: ChainFigures | None,
    at: datetime,
) -> PartnerEarning:
    pool = site.house_pool if partner.partner_id == HOUSE else partner.pool
    its = [miners[g] for g in partner.groups if g in miners]
    found = drawn_efficiency(its)
    return PartnerEarning(
        partner_id=partner.partner_id,
        pool=pool,
        follows=partner.follows is not None,
        draw_w=sum(map(_draw_w, its)),
        efficiency=found,
        earning=earning(found.joule_per_th, figures, at, pool=pool),
        groups=tuple(_group(g, pool, figures, at) for g in its),
    )


def _group(group: Group, pool: PoolTerms, figures: ChainFigures | None, at: datetime) -> GroupEarning:
    found = drawn_efficiency([group])
    machines = (
        MachineEarning(
            miner_id=m.miner_id,
            draw_w=m.draw_w,
            joule_per_th=m.joule_per_th or None,
            earning=earning(m.joule_per_th, figures, at, pool=pool),
        )
        for m in group.miners
    )
    return GroupEarning(
        group_id=group.spec.group_id,
        draw_w=_draw_w(group),
        efficiency=found,
        earning=earning(found.joule_per_th, figures, at, pool=pool),
        machines=tuple(machines),
    )


def _draw_w(group: Group) -> float:
    """What a fleet draws, rest included; on a node what its fillers draw above the rest of their GPUs."""
    return group.draw_w if group.spec.kind is GroupKind.MINERS else sum(m.draw_w for m in group.miners)
