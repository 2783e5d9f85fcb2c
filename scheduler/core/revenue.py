"""What mining brings by the MWh, live: of a machine, a fleet, a partner; and a price that follows it.

    of many machines   J/TH = sum(W) / sum(W / J/TH)     the hashes of all over the energy of all
    revenue            as in `hashprice`, from that J/TH, less the pool's fee

J/TH are those that were measured, never a nameplate's. Where nobody measured them, nothing is said but that. Money is
micro-units of the site's currency per MWh.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from scheduler.core.hashprice import ChainFigures, revenue_micro_per_mwh
from scheduler.core.inventory import MachineDetail
from scheduler.core.partners import NO_POOL, HashpriceShare, Partner, PoolTerms, Price, Unpriced
from scheduler.core.snapshot import Group

LEAST_KNOWN = 0.5
"""A fleet is ranked only where the machines that tell their J/TH make up so much of its watts."""
UNTOLD = "nobody has told the price of bitcoin, difficulty, height and fees yet"
REMEDY = (
    "tell new ones: `barq hashprice set`, or mend the source that the site file names under revenue.sources"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Efficiency:
    """How well machines use energy, and of how many of their watts that is known."""

    joule_per_th: float | None  #: None = of none of them is it known
    known_w: float
    total_w: float

    @property
    def known_share(self) -> float:
        """The part of the watts of which it is known; 0 where there are none."""
        return self.known_w / self.total_w if self.total_w > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Earning:
    """What a MWh brings, or why nobody can say."""

    micro_per_mwh: int | None
    why: str = ""  #: it cannot be said; empty where it can


def is_known(joule_per_th: float | None) -> bool:
    """Whether it is a measured efficiency: 0 stands for "not known", and devices answer nonsense."""
    return joule_per_th is not None and 0 < joule_per_th < math.inf


def efficiency(machines: Iterable[tuple[float, float | None]]) -> Efficiency:
    """Of machines by the watts that each counts for and its J/TH. Without a watt all count alike."""
    counted = [(max(0.0, watts), joule_per_th) for watts, joule_per_th in machines]
    if not any(watts for watts, _ in counted):
        counted = [(1.0, joule_per_th) for _, joule_per_th in counted]
    known = [(watts, j) for watts, j in counted if j is not None and is_known(j)]
    known_w, th_per_s = sum(w for w, _ in known), sum(w / j for w, j in known)
    return Efficiency(
        joule_per_th=known_w / th_per_s if th_per_s > 0 else None,
        known_w=known_w,
        total_w=sum(w for w, _ in counted),
    )


def earning(
    joule_per_th: float | None, figures: ChainFigures | None, at: datetime, *, pool: PoolTerms = NO_POOL
) -> Earning:
    """What a MWh brings to who hashes at this efficiency. Stale figures say nothing."""
    if why := not_usable(figures, at):
        return Earning(micro_per_mwh=None, why=why)
    if figures is None or joule_per_th is None or not is_known(joule_per_th):
        return Earning(micro_per_mwh=None, why="its J/TH is not known: it was not measured yet")
    micro = revenue_micro_per_mwh(figures.hashprice_micro, joule_per_th, pool_fee_ppm=pool.fee_ppm)
    return Earning(micro_per_mwh=micro)


def earning_of_machine(
    machine: MachineDetail, figures: ChainFigures | None, at: datetime, *, pool: PoolTerms = NO_POOL
) -> Earning:
    """What a MWh brings to this machine, by the efficiency it had of late."""
    return earning(machine.joule_per_th, figures, at, pool=pool)


def not_usable(figures: ChainFigures | None, at: datetime) -> str:
    """Why nothing can be reckoned from these figures at `at`; empty = it can."""
    if figures is None:
        return UNTOLD
    if not figures.is_stale(at):
        return ""
    age_h, most_h = figures.age_s(at) / 3600, figures.stale_after_s / 3600
    return f"the figures of {figures.source} are {age_h:.1f} h old, and trusted for {most_h:.1f} h"


def drawn_efficiency(groups: Sequence[Group]) -> Efficiency:
    """Of the machines of these groups, by what each draws now."""
    return efficiency((m.draw_w, m.joule_per_th) for g in groups for m in g.miners)


def fleet_efficiency(groups: Sequence[Group]) -> Efficiency:
    """Of the same, by what each could draw: who sleeps would count too if the fleet got more."""
    return efficiency((_could_draw_w(g), m.joule_per_th) for g in groups for m in g.miners)


def priced(
    partners: Sequence[Partner], groups: Mapping[str, Group], figures: ChainFigures | None
) -> tuple[Partner, ...]:
    """The partners, those whose price follows hashprice with the price that this is now, or why there is none."""
    return tuple(p if p.follows is None else _priced(p, p.follows, groups, figures) for p in partners)


def _priced(
    partner: Partner, terms: HashpriceShare, groups: Mapping[str, Group], figures: ChainFigures | None
) -> Partner:
    if figures is None:
        return replace(partner, unpriced=Unpriced(why=UNTOLD, remedy=REMEDY))
    found = fleet_efficiency([groups[g] for g in partner.groups if g in groups])
    if found.joule_per_th is None or found.known_share < LEAST_KNOWN:
        why = (
            f"machines that tell their J/TH make up {found.known_share:.0%} of its fleet, and {LEAST_KNOWN:.0%} "
            "are needed"
        )
        remedy = "let them run for some minutes, or give it a contract price (price_per_mwh)"
        return replace(partner, unpriced=Unpriced(why=why, remedy=remedy))
    steady = max(
        0.1, round(found.joule_per_th, 1)
    )  # to a tenth: noise of the readings moves nobody in the ranking
    micro = revenue_micro_per_mwh(figures.hashprice_micro, steady, pool_fee_ppm=partner.pool.fee_ppm)
    price = Price(
        micro_per_mwh=terms.of_revenue(micro),
        source=f"hashprice by {figures.source}",
        as_of_at=figures.as_of_at,
        stale_after_s=figures.stale_after_s,
        remedy=REMEDY,
    )
    return replace(partner, price=price, unpriced=None)


def _could_draw_w(group: Group) -> float:
    kind = group.spec.machine
    return float(kind.max_w) if kind is not None else group.spec.miners_max_w / max(1, len(group.miners))
