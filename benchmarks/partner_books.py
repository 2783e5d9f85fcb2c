"""The books of a simulated month: settled as a scheduler settles, written down, stated, held against the truth."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import reduce
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from api.routes.settlement import statement_of
from barq.reporting.settlement import complaints
from barq.reporting.settlement_views import StatementView
from benchmarks.partner_month import OWNERS
from scheduler.core.accounting import LONGEST_S, QUARTER
from scheduler.core.compliance_report import month_of
from scheduler.core.contracts import (
    FixedCredit,
    FixedPrice,
    Hashing,
    HashpriceIndex,
    LostHashprice,
    ProfitShare,
    Terms,
)
from scheduler.core.decide import Decision
from scheduler.core.hashprice import ChainFigures
from scheduler.core.partners import Partner as Owner, Price
from scheduler.core.settlement import Closed
from scheduler.core.snapshot import MeterReading, Snapshot
from scheduler.core.so_far import SoFar, of_row
from scheduler.documents import sample
from scheduler.pricing import quotes_for
from scheduler.records import TickRecord
from scheduler.settling import Settling
from scheduler.sim.capacity import Floats
from scheduler.sim.clock import BEGAN_AT
from scheduler.sim.engine import Case, Engine
from scheduler.sim.outcome import RunOutcome
from scheduler.sim.power_figures import WS_PER_KWH
from scheduler.sim.readings import Readings
from scheduler.store.database import migrate, open_database, reading, writing
from scheduler.store.desk import Desk
from scheduler.store.settlement import Account, record_intervals
from scheduler.store.settlement_days import sums_between

_STEP: Final = timedelta(seconds=LONGEST_S)
_SITE: Final = "partners"
_MODELS: Final = {
    "north": Terms(
        partner_id="north",
        price=FixedPrice(price=Price(micro_per_mwh=52_500_001, source="contract")),
        credit=FixedCredit(micro_per_mwh=5_000_003),
        notice_s=600,
        max_curtailed_s=216_000,
    ),
    "east": Terms(
        partner_id="east",
        price=ProfitShare(hashing=Hashing(mj_per_th=29_500, pool_fee_ppm=20_000), share_ppm=600_000),
        credit=LostHashprice(hashing=Hashing(mj_per_th=29_500, pool_fee_ppm=20_000), share_ppm=500_000),
        credit_cap_micro=100_000_000,
    ),
    "south": Terms(partner_id="south", price=HashpriceIndex(hashing=Hashing(mj_per_th=16_000))),
}
"""A contract of each kind, with odd micro-units: what is rounded has to show."""


class _Chain:
    """The `Prices` port: figures that are always fresh, and no series."""

    def figures_at(self, at: datetime) -> ChainFigures | None:
        """A hashprice of about 38."""
        return ChainFigures(
            btc_micro=91_000_000_000,
            difficulty=152_000_000_000_000,
            height=925_000,
            fees_sat=3_000_000,
            source="benchmark",
            as_of_at=at,
        )

    def price_at(self, series: str, at: datetime) -> Price | None:
        """None of a series."""
        del series, at
        return None


class Books:
    """What a scheduler would have on record after the run. Reads what the simulator knows, instant by instant."""

    def __init__(self) -> None:
        self._settling = Settling()
        self._settling.open({o.partner_id: _MODELS[o.partner_id] for o in OWNERS})
        self._decision: Decision | None = None
        self._last: Snapshot | None = None
        self.closed: list[Closed] = []

    def decided(self, snapshot: Snapshot, decision: Decision) -> None:
        """The newest decision: it holds until the next."""
        del snapshot
        self._decision = decision

    def take(self, snapshot: Snapshot, site_w: float) -> None:
        """What holds from now on. In between, what held is read as often as a scheduler would."""
        self._repeat(snapshot.at)
        self._last = replace(snapshot, meter=MeterReading(draw_w=site_w, measured_at=snapshot.at))
        self._measure(self._last)

    def end(self, window_s: float) -> None:
        """The window is over."""
        end_at = BEGAN_AT + timedelta(seconds=window_s)
        self._repeat(end_at)
        if self._last is not None:
            self._measure(replace(self._last, at=end_at))

    def _repeat(self, until: datetime) -> None:
        last = self._last
        at = until if last is None else last.at + _STEP
        while last is not None and at < until:
            self._measure(replace(last, at=at))
            at += _STEP

    def _measure(self, snapshot: Snapshot) -> None:
        if self._decision is None:
            return
        taken = sample(snapshot, self._decision, over_limit=False)
        self._settling.measure(snapshot, self._decision, taken)
        for measured in self._settling.measured:
            self._settling.priced(measured, quotes_for(measured, _Chain()))
        if over := self._settling.closed:
            self.closed += over
            self._settling.recorded(TickRecord(at=snapshot.at, epoch=1, intervals=over))

    def figures(self, outcome: RunOutcome, owners: Sequence[Owner]) -> dict[str, Any]:
        """Whether it all adds up. Differences are those of the books to what the simulator knows."""
        seen = Readings.of(outcome)
        metered = {o.partner_id: sum(_metered_ws(c, o.partner_id) for c in self.closed) for o in owners}
        until_s = len(self.closed) * QUARTER.total_seconds()
        truth_ws = {
            o.partner_id: sum(_total_ws(seen, seen.miners_w[g], until_s) for g in o.groups) for o in owners
        }
        site_ws = sum(c.balance.site_ws for c in self.closed)
        written = _on_record(self.closed)
        return {
            "intervals": len(self.closed),
            "complaints": sum(len(complaints(_stated(a, m))) for a, m in written.accounts),
            "unbalanced": sum(_is_unbalanced(c) for c in self.closed),
            "misadded": written.misadded,
            "partner_kwh_error": max(abs(ws / truth_ws[name] - 1.0) for name, ws in metered.items()),
            "site_kwh_error": abs(site_ws / _total_ws(seen, seen.site_w, until_s) - 1.0),
            "losses_share": sum(c.balance.losses_ws for c in self.closed) / site_ws,
            "curtailed_gap_ws": min(_curtailed_gap_ws(c) for c in self.closed),
            "granted_gap_ws": max(_granted_gap_ws(c) for c in self.closed),
            "overdraw_kwh": _sum(self.closed, "overdraw_ws") / WS_PER_KWH,
            "notices": sum(len(d.energy.notices) for c in self.closed for d in c.drafts),
            "by_cause_kwh": _by_cause(self.closed),
        }


class Booked(Engine):
    """A run whose books are kept beside it, from the true draws."""

    def __init__(self, case: Case, books: Books) -> None:
        super().__init__(case)
        self._books = books

    def _look(self) -> None:
        super()._look()
        self._books.take(self.view.snapshot(self.timeline.now()), self.notes.site_w())


def _total_ws(seen: Readings, watts: Floats, until_s: float) -> float:
    """The integral over the intervals that are over."""
    lengths_s = np.clip(until_s - seen.starts_s, 0.0, seen.lengths_s)
    return float(watts @ lengths_s)


def _metered_ws(closed: Closed, name: str) -> int:
    return sum(d.energy.metered_ws for d in closed.drafts if d.partner_id == name)


def _sum(closed: Iterable[Closed], name: str) -> int:
    return sum(getattr(d.energy, name) for c in closed for d in c.drafts)


def _by_cause(closed: Iterable[Closed]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for energy in (d.energy for c in closed for d in c.drafts):
        for cause, ws in energy.curtailed_ws.items():
            sums[cause.value] = sums.get(cause.value, 0.0) + ws / WS_PER_KWH
    return sums


def _is_unbalanced(closed: Closed) -> bool:
    """Partners by their own rows, AI, overhead and losses are something else than the site's meter."""
    balance = closed.balance
    rows_ws = sum(d.energy.metered_ws for d in closed.drafts)
    return rows_ws + balance.ai_ws + balance.overhead_ws + balance.losses_ws != balance.site_ws


def _curtailed_gap_ws(closed: Closed) -> int:
    """Causes beyond what is lacking to the baseline, the least of any partner: below -7 some of it has no cause.

    Six causes and the baseline are each rounded down to whole watt-seconds. Above 0 = somebody drew more than that.
    """
    return min(
        sum(d.energy.curtailed_ws.values()) - (d.energy.baseline_ws - d.energy.metered_ws)
        for d in closed.drafts
    )


def _granted_gap_ws(closed: Closed) -> int:
    """The worst difference between what was granted and the grants that are listed, where all of them are."""
    whole = [d.energy for d in closed.drafts if not d.energy.unlisted_ms]
    gaps = (abs(e.granted_ws - sum(g.granted_w * g.ms for g in e.grants) // 1000) for e in whole)
    return max(gaps, default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """Partners' months as they are on record, and of how many the sums by day are something else than the rows."""

    accounts: list[tuple[Account, str]]
    misadded: int


def _on_record(closed: Sequence[Closed]) -> _Written:
    """Written down as a tick does, and read back by partner and month."""
    with tempfile.TemporaryDirectory() as folder:
        engine = open_database(Path(folder) / "books.db")
        try:
            migrate(engine)
            with writing(engine) as session:
                record_intervals(session, closed)
            desk, months = (
                Desk(engine, site=_SITE).settlement,
                {f"{c.balance.starts_at:%Y-%m}" for c in closed},
            )
            accounts = [
                (desk.statement(owner.partner_id, *_span(month)), month)
                for owner in OWNERS
                for month in sorted(months)
            ]
            with reading(engine) as session:
                misadded = sum(
                    sums_between(session, *_span(month))[account.party][0]
                    != reduce(SoFar.plus, map(of_row, account.rows))
                    for account, month in accounts
                )
            return _Written(accounts=accounts, misadded=misadded)
        finally:
            engine.dispose()


def _span(month: str) -> tuple[datetime, datetime]:
    return month_of(int(month[:4]), int(month[5:]), UTC)


def _stated(account: Account, month: str) -> StatementView:
    """The statement as it goes over the wire."""
    found = statement_of(account, site=_SITE, month=month, made_at=_span(month)[1])
    return cast("StatementView", found.model_dump(mode="json"))
