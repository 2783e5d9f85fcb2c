"""`SettlementDesk`: what was settled with mining partners, and what people add to it. As `Desk`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Engine

from scheduler.core.compliance_report import month_of
from scheduler.core.settlement import Adjustment, Change
from scheduler.core.so_far import SoFar
from scheduler.store import settlement
from scheduler.store.database import reading, writing
from scheduler.store.settlement import Account
from scheduler.store.settlement_days import day_of, sums_between


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """What partners' intervals of a stretch of time come to, by partner; nothing of those that have none."""

    since_at: datetime
    until_at: datetime | None = None  #: the end of the newest interval; None = there is none
    sums: dict[str, SoFar] = field(default_factory=dict)


class SettlementDesk:
    """Where people look at what was settled, and correct it."""

    def __init__(self, engine: Engine, *, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now

    def statement(self, party: str, since: datetime, until: datetime) -> Account:
        """What was settled with a partner, of intervals that begin in [since, until). Raises `NothingSettled`."""
        with reading(self._engine) as session:
            settlement.check_partner(session, party)
            account = settlement.account_of(session, party, since, until)
            return settlement.whole(session, account, since, until)

    def balances(self, since: datetime, until: datetime) -> Account:
        """Where the energy at the site's meter went, of intervals that begin in [since, until)."""
        with reading(self._engine) as session:
            return settlement.account_of(session, settlement.SITE, since, until)

    def adjust(self, party: str, starts_at: datetime, change: Change, *, reason: str, by: str) -> Adjustment:
        """Add to an interval that is over. Raises `InvalidField`, `NothingSettled`."""
        with writing(self._engine) as session:
            return settlement.adjust(session, party, starts_at, change, reason=reason, by=by, at=self._now())

    def so_far(self) -> tuple[Stretch, Stretch]:
        """This month, and today, both in UTC, up to the newest interval."""
        today = day_of(self._now().astimezone(UTC))
        since, until = month_of(today.year, today.month, UTC)
        with reading(self._engine) as session:
            found = [(at, sums_between(session, at, until)) for at in (since, today)]
        month, day = (
            Stretch(
                since_at=at,
                until_at=max((end for _, end in sums.values()), default=None),
                sums={name: so_far for name, (so_far, _) in sums.items()},
            )
            for at, sums in found
        )
        return month, day
