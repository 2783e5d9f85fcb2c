"""What the site tells those who give it its limit: watts and how they could change, and nothing of anybody's work.

Watts are at the site meter. No job, no user and no project is in it, whoever is told.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from scheduler.core.decide import Decision
from scheduler.core.draw_record import Slot
from scheduler.core.entitlement import nameplate_w, rest_w
from scheduler.core.envelope import Envelope, changes, lowest
from scheduler.core.flexibility import HORIZONS_S, FlexOffer, Means
from scheduler.core.jobs import Phase
from scheduler.core.orders import GroupKind
from scheduler.core.power import site_w
from scheduler.core.snapshot import Quality, Snapshot

FORECAST_S: Final = 24 * 3600.0
MOST_STEPS: Final = 200  #: of a forecast
MOST_HINTS: Final = 50
_WORK = frozenset({"caps", "resume", "start", "wake"})  #: means of the offer that let work have more


class Operating(StrEnum):
    """How the site does, in one word, as OpenADR calls it."""

    NORMAL = "NORMAL"  #: nothing runs, and nothing waits for power
    RUNNING_NORMAL = "RUNNING_NORMAL"
    RUNNING_CURTAILED = "RUNNING_CURTAILED"  #: work could use more than the limit leaves
    IDLE_CURTAILED = "IDLE_CURTAILED"  #: and none of it runs
    ERROR = "ERROR"  #: under an emergency stop


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """By how much the draw could change within so many seconds. `down_for_s` None = as long as anybody wants."""

    within_s: float
    down_w: float
    down_for_s: float | None
    up_w: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one source's own limit stands. `keeps` = not over it outside the reaction time; None = nobody measures."""

    limit_w: float | None
    stale: bool = False
    keeps: bool | None = None
    in_flight: bool = False  #: over it, within the reaction time


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """A node whose work could go: from what it draws to what it rests at."""

    node_id: str
    tier: int  #: the most flexible of what runs there
    draw_w: float
    rests_w: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteState:
    """The site at one instant, as givers are told of it."""

    at: datetime
    draw_w: float | None  #: None = never measured
    quality: Quality | None
    limit_w: float
    limit_source: str
    planned_w: float  #: what it is entitled to draw
    state: Operating
    firm_w: float
    nameplate_w: float
    settles_s: float  #: from an order until what it raised draws
    changes: tuple[Change, ...] = ()  #: empty = not known
    least_w: float | None = (
        None  #: what is left of the draw once all that could go within the last horizon has gone
    )
    wanted_w: float = 0.0  #: what work that waits for power could use above the limit
    standings: Mapping[str, Standing] = field(default_factory=dict)  #: by source
    hints: tuple[Hint, ...] = ()  #: while some source's limit is broken, the most flexible first
    forecast: tuple[tuple[datetime, float], ...] = ()
    """From each instant on, the expected draw, W: what runs now, as far as the announced limit lets it."""
    forecast_until: datetime | None = None
    past: tuple[Slot, ...] = ()


def site_state(
    snapshot: Snapshot, decision: Decision, offer: FlexOffer | None, standings: Mapping[str, Standing]
) -> SiteState:
    """The state right after a decision, without a forecast and without a past. `offer` None = not known."""
    limit = lowest(snapshot.envelopes, snapshot.at, now=snapshot.at, firm_w=snapshot.site.firm_w)
    wanted_w = _wanted_w(decision, offer, limit.limit_w)
    meter = snapshot.meter
    is_broken = any(s.keeps is False for s in standings.values())
    return SiteState(
        at=snapshot.at,
        draw_w=meter.draw_w if meter else None,
        quality=meter.quality if meter else None,
        limit_w=limit.limit_w,
        limit_source=limit.source,
        planned_w=decision.planned_w,
        state=_operating(snapshot, decision, wanted_w),
        firm_w=snapshot.site.firm_w,
        nameplate_w=_nameplate_w(snapshot),
        settles_s=snapshot.site.restart_s,
        changes=tuple(_change(offer, s) for s in HORIZONS_S) if offer else (),
        least_w=offer.left_w(HORIZONS_S[-1]) if offer else None,
        wanted_w=wanted_w,
        standings=standings,
        hints=tuple(_hints(snapshot))[:MOST_HINTS] if is_broken else (),
    )


def forecast(
    envelopes: Sequence[Envelope], planned_w: float, *, at: datetime, firm_w: float
) -> tuple[tuple[tuple[datetime, float], ...], datetime]:
    """The expected draw for a day, and until when it is known.

    What runs goes on, and nothing more starts: neither whether jobs end nor whether others come is known. Of very
    many announced steps the first count, and it ends with them.
    """
    coming = changes(envelopes, after=at, until=at + timedelta(seconds=FORECAST_S))
    until = at + timedelta(seconds=FORECAST_S) if len(coming) < MOST_STEPS else coming[MOST_STEPS - 1]
    steps: list[tuple[datetime, float]] = []
    for t in (at, *coming[: MOST_STEPS - 1]):
        expected_w = min(planned_w, lowest(envelopes, t, now=at, firm_w=firm_w).limit_w)
        if not steps or steps[-1][1] != expected_w:
            steps.append((t, expected_w))
    return tuple(steps), until


def expected_w(state: SiteState, starts_at: datetime, ends_at: datetime) -> float | None:
    """The mean of the forecast over an interval; None where it does not reach over all of it."""
    if state.forecast_until is None or ends_at > state.forecast_until or not state.forecast:
        return None
    if starts_at < state.forecast[0][0] or ends_at <= starts_at:
        return None
    ends = [t for t, _ in state.forecast[1:]] + [state.forecast_until]
    energy_ws = 0.0
    for (t, watts), end in zip(state.forecast, ends, strict=True):
        energy_ws += watts * max(0.0, (min(end, ends_at) - max(t, starts_at)).total_seconds())
    return energy_ws / (ends_at - starts_at).total_seconds()


def _wanted_w(decision: Decision, offer: FlexOffer | None, limit_w: float) -> float:
    """Miners make way for work, so that what they are given now counts as free."""
    if offer is None:
        return 0.0
    more_w = math.fsum(means.power_w for means in offer.up if means.name in _WORK)
    work_w = decision.planned_w - decision.filled_w - math.fsum(decision.miners_w.values())
    return max(0.0, work_w + more_w - limit_w) if more_w else 0.0


def _operating(snapshot: Snapshot, decision: Decision, wanted_w: float) -> Operating:
    if snapshot.stop is not None:
        return Operating.ERROR
    mined_w = (*decision.miners_w.values(), decision.filled_w)
    runs = any(w > 0 for w in mined_w) or any(a.phase is Phase.RUN for a in snapshot.attempts.values())
    if wanted_w > 0:
        return Operating.RUNNING_CURTAILED if runs else Operating.IDLE_CURTAILED
    return Operating.RUNNING_NORMAL if runs else Operating.NORMAL


def _nameplate_w(snapshot: Snapshot) -> float:
    specs = [g.spec for g in snapshot.groups.values()]
    return site_w(
        it_w=math.fsum(nameplate_w(s) for s in specs if s.kind is GroupKind.NODE),
        miners_w=math.fsum(nameplate_w(s) for s in specs if s.kind is GroupKind.MINERS),
        overhead=snapshot.site.overhead,
        auxiliary_w=snapshot.site.auxiliary_w,
    )


def _change(offer: FlexOffer, within_s: float) -> Change:
    return Change(
        within_s=within_s,
        down_w=offer.down_w(within_s),
        down_for_s=_holds_s(offer.down, within_s),
        up_w=offer.up_w(within_s),
    )


def _holds_s(down: Sequence[Means], within_s: float) -> float | None:
    """For how long all that has come by then can be had at that price: as long as the shortest of its means."""
    ends = [m.holds_s for m in down if m.within_w(within_s) > 0 and m.holds_s is not None]
    return min(ends, default=None)


def _hints(snapshot: Snapshot) -> Iterator[Hint]:
    """Nodes with work that may be paused, the most flexible first."""
    tiers: dict[str, int] = {}
    for attempt in snapshot.attempts.values():
        job = snapshot.jobs.get(attempt.job_id)
        if attempt.phase is Phase.RUN and job is not None and job.spec.flex:
            for placement in attempt.placements:
                tiers[placement.node_id] = max(tiers.get(placement.node_id, 0), job.spec.flex)
    for node_id in sorted(tiers, key=lambda n: (-tiers[n], n)):
        group = snapshot.groups.get(node_id)
        if group is not None:
            rests_w = rest_w(group.spec, group.power)
            yield Hint(node_id=node_id, tier=tiers[node_id], draw_w=group.draw_w, rests_w=rests_w)
