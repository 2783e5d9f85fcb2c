"""The meter is the judge: what it sees beyond all that could be drawn by the books counts against the limit.

And what it shows beside the model of what devices report, from which `scheduler.core.trim` learns.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from scheduler.core.ledger import exposure_w, ordered_w
from scheduler.core.orders import GroupKind
from scheduler.core.power import site_w
from scheduler.core.snapshot import Group, MeterReading, Quality, SitePolicy
from scheduler.core.trim import Shown, TrimRule, Why

Excess = tuple[datetime, float]  #: when it was read, W beyond the books then

SETTLE_S = 1.0  #: a meter's own lag, on top of the fall


def excess_w(groups: Iterable[Group], site: SitePolicy, reading: MeterReading) -> float:
    """Watts of one reading beyond what all groups may draw at that instant, never negative.

    Nodes are charged by their enforced caps, and they keep these. Miners count by their orders: one that draws more
    tells so in its readings, and that is no leave to.
    """
    at, fall_s = reading.measured_at, site.fall_s
    it_w = mine_w = 0.0
    for group in groups:
        if group.spec.kind is GroupKind.MINERS:
            mine_w += ordered_w(group.account, at, fall_s=fall_s)
        else:
            it_w += exposure_w(group.account, at, fall_s=fall_s)
    books_w = site_w(it_w=it_w, miners_w=mine_w, overhead=site.overhead, auxiliary_w=site.auxiliary_w)
    return max(0.0, reading.draw_w - books_w)


def remembered(seen: tuple[Excess, ...], newest: Excess, site: SitePolicy) -> tuple[Excess, ...]:
    """The readings that `standing_w` needs: of the last fall, and one from before it."""
    horizon = newest[0] - timedelta(seconds=site.fall_s + SETTLE_S)
    older = [e for e in seen if e[0] <= horizon][-1:]
    return (*older, *(e for e in seen if e[0] > horizon), newest)


def standing_w(seen: tuple[Excess, ...], site: SitePolicy) -> float:
    """The excess that stood through a whole fall: a reading that merely lags behind an order is none."""
    if not seen or (seen[-1][0] - seen[0][0]).total_seconds() < site.fall_s + SETTLE_S:
        return 0.0
    return min(w for _, w in seen)


def shown(groups: Iterable[Group], site: SitePolicy, rule: TrimRule, reading: MeterReading) -> Shown:
    """A reading of the meter beside what the model says of the draws that groups reported last."""
    nodes_w = allowed_w = miners_w = allowed_miners_w = 0.0
    silent = False
    for group in groups:
        silent = silent or _is_silent(group, site, reading.measured_at)
        exposed_w = exposure_w(group.account, reading.measured_at, fall_s=site.fall_s)
        if group.spec.kind is GroupKind.MINERS:
            miners_w += group.draw_w
            allowed_miners_w += exposed_w
        else:
            nodes_w += group.draw_w
            allowed_w += exposed_w
    overhead = site.overhead
    modelled_w = site_w(it_w=nodes_w, miners_w=miners_w, overhead=overhead, auxiliary_w=site.auxiliary_w)
    return Shown(
        at=reading.measured_at,
        measured_w=reading.draw_w,
        modelled_w=modelled_w,
        nodes_w=overhead * nodes_w,
        allowed_nodes_w=overhead * max(allowed_w, nodes_w),
        allowed_w=site_w(
            it_w=allowed_w, miners_w=allowed_miners_w, overhead=overhead, auxiliary_w=site.auxiliary_w
        ),
        doubt=_doubt(reading, modelled_w, rule, silent=silent),
    )


def _is_silent(group: Group, site: SitePolicy, at: datetime) -> bool:
    """Whether nobody knows what it draws, or it goes its own way."""
    last = group.reported_at
    silent = last is None or (at - last).total_seconds() > site.unreachable_after_s
    return silent or group.in_fallback


def _doubt(reading: MeterReading, modelled_w: float, rule: TrimRule, *, silent: bool) -> Why | None:
    if reading.quality is not Quality.GOOD:
        return Why.NOT_GOOD
    if silent:
        return Why.SILENT
    allowed_w = max(rule.tolerance_w, rule.tolerance * max(reading.draw_w, modelled_w))
    return Why.DISAGREES if abs(reading.draw_w - modelled_w) > allowed_w else None
