"""The meter is the judge: what it sees beyond all that could be drawn by the books counts against the limit."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from scheduler.core.ledger import exposure_w
from scheduler.core.orders import GroupKind
from scheduler.core.power import site_w
from scheduler.core.snapshot import Group, MeterReading, SitePolicy

Excess = tuple[datetime, float]  #: when it was read, W beyond the books then

_SETTLE_S = 1.0  #: a meter's own lag, on top of the fall


def excess_w(groups: Iterable[Group], site: SitePolicy, reading: MeterReading) -> float:
    """Watts of one reading beyond the exposures of all groups at that instant, never negative."""
    it_w = mine_w = 0.0
    for group in groups:
        exposed_w = exposure_w(group.account, reading.measured_at, fall_s=site.fall_s)
        if group.spec.kind is GroupKind.MINERS:
            mine_w += exposed_w
        else:
            it_w += exposed_w
    books_w = site_w(it_w=it_w, miners_w=mine_w, overhead=site.overhead, auxiliary_w=site.auxiliary_w)
    return max(0.0, reading.draw_w - books_w)


def remembered(seen: tuple[Excess, ...], newest: Excess, site: SitePolicy) -> tuple[Excess, ...]:
    """The readings that `standing_w` needs: of the last fall, and one from before it."""
    horizon = newest[0] - timedelta(seconds=site.fall_s + _SETTLE_S)
    older = [e for e in seen if e[0] <= horizon][-1:]
    return (*older, *(e for e in seen if e[0] > horizon), newest)


def standing_w(seen: tuple[Excess, ...], site: SitePolicy) -> float:
    """The excess that stood through a whole fall: a reading that merely lags behind an order is none."""
    if not seen or (seen[-1][0] - seen[0][0]).total_seconds() < site.fall_s + _SETTLE_S:
        return 0.0
    return min(w for _, w in seen)
