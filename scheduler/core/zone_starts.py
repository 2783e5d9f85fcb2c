"""Whether the domains of a start take it: their limits, what sources of theirs announce, and their firm levels."""

from __future__ import annotations

from datetime import timedelta

from scheduler.core.domains import Zone
from scheduler.core.feeding import limits_ahead
from scheduler.core.jobs import Attempt
from scheduler.core.plan import EPSILON_W, Plan
from scheduler.core.reasons import Code, Reason
from scheduler.core.snapshot import Snapshot
from scheduler.core.windows import pays_off_s
from scheduler.core.zoning import at_knees_in_w, full_for, is_weak, rests_w, zones_with


def refused_by(plan: Plan, snapshot: Snapshot, attempt: Attempt) -> tuple[Zone, Reason] | None:
    """The domain that does not take an attempt of this plan, and why not; None = all do."""
    return full_for(plan, attempt) or _weak_for(plan, attempt) or _short_for(plan, snapshot, attempt)


def _weak_for(plan: Plan, attempt: Attempt) -> tuple[Zone, Reason] | None:
    """The domain whose firm level does not carry what it comes to when nobody is heard of any more."""
    zone = next((z for z in zones_with(plan, attempt) if is_weak(plan, z)), None)
    if zone is None or zone.firm_w is None:
        return None
    rest_w = rests_w(plan, zone)
    return zone, Reason(
        code=Code.POWER_UNAVAILABLE,
        text=(
            f"with it {zone.name} would rest at {rest_w / 1000:.2f} kW while nobody is heard of, where "
            f"{zone.firm_w / 1000:.2f} kW is firm"
        ),
        numbers={"rest_w": rest_w, "firm_w": zone.firm_w},
        remedy=f"a higher firm_w of {zone.name}, fewer GPUs, or nodes elsewhere",
    )


def _short_for(plan: Plan, snapshot: Snapshot, attempt: Attempt) -> tuple[Zone, Reason] | None:
    """The domain whose limit is known to fall too low for it before the start would have paid off."""
    if not snapshot.below:
        return None
    needed_s = pays_off_s(plan, plan.jobs[attempt.job_id])
    tier = plan.tier(attempt)
    needed_w = {
        z.name: (z, at_knees_in_w(plan, z, tier) * z.limit_w / z.usable_w)
        for z in zones_with(plan, attempt)
        if z.usable_w > 0
    }
    for at, limits in limits_ahead(snapshot, after=plan.at, until=plan.at + timedelta(seconds=needed_s)):
        for name, (zone, least) in needed_w.items():
            if name in limits and limits[name].limit_w < least - EPSILON_W:
                text = (
                    f"power in {name} lasts until {at:%H:%M:%S} UTC, by {limits[name].source}; a start pays off after "
                    f"{needed_s:.0f} s"
                )
                numbers = {"needed_s": needed_s}
                return zone, Reason(code=Code.WINDOW_TOO_SHORT, text=text, numbers=numbers, expected_at=at)
    return None
