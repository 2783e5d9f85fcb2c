"""Who is held first when watts are short, and what that frees: judged once for all attempts that are alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from scheduler.core.caps import Caps
from scheduler.core.jobs import Attempt
from scheduler.core.plan import Plan
from scheduler.core.roster import Where

_DEFAULT_SAVE_S = 5.0


class Victim(NamedTuple):
    """An attempt that may be held, as it is judged."""

    attempt: Attempt
    cap_w: float  #: under which it is held
    frees_w: float  #: site watts that holding it frees at most


class _Price(NamedTuple):
    """What holding costs, and frees."""

    tier: int
    loss_per_w: float
    """GPU-seconds that a pause costs (save and restart) per site watt that holding frees."""
    cap_w: float
    frees_w: float


def victims(plan: Plan, attempts: Iterable[Attempt], caps: Caps | None = None) -> list[Victim]:
    """Tier descending, then value lost per watt freed, then the youngest; each with its cap, `caps` being set.

    Of `attempts` on nodes of the site, given by id, which is the order between those of one age.
    """
    prices: dict[tuple[Where, int, float | None], _Price] = {}
    alike: dict[tuple[int, float], list[Victim]] = defaultdict(list)
    for attempt in attempts:
        where, gpus = plan.roster.where(attempt.id), attempt.gpu_count
        if where is None or not gpus:
            continue
        kind = where, gpus, plan.jobs[attempt.job_id].save_s
        price = prices.get(kind)
        if price is None:
            price = prices[kind] = _price(plan, *kind, caps)
        alike[-price.tier, price.loss_per_w].append(Victim(attempt, price.cap_w, price.frees_w))
    youngest_first = (sorted(alike[key], key=_created_at, reverse=True) for key in sorted(alike))
    return [victim for found in youngest_first for victim in found]


def _created_at(victim: Victim) -> datetime:
    return victim.attempt.created_at


def _price(plan: Plan, where: Where, gpus: int, save_s: float | None, caps: Caps | None) -> _Price:
    model, overhead = where.kind.model, plan.site.overhead
    cap_w = min(where.cap_w, caps.get(where.kind, where.cap_w)) if caps else where.cap_w
    lost_gpu_s = gpus * ((save_s or _DEFAULT_SAVE_S) + plan.site.restart_s)
    freed_w = overhead * gpus * (model.charge_w(cap_w) - model.idle_w)
    return _Price(
        tier=where.kind.tier,
        loss_per_w=lost_gpu_s / freed_w if freed_w > 0 else float("inf"),
        cap_w=cap_w,
        frees_w=overhead * where.gpus * (model.charge_w(cap_w) - model.held_w()),
    )
