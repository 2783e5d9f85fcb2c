"""From the state of the site to `powerstate/status` and `powerbreach` of DSX Flex. Pure.

The contract's own names stand for these figures of Barq's: `calculated_load` is what the site is entitled to draw,
`measured_load` what its meter shows, `power_minimum` what is left once all that could go within five minutes has gone,
`power_maximum` the nameplate of all devices, but no more than the feed gives.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from scheduler.core.site_state import SiteState, Standing

WARNING_SHARE: Final = 0.2  #: over the limit by no more than this share of it is a warning
STEP_SHARE: Final = 0.02  #: a plan that changed by less is the same plan,
STEP_W: Final = 100.0  #: and one by less than this, too


class Happening(StrEnum):
    """Why a feed's state is told."""

    TARGET_SET = "target_set"
    START_RAMP_DOWN = "start_ramp_down"
    END_RAMP_DOWN = "end_ramp_down"
    START_RAMP_UP = "start_ramp_up"
    END_RAMP_UP = "end_ramp_up"
    PERIODIC = "periodic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramp:
    """What was told of the way from one plan to the next. `order` counts the ISV's messages."""

    order: int = 0
    planned_w: float | None = None
    is_down: bool = False
    up_since_at: datetime | None = None

    @property
    def in_flight(self) -> bool:
        """Whether the draw is on its way."""
        return self.is_down or self.up_since_at is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """The site's feed, and what its ISV set, in the contract's form."""

    name: str
    default_w: float
    targets: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """A limit that is broken, as it was told."""

    id: str
    is_critical: bool


def happened(before: Ramp, state: SiteState, own: Standing, order: int) -> tuple[Ramp, tuple[Happening, ...]]:
    """What there is to be told since `before`, in order; at least that it is time to tell."""
    step_w = max(STEP_W, STEP_SHARE * state.planned_w)
    draw_w = state.planned_w if state.draw_w is None else state.draw_w
    found = [Happening.TARGET_SET] if order > before.order else []
    is_down = draw_w > state.planned_w + step_w or own.in_flight or own.keeps is False
    if is_down and not before.is_down:
        found.append(Happening.START_RAMP_DOWN)
    if before.is_down and not is_down:
        found.append(Happening.END_RAMP_DOWN)
    rose = before.planned_w is not None and state.planned_w >= before.planned_w + step_w
    up_since_at = None if is_down else state.at if rose and before.up_since_at is None else before.up_since_at
    if up_since_at is not None and not rose:
        long_s = (state.at - up_since_at).total_seconds()
        up_since_at = None if draw_w >= state.planned_w - step_w or long_s >= state.settles_s else up_since_at
    if up_since_at is not None and before.up_since_at is None:
        found.append(Happening.START_RAMP_UP)
    if before.up_since_at is not None and up_since_at is None:
        found.append(Happening.END_RAMP_UP)
    moved = before.planned_w is None or abs(state.planned_w - before.planned_w) >= step_w
    planned_w = state.planned_w if moved else before.planned_w
    after = Ramp(order=order, planned_w=planned_w, is_down=is_down, up_since_at=up_since_at)
    return after, tuple(found) or (Happening.PERIODIC,)


def feed_state(
    state: SiteState, own: Standing, feed: Feed, happening: Happening, *, in_flight: bool
) -> dict[str, Any]:
    """`FeedState`. Compliant is who keeps to the ISV's limit, the reaction time granted; unknown counts as not."""
    least_w = state.firm_w if state.least_w is None else state.least_w
    return {
        "feed_tags": [feed.name],
        "metadata": {
            "power_minimum": watts(least_w),
            "power_maximum": watts(min(state.nameplate_w, feed.default_w)),
            "default_constraint": watts(feed.default_w),
        },
        "targets": list(feed.targets),
        "calculated_load": watts(state.planned_w),
        "in_flight": in_flight,
        "event": happening.value,
        "compliant": own.limit_w is None or own.keeps is True,
    }


def breach_told(
    before: Breach | None, state: SiteState, own: Standing, new_id: str
) -> tuple[Breach | None, dict[str, Any] | None]:
    """How a breach stands after this, and the alert about that; None = nothing new is to be told."""
    limit_w, draw_w = own.limit_w, state.draw_w
    if own.keeps is not False or limit_w is None or draw_w is None:
        return None, None if before is None else _alert("resolved", before, state)
    is_critical = draw_w > limit_w * (1 + WARNING_SHARE)
    if before is None:
        begun = Breach(id=new_id, is_critical=is_critical)
        return begun, _alert("active", begun, state)
    if is_critical and not before.is_critical:
        worse = replace(before, is_critical=True)
        return worse, _alert("escalated", worse, state)
    return before, None


def _alert(status: str, breach: Breach, state: SiteState) -> dict[str, Any]:
    """`PowerBreachAlert`, without the infrastructure's actions: those are for whoever switches it to say."""
    return {
        "status": status,
        "severity": "critical" if breach.is_critical else "warning",
        "measured_load": watts(state.draw_w or 0.0),
        "shed_hints": [] if status == "resolved" else _hints(state),
    }


def _hints(state: SiteState) -> list[dict[str, Any]]:
    """Nodes whose work may be suspended, the first to go first."""
    return [
        {
            "resource_id": hint.node_id,
            "resource_type": "node",
            "action": "suspend",
            "priority": number,
            "target_power": watts(hint.rests_w),
        }
        for number, hint in enumerate(state.hints, start=1)
    ]


def target_told(starts_at: datetime, ends_at: datetime | None, limit_w: float, feed: str) -> dict[str, Any]:
    """A target that stands, in the form in which it is set."""
    interval = {"start_time": stamp(starts_at)} | ({} if ends_at is None else {"end_time": stamp(ends_at)})
    return {"interval": interval, "feed_tags": [feed], "load_constraint": watts(limit_w)}


def watts(power_w: float) -> dict[str, Any]:
    """A power, in the contract's form."""
    return {"value": round(power_w, 1), "unit": "watt"}


def stamp(at: datetime) -> str:
    """A time, in UTC."""
    return at.isoformat().replace("+00:00", "Z")
