"""Figures of a run at the site meter: kept limits, energy used and wasted, peaks. Formulas: docs/metrics.md."""

from __future__ import annotations

from typing import Final

import numpy as np

from scheduler.sim.capacity import Capacity, Floats
from scheduler.sim.readings import Readings
from scheduler.sim.steps import Steps, aligned

Figure = float | int | str | None
WS_PER_KWH: Final = 3.6e6
NOISE_W: Final = 0.1
"""A draw over the limit by less than this is the noise of adding up floats, not a breach."""
AVERAGED_S: Final = {"1s": 1.0, "1min": 60.0, "15min": 900.0}
"""How meters average: an instant, a minute, a settlement interval."""
_REBOUND_S: Final = 900.0
_MINUTE_S: Final = 60.0


def violations(readings: Readings, reaction_s: float) -> dict[str, Figure]:
    """Seconds and kWh over the limit in force, which is the highest limit of the last `reaction_s` seconds.

    `violation_s` looks at every instant; `violation_1min_s` and so on at means over blocks; `violation_at_once_s` at
    every instant against the limit of that instant, as if no time to react were granted.
    """
    limit, site = readings.steps(readings.limit_w), readings.steps(readings.site_w)
    in_force = limit.highest_of_last(reaction_s)
    figures = _over(site, in_force, "violation")
    for name, block_s in AVERAGED_S.items():
        figures |= _over(site.means(block_s), in_force.means(block_s), f"violation_{name}")
    return figures | _over(site, limit, "violation_at_once")


def _over(draw: Steps, limit: Steps, name: str) -> dict[str, Figure]:
    draw, limit = aligned(draw, limit)
    over_w = draw.values - limit.values
    breach = over_w > NOISE_W
    lengths_s = draw.lengths_s[breach]
    return {
        f"{name}_s": float(lengths_s.sum()),
        f"{name}_kwh": float(over_w[breach] @ lengths_s) / WS_PER_KWH,
    }


def compliance(readings: Readings) -> dict[str, Figure]:
    """How long the draw stays above a limit after it fell below the draw: median, 99th percentile and worst, s."""
    fell = np.flatnonzero(np.diff(readings.limit_w) < 0) + 1
    kept = readings.site_w <= readings.limit_w + NOISE_W
    broken = fell[~kept[fell]]
    kept_at = np.append(np.flatnonzero(kept), len(kept))
    until = np.append(readings.starts_s, readings.ends_s)[kept_at[np.searchsorted(kept_at, broken)]]
    took_s = until - readings.starts_s[broken]
    p50, p99 = np.percentile(took_s, [50, 99]) if len(took_s) else (0.0, 0.0)
    return {
        "drops": len(fell),
        "comply_p50_s": float(p50),
        "comply_p99_s": float(p99),
        "comply_max_s": float(took_s.max(initial=0.0)),
    }


def energy(readings: Readings, firm_w: float) -> dict[str, Figure]:
    """Where the energy went, and how much of the surplus, that is what the limit grants above `firm_w`, was used."""
    granted_w = np.maximum(readings.limit_w - firm_w, 0.0)
    used_w = np.maximum(np.minimum(readings.site_w, readings.limit_w) - firm_w, 0.0)
    by_use = {
        "site_kwh": readings.site_w,
        "ai_kwh": readings.ai_w,
        "idle_kwh": readings.idle_w,
        "miner_kwh": readings.mined_w,
        "offered_kwh": readings.limit_w,
        "surplus_offered_kwh": granted_w,
        "surplus_used_kwh": used_w,
    }
    return {name: readings.total(watts) / WS_PER_KWH for name, watts in by_use.items()}


def miners(readings: Readings) -> dict[str, dict[str, float]]:
    """KWh of each mining partner and its share of all that was mined."""
    kwh = {partner: readings.total(watts) / WS_PER_KWH for partner, watts in readings.miners_w.items()}
    in_all = sum(kwh.values())
    return {partner: {"kwh": own, "share": own / in_all if in_all else 0.0} for partner, own in kwh.items()}


def over_curtailment(readings: Readings) -> dict[str, Figure]:
    """How far the draw stayed under the limit while work waited: kWh, and share of what the limit then allowed."""
    waited = readings.waiting_gpus > 0
    unused_w = np.where(waited, np.maximum(readings.limit_w - readings.site_w, 0.0), 0.0)
    unused = readings.total(unused_w)
    allowed = readings.total(np.where(waited, readings.limit_w, 0.0))
    return {
        "over_curtailment_kwh": unused / WS_PER_KWH,
        "over_curtailment_share": unused / allowed if allowed else 0.0,
    }


def waste(readings: Readings, site: Capacity) -> dict[str, Figure]:
    """Energy mined or unused that a waiting job could have used: kWh, and share of all that the limit offered.

    It counts while the free GPUs hold the smallest waiting job and the mined and unused watts feed it at the knee;
    and then no more watts than the free GPUs that are asked for, and those at work, would draw at full speed.
    """
    spare_w = np.maximum(readings.limit_w - readings.site_w, 0.0) + readings.mined_w
    wasted_w = np.minimum(spare_w, _wanted_w(readings, site, spare_w))
    wasted, offered = readings.total(wasted_w), readings.total(readings.limit_w)
    return {
        "wasted_kwh": wasted / WS_PER_KWH,
        "wasted_share": wasted / offered if offered else 0.0,
    }


def _wanted_w(readings: Readings, site: Capacity, spare_w: Floats) -> Floats:
    free = site.gpus - readings.running_gpus
    smallest = np.maximum(readings.smallest_waiting_gpus, 1.0)
    asked = np.minimum(readings.waiting_gpus, free)
    could = (asked >= smallest) & (spare_w >= site.start_w(smallest))
    full_w = site.full_speed_w(readings.running_gpus + asked, readings.powered_nodes)
    return np.where(could, np.maximum(full_w - readings.ai_w - readings.idle_w, 0.0), 0.0)


def peaks(readings: Readings) -> dict[str, Figure]:
    """The highest mean draw of a minute, and the worst rebound (see `rebound`)."""
    draw = readings.steps(readings.site_w)
    return {
        "peak_w": float(draw.means(_MINUTE_S).values.max()),
        "rebound_ratio": rebound(draw, readings.steps(readings.limit_w)),
    }


def rebound(draw: Steps, limit: Steps) -> float | None:
    """The highest minute in the 15 after a curtailment over the mean of the 15 before it; the worst of the window.

    A curtailment is a time with the limit below half-way between its lowest and its highest value, with nothing of
    the kind for 15 minutes before and after. None if there is none, or nothing drew before it.
    """
    half_w = (limit.values.min() + limit.values.max()) / 2
    low = Steps(
        starts_s=limit.starts_s, values=(limit.values < half_w).astype(np.float64), ends_s=limit.ends_s
    )
    low = low.plain()
    lasts_s = low.lengths_s
    calm = (low.values == 0) & (lasts_s >= _REBOUND_S)
    alone = np.flatnonzero(calm[:-2] & calm[2:]) + 1 if len(calm) > 2 else np.array([], dtype=np.intp)  # noqa: PLR2004
    ratios = [_rebound_of(draw, low.starts_s[i], low.starts_s[i] + lasts_s[i]) for i in alone]
    return max((ratio for ratio in ratios if ratio is not None), default=None)


def _rebound_of(draw: Steps, begins_s: float, ends_s: float) -> float | None:
    before = float(draw.integrals(np.array([begins_s - _REBOUND_S, begins_s]))[0]) / _REBOUND_S
    minutes = np.arange(ends_s, ends_s + _REBOUND_S + 1.0, _MINUTE_S)
    after = draw.integrals(minutes) / _MINUTE_S
    return float(after.max()) / before if before > 0 else None
