"""Rows of settlement, for ever: each is chained to the row before it of its party, and none is ever changed.

A row's hash is blake2b(hash of the party's row before + its body), the body being canonical JSON: keys sorted, no
spaces. The site's balances are a party, too. When intervals are written, the log (`scheduler.store.chain`) is told each
party's newest hash, so that a chain cannot be made anew later either.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Text, UniqueConstraint, select
from sqlalchemy.orm import Session
from sqlmodel import Field, col

from scheduler.core.accounting import QUARTER
from scheduler.core.compliance_report import month_of
from scheduler.core.reasons import Event
from scheduler.core.settlement import (
    Adjustment,
    Balance,
    CannotAdjust,
    Change,
    Closed,
    Draft,
    Row,
    adjusted,
    measured_again,
    settled,
)
from scheduler.core.so_far import of_adjustment, of_row
from scheduler.store import chain
from scheduler.store.chain import GENESIS
from scheduler.store.columns import BIG, UtcDateTime
from scheduler.store.corrections import check_over
from scheduler.store.refusals import InvalidField, NothingSettled
from scheduler.store.settlement_days import add_up, sums_between
from scheduler.store.tables import EventRow, LeaderRow, Table
from scheduler.wire import dumps, loads

SITE: Final = "*"
"""The party whose rows are the site's balances; no partner can be called that."""
WRITTEN: Final = "settlement.written"
"""Kind of the event that tells the newest hashes."""


class SettlementRow(Table, table=True):
    """One link of a party's chain: an interval (`number` 0), or an adjustment of one (above)."""

    __tablename__ = "settlement_rows"
    __table_args__ = (UniqueConstraint("party", "starts_at", "number"),)
    party: str = Field(primary_key=True)
    link: int = Field(primary_key=True, sa_type=BIG, sa_column_kwargs={"autoincrement": False})
    starts_at: datetime = Field(sa_type=UtcDateTime)
    number: int
    body: str = Field(sa_type=Text)
    hash_before: str
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A row as it stands in its chain; `body` is what its hash was made of."""

    link: int
    number: int
    body: str
    hash_before: str
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Between:
    """A row of another stretch of time that stands in the chain between those of this one: without what is in it."""

    link: int
    starts_at: datetime
    hash_before: str
    hash: str
    reading_start_ws: int | None = None  #: None = a person added it
    reading_end_ws: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """What the event log knows of a party's chain: its newest row when that was written."""

    seq: int  #: of the event
    link: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A party's rows of a stretch of time, in the order in which they were written."""

    party: str
    links: tuple[Link, ...]
    between: tuple[Between, ...] = ()  #: so that nobody can leave one out
    logged: Logged | None = None  #: of the newest interval of this stretch; None = the log knows of none

    @property
    def rows(self) -> tuple[Row, ...]:
        """Intervals of a partner."""
        return tuple(loads(Row, link.body) for link in self.links if not link.number)

    @property
    def adjustments(self) -> tuple[Adjustment, ...]:
        """What was added to them."""
        return tuple(loads(Adjustment, link.body) for link in self.links if link.number)

    @property
    def balances(self) -> tuple[Balance, ...]:
        """Of the site, whose rows are balances."""
        return tuple(loads(Balance, link.body) for link in self.links)


def record_intervals(session: Session, intervals: Iterable[Closed]) -> tuple[Event, ...]:
    """Write down what is over; what is there stays as it is. Returns what the log is to be told."""
    told = []
    for interval in intervals:
        is_second = interval.is_second and _number_of(session, interval) != 0
        heads = _added(session, interval) if is_second else _written(session, interval)
        if written := {name: head for name, head in heads.items() if head is not None}:
            told.append(_told(interval.balance, written, is_second=is_second))
    return tuple(told)


def _written(session: Session, interval: Closed) -> dict[str, Link | None]:
    """The rows of a quarter of which nothing is on record."""
    at = interval.balance.starts_at
    heads = {SITE: _write(session, SITE, at, interval.balance)}
    for draft in interval.drafts:
        name = draft.partner_id
        row = settled(draft, credited_micro(session, name, at))
        heads[name] = _write(session, name, at, row)
        if heads[name] is not None:
            add_up(session, name, at, of_row(row))
    return heads


def _added(session: Session, interval: Closed) -> dict[str, Link | None]:
    """What the clock passed through twice is added to what is on record of it. None of it if it is there already."""
    at, number = interval.balance.starts_at, _number_of(session, interval)
    if number is None:
        return {}
    heads = {SITE: _write(session, SITE, at, interval.balance, number=number)}
    for draft in interval.drafts:
        name = draft.partner_id
        account = account_of(session, name, at, at, is_single=True)
        credited = credited_micro(session, name, at)
        if not account.rows:
            row = settled(draft, credited)
            heads[name] = _write(session, name, at, row)
            add_up(session, name, at, of_row(row))
            continue
        made = measured_again(
            account.rows[0], account.adjustments, draft, credited_micro=credited, at=at + QUARTER
        )
        heads[name] = _write(session, name, at, made, number=made.number)
        add_up(session, name, at, of_adjustment(made))
    return heads


def _number_of(session: Session, interval: Closed) -> int | None:
    """Which of its quarter it is, 0 = the first; None = it is on record."""
    at = interval.balance.starts_at
    known = account_of(session, SITE, at, at, is_single=True)
    is_known = interval.balance in known.balances and all(_is_written(session, d) for d in interval.drafts)
    return None if is_known else len(known.links)


def _is_written(session: Session, draft: Draft) -> bool:
    """Whether this very stretch of a partner's register is on record: two of a quarter may come to the same."""
    account = account_of(session, draft.partner_id, draft.starts_at, draft.starts_at, is_single=True)
    energies = [row.draft.energy for row in account.rows]
    written = {(e.reading_start_ws, e.reading_end_ws) for e in energies}
    added = {(a.reading_start_ws, a.reading_end_ws) for a in account.adjustments}
    return (draft.energy.reading_start_ws, draft.energy.reading_end_ws) in written | added


def adjust(
    session: Session, party: str, starts_at: datetime, change: Change, *, reason: str, by: str, at: datetime
) -> Adjustment:
    """Add to an interval that is over, and tell who did it. Raises `InvalidField`, `NothingSettled`."""
    starts_at = starts_at.astimezone(UTC)  # its day and month are those of UTC
    check_over("starts_at", starts_at, at)
    check_partner(session, party)
    session.scalars(select(LeaderRow).with_for_update()).one()  # nobody else writes meanwhile
    account = account_of(session, party, starts_at, starts_at, is_single=True)
    if not account.rows:
        raise NothingSettled(party, parties(session), f" from {starts_at:%Y-%m-%d %H:%M} UTC on")
    try:
        made = adjusted(
            account.rows[0],
            account.adjustments,
            change,
            credited_micro=credited_micro(session, party, starts_at),
            reason=reason,
            by=by,
            at=at,
        )
    except CannotAdjust as error:
        raise InvalidField("change", str(error), error.remedy) from error
    head = _write(session, party, starts_at, made, number=made.number)
    add_up(session, party, starts_at, of_adjustment(made))
    chain.append(session, [_adjusted(made, head)])
    return made


def account_of(
    session: Session, party: str, since: datetime, until: datetime, *, is_single: bool = False
) -> Account:
    """Rows of intervals that begin in [since, until), or at `since` alone."""
    starts_at = col(SettlementRow.starts_at)
    when = starts_at == since if is_single else (starts_at >= since) & (starts_at < until)
    wanted = select(SettlementRow).where(col(SettlementRow.party) == party, when)
    rows = session.scalars(wanted.order_by(col(SettlementRow.link)))
    return Account(party=party, links=tuple(_link(row) for row in rows))


def whole(session: Session, account: Account, since: datetime, until: datetime) -> Account:
    """The same with what stands between its rows, of other stretches than this one, and with what the log knows."""
    account = replace(account, logged=_logged(session, account.party, since, until))
    if not account.links:
        return account
    link, starts_at = col(SettlementRow.link), col(SettlementRow.starts_at)
    wanted = select(SettlementRow).where(
        col(SettlementRow.party) == account.party,
        link > account.links[0].link,
        link < account.links[-1].link,
        (starts_at < since) | (starts_at >= until),
    )
    return replace(account, between=tuple(_between(row) for row in session.scalars(wanted.order_by(link))))


def _logged(session: Session, party: str, since: datetime, until: datetime) -> Logged | None:
    at, data = col(EventRow.at), col(EventRow.data)
    wanted = select(EventRow).where(
        col(EventRow.kind) == WRITTEN,
        at > since,  # a line is of the end of its interval
        at <= until,
        data.contains(f'"{party}":"', autoescape=True),
    )
    row = session.scalars(wanted.order_by(col(EventRow.seq).desc()).limit(1)).first()
    if row is None:
        return None
    link, _, known = json.loads(row.data)[party].partition(":")
    return Logged(seq=row.seq, link=int(link), hash=known)


def _between(row: SettlementRow) -> Between:
    start_ws, end_ws = _readings(_link(row))
    return Between(
        link=row.link,
        starts_at=row.starts_at,
        hash_before=row.hash_before,
        hash=row.hash,
        reading_start_ws=start_ws,
        reading_end_ws=end_ws,
    )


def _readings(link: Link) -> tuple[int | None, int | None]:
    if link.number:
        made = loads(Adjustment, link.body)
        return made.reading_start_ws, made.reading_end_ws
    energy = loads(Row, link.body).draft.energy
    return energy.reading_start_ws, energy.reading_end_ws


def parties(session: Session) -> tuple[str, ...]:
    """With whom anything was ever settled, by name."""
    first = select(col(SettlementRow.party)).where(col(SettlementRow.link) == 1)
    return tuple(sorted(name for name in session.scalars(first) if name != SITE))


def check_partner(session: Session, party: str) -> None:
    """Raises `NothingSettled` for whom nothing was ever settled with: the site's balances are no partner's rows."""
    if party == SITE or session.get(SettlementRow, (party, 1)) is None:
        raise NothingSettled(party, parties(session))


def credited_micro(session: Session, party: str, at: datetime) -> int:
    """What was credited in the month of `at`, UTC, adjustments included."""
    sums = sums_between(session, *month_of(at.year, at.month, UTC))
    return sums[party][0].credit_micro if party in sums else 0


def link_hash(before: str, body: str) -> str:
    """The hash of a row, in hexadecimal."""
    return hashlib.blake2b(before.encode() + body.encode(), digest_size=32).hexdigest()


def _write(session: Session, party: str, starts_at: datetime, row: object, *, number: int = 0) -> Link | None:
    """Chain a row to its party's last. None if it is there already: it stays as it was."""
    mine = col(SettlementRow.party) == party
    there = select(col(SettlementRow.link)).where(
        mine, col(SettlementRow.starts_at) == starts_at, col(SettlementRow.number) == number
    )
    if session.scalar(there) is not None:
        return None
    newest = select(SettlementRow).where(mine).order_by(col(SettlementRow.link).desc()).limit(1)
    last = session.scalars(newest).first()
    body, before = canonical(row), last.hash if last is not None else GENESIS
    new = SettlementRow(
        party=party,
        link=1 + (last.link if last is not None else 0),
        starts_at=starts_at,
        number=number,
        body=body,
        hash_before=before,
        hash=link_hash(before, body),
    )
    session.add(new)
    session.flush()
    return _link(new)


def _link(row: SettlementRow) -> Link:
    return Link(link=row.link, number=row.number, body=row.body, hash_before=row.hash_before, hash=row.hash)


def canonical(row: object) -> str:
    """The one spelling of a row: what its hash is made of."""
    return json.dumps(json.loads(dumps(row)), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _told(balance: Balance, heads: Mapping[str, Link], *, is_second: bool) -> Event:
    quarter = f"the quarter from {balance.starts_at:%Y-%m-%d %H:%M} UTC"
    text = f"settled {quarter} with mining partners"
    return Event(
        at=balance.starts_at + QUARTER,
        kind=WRITTEN,
        text=f"added to {quarter} what was measured after the clock went back" if is_second else text,
        data={name: f"{head.link}:{head.hash}" for name, head in heads.items()},
    )


def _adjusted(made: Adjustment, head: Link | None) -> Event:
    """Who did it and why; the money is between the site and its partner, and all may read the log."""
    text = (
        f"{made.by} adjusted the settlement of {made.partner_id} from {made.starts_at:%Y-%m-%d %H:%M} UTC: "
        f"{made.reason}"
    )
    data: dict[str, str | float | int | bool | None] = {
        "by": made.by,
        "partner": made.partner_id,
        "starts_at": made.starts_at.isoformat(),
        "hash": head.hash if head is not None else "",
    }
    return Event(at=made.recorded_at, kind="settlement.adjusted", text=text, data=data)
