"""Settlement with mining partners: intervals with their prices, what was added later, and what a month comes to. Pure.

    charge = metered x price          credit = curtailed by causes that are not excused x credit, up to the month's cap
    site   = partners + AI + overhead + losses          exact, in whole watt-seconds; losses are what is left

An interval is never edited. What turns out later is an adjustment: a row of its own, added to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from scheduler.core.accounting import QUARTER
from scheduler.core.contracts import Metering, Quotes, Rate, Terms, amount_micro, credit_rate, price_rate
from scheduler.core.curtailment import Cause
from scheduler.core.interval import Over, PartEnergy
from scheduler.core.notice import Notice
from scheduler.core.partners import HOUSE

_GONE: Final = Rate(micro_per_mwh=None, formula="", why="the site file has no contract with it any more")
AUTOMATIC: Final = "barq"
"""Who adjusted what nobody had to look at."""
AGAIN: Final = "measured when the quarter was on record already, as after a clock went back"
WHOLE: Final = 0.99
"""An interval of which less was read is estimated."""


class Quality(StrEnum):
    """What an interval is worth."""

    METERED = "metered"
    PDU = "pdu"
    MINER_REPORTED = "miner_reported"
    ESTIMATED = "estimated"  #: a part of it was not read
    UNPRICED = "unpriced"  #: what it comes to is not known: a price was missing or stale


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Where the energy at the site's meter went, watt-seconds. The parts add up to it."""

    starts_at: datetime
    covered_ms: int
    metered_ms: int  #: of them with a reading of the meter; else the sum of what devices report
    site_ws: int
    partners_ws: Mapping[str, int]
    ai_ws: int
    overhead_ws: int

    @property
    def losses_ws(self) -> int:
        """What the site's meter saw and nobody's did; below 0 = the other way round."""
        return self.site_ws - sum(self.partners_ws.values()) - self.ai_ws - self.overhead_ws


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """An interval that is over, and the contracts by which it is settled. Its prices are not looked up yet."""

    over: Over
    terms: Mapping[str, Terms]

    @property
    def series(self) -> tuple[str, ...]:
        """The price series that it is settled by."""
        return tuple(sorted({name for terms in self.terms.values() for name in terms.series}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A partner's interval as measured, with its rates. What it comes to is known once the cap is looked at."""

    partner_id: str
    starts_at: datetime
    covered_ms: int
    energy: PartEnergy
    price: Rate
    credit: Rate
    excused: tuple[Cause, ...] = ()
    credit_cap_micro: int | None = None
    metering: Metering = Metering.MINER_REPORTED
    max_curtailed_s: int | None = None  #: of a month by contract, not excused
    notice_s: int = 0  #: that is due by contract


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A whole interval, ready to be written down."""

    balance: Balance
    drafts: tuple[Draft, ...]
    is_second: bool = False  #: the clock went back: something of this quarter may be on record already


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A partner's interval as it is written down, for ever."""

    draft: Draft
    quality: Quality
    charge_micro: int | None  #: None = its price is not known
    credit_due_micro: int | None  #: before the cap
    credit_micro: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a person adds to an interval that is over; below 0 takes away. None = reckoned by the interval's rates."""

    metered_ws: int = 0
    curtailed_ws: Mapping[Cause, int] = field(default_factory=dict)
    charge_micro: int | None = None
    credit_micro: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """What was added to an interval, by whom, when and why."""

    partner_id: str
    starts_at: datetime
    number: int  #: 1 = the first of its interval
    metered_ws: int
    curtailed_ws: Mapping[Cause, int]
    charge_micro: int
    credit_due_micro: int
    credit_micro: int
    reason: str
    by: str
    recorded_at: datetime
    reading_start_ws: int | None = None  #: of the register, where it was measured; None = a person says so
    reading_end_ws: int | None = None
    curtailed_ms: int = 0  #: notably, where it was measured
    notices: tuple[Notice, ...] = ()  #: of curtailments that began then


class CannotAdjust(ValueError):
    """A change that cannot be reckoned, or that makes an interval less than nothing. Says what to give instead."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def closed(measured: Measured, quotes: Quotes) -> Closed:
    """An interval that is over, with its rates. The site's own miners cost nothing."""
    over, terms = measured.over, measured.terms
    return Closed(
        balance=Balance(
            starts_at=over.starts_at,
            covered_ms=over.covered_ms,
            metered_ms=over.metered_ms,
            site_ws=over.site_ws,
            partners_ws={name: part.metered_ws for name, part in sorted(over.parts.items())},
            ai_ws=over.ai_ws,
            overhead_ws=over.overhead_ws,
        ),
        drafts=tuple(
            _draft(over, name, part, terms.get(name), quotes)
            for name, part in sorted(over.parts.items())
            if part.covered_ms
        ),
        is_second=over.is_second,
    )


def _draft(over: Over, name: str, part: PartEnergy, terms: Terms | None, quotes: Quotes) -> Draft:
    plain = terms or Terms(partner_id=name)
    is_unknown = terms is None and name != HOUSE
    return Draft(
        partner_id=name,
        starts_at=over.starts_at,
        covered_ms=part.covered_ms,
        energy=part,
        price=_GONE if is_unknown else price_rate(plain.price, quotes),
        credit=_GONE if is_unknown else credit_rate(plain.credit, quotes),
        excused=tuple(sorted(plain.excused)),
        credit_cap_micro=plain.credit_cap_micro,
        metering=plain.metering,
        max_curtailed_s=plain.max_curtailed_s,
        notice_s=plain.notice_s,
    )


def settled(draft: Draft, credited_micro: int) -> Row:
    """What it comes to, where `credited_micro` were credited in its month before."""
    charge = _amount(draft.energy.metered_ws, draft.price)
    due = _amount(creditable_ws(draft.energy.curtailed_ws, draft.excused), draft.credit)
    return Row(
        draft=draft,
        quality=_quality(draft, is_priced=charge is not None and due is not None),
        charge_micro=charge,
        credit_due_micro=due,
        credit_micro=None if due is None else min(due, _left(draft.credit_cap_micro, credited_micro, due)),
    )


def _left(cap_micro: int | None, credited_micro: int, due_micro: int) -> int:
    return due_micro if cap_micro is None else max(0, cap_micro - credited_micro)


def _amount(energy_ws: int, rate: Rate) -> int | None:
    """Of nothing it is nothing, whatever the rate."""
    if rate.micro_per_mwh is None:
        return None if energy_ws else 0
    return amount_micro(energy_ws, rate.micro_per_mwh)


def creditable_ws(curtailed_ws: Mapping[Cause, int], excused: Iterable[Cause]) -> int:
    """What is owed for."""
    without = frozenset(excused)
    return sum(ws for cause, ws in curtailed_ws.items() if cause not in without)


def _quality(draft: Draft, *, is_priced: bool) -> Quality:
    if not is_priced:
        return Quality.UNPRICED
    whole_ms = QUARTER.total_seconds() * 1000
    if (
        draft.energy.heard_ms < WHOLE * whole_ms or draft.covered_ms > whole_ms
    ):  # more: the clock went back in it
        return Quality.ESTIMATED
    return Quality(draft.metering.value)


def adjusted(
    row: Row,
    before: Sequence[Adjustment],
    change: Change,
    *,
    credited_micro: int,
    reason: str,
    by: str,
    at: datetime,
) -> Adjustment:
    """The next adjustment of an interval, where its month was credited `credited_micro` in all. Raises CannotAdjust.

    Money that is not given is what the interval's own rates make of the energy with this change, less without it. The
    month's cap holds for credits of adjustments, too.
    """
    draft = row.draft
    metered_ws = draft.energy.metered_ws + sum(a.metered_ws for a in before)
    _check_energy(draft.energy, before, change)
    creditable = creditable_ws(draft.energy.curtailed_ws, draft.excused)
    creditable += sum(creditable_ws(a.curtailed_ws, draft.excused) for a in before)
    more_ws = creditable_ws(change.curtailed_ws, draft.excused)
    due = _change(change.credit_micro, draft.credit, creditable, more_ws, "credit")
    due_micro = (row.credit_due_micro or 0) + sum(a.credit_due_micro for a in before) + due
    credit_micro = (row.credit_micro or 0) + sum(a.credit_micro for a in before)
    cap = draft.credit_cap_micro
    most_micro = due_micro if cap is None else credit_micro + max(0, cap - credited_micro)
    return Adjustment(
        partner_id=draft.partner_id,
        starts_at=draft.starts_at,
        number=1 + len(before),
        metered_ws=change.metered_ws,
        curtailed_ws=dict(change.curtailed_ws),
        charge_micro=_change(change.charge_micro, draft.price, metered_ws, change.metered_ws, "charge"),
        credit_due_micro=due,
        credit_micro=min(due_micro, most_micro) - credit_micro if due else 0,
        reason=reason,
        by=by,
        recorded_at=at,
    )


def _check_energy(energy: PartEnergy, before: Sequence[Adjustment], change: Change) -> None:
    """Nobody drew, or lacked, less than nothing."""
    metered_ws = energy.metered_ws + sum(a.metered_ws for a in before)
    curtailed_ws = by_cause([energy.curtailed_ws, *(a.curtailed_ws for a in before)])
    parts = {"metered_ws": (metered_ws, change.metered_ws)}
    parts |= {f"curtailed_ws.{c}": (curtailed_ws.get(c, 0), ws) for c, ws in change.curtailed_ws.items()}
    for name, (known_ws, more_ws) in parts.items():
        if more_ws < 0 and known_ws + more_ws < 0:
            raise CannotAdjust(
                f"{name} = {more_ws}: of the interval there are {known_ws} Ws",
                f"take away {known_ws} Ws at most",
            )


def measured_again(
    row: Row, before: Sequence[Adjustment], draft: Draft, *, credited_micro: int, at: datetime
) -> Adjustment:
    """What was measured in a quarter that was on record already, as the clock went back: added to it by its own rates.

    Where it has none, by those of now; where these are not known either it comes to nothing, and says why.
    """
    energy, rates = draft.energy, (row.draft.price, row.draft.credit)
    creditable = creditable_ws(energy.curtailed_ws, row.draft.excused)
    charge, credit = (
        None if rate.micro_per_mwh is not None else _amount(ws, new) or 0
        for rate, ws, new in zip(
            rates, (energy.metered_ws, creditable), (draft.price, draft.credit), strict=True
        )
    )
    unknown = {
        new.why for rate, new in zip(rates, (draft.price, draft.credit), strict=True) if rate.why and new.why
    }
    made = adjusted(
        row,
        before,
        Change(
            metered_ws=energy.metered_ws,
            curtailed_ws=energy.curtailed_ws,
            charge_micro=charge,
            credit_micro=credit,
        ),
        credited_micro=credited_micro,
        reason="; ".join((AGAIN, *sorted(unknown))),
        by=AUTOMATIC,
        at=at,
    )
    return replace(
        made,
        reading_start_ws=energy.reading_start_ws,
        reading_end_ws=energy.reading_end_ws,
        curtailed_ms=energy.curtailed_ms,
        notices=energy.notices,
    )


def _change(given_micro: int | None, rate: Rate, before_ws: int, more_ws: int, name: str) -> int:
    if given_micro is not None:
        return given_micro
    if not more_ws:
        return 0
    if rate.micro_per_mwh is None:
        raise CannotAdjust(f"{name}: the interval has no rate ({rate.why})", "give the amount of money, too")
    with_it = amount_micro(before_ws + more_ws, rate.micro_per_mwh)
    return with_it - amount_micro(before_ws, rate.micro_per_mwh)


def by_cause(parts: Iterable[Mapping[Cause, int]]) -> dict[Cause, int]:
    """The sums by cause, zeros left out."""
    sums = dict.fromkeys(Cause, 0)
    for part in parts:
        for cause, ws in part.items():
            sums[cause] += ws
    return {cause: ws for cause, ws in sums.items() if ws}
