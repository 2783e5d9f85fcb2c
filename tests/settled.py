"""Contracts, intervals and readings for tests of settlement."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from scheduler.core.contracts import (
    FixedCredit,
    FixedPrice,
    Hashing,
    LostHashprice,
    NoCredit,
    ProfitShare,
    Quotes,
    Terms,
    credit_rate,
    price_rate,
)
from scheduler.core.curtailment import Cause
from scheduler.core.hashprice import ChainFigures
from scheduler.core.interval import PartEnergy
from scheduler.core.partners import Price
from scheduler.core.settlement import Balance, Closed, Draft

AT = datetime(2026, 10, 1, tzinfo=UTC)
WHOLE_MS = 900_000
S21 = Hashing(mj_per_th=17_500)
MWH = 3_600_000_000  #: watt-seconds


def fixed(micro: int = 52_500_000) -> FixedPrice:
    """So much for a MWh, by contract."""
    return FixedPrice(price=Price(micro_per_mwh=micro, source="contract"))


def terms(partner_id: str = "north", **changes: Any) -> Terms:
    """A contract with a fixed price and a fixed credit."""
    plain: dict[str, Any] = {"price": fixed(), "credit": FixedCredit(micro_per_mwh=5_000_000)}
    return Terms(partner_id=partner_id, **(plain | changes))


def figures(at: datetime = AT, **changes: Any) -> ChainFigures:
    """The chain as in the reference: about 38.0 per PH/s and day."""
    plain: dict[str, Any] = {
        "btc_micro": 91_000_000_000,
        "difficulty": 152 * 10**12,
        "height": 900_000,
        "fees_sat": 3_000_000,
        "source": "figures.csv",
        "as_of_at": at,
    }
    return ChainFigures(**(plain | changes))


def energy(metered_ws: int = MWH, curtailed: dict[Cause, int] | None = None, start_ws: int = 0) -> PartEnergy:
    """A whole quarter of an hour that was heard."""
    return PartEnergy(
        metered_ws=metered_ws,
        granted_ws=metered_ws,
        curtailed_ws=curtailed or {},
        baseline_ws=metered_ws + sum((curtailed or {}).values()),
        reading_start_ws=start_ws,
        reading_end_ws=start_ws + metered_ws,
        covered_ms=WHOLE_MS,
        heard_ms=WHOLE_MS,
        confirmed_ms=WHOLE_MS,
    )


def draft(
    what: PartEnergy | None = None,
    *,
    contract: Terms | None = None,
    quotes: Quotes | None = None,
    number: int = 0,
) -> Draft:
    """An interval, the `number`-th of the month."""
    contract, quotes = contract or terms(), quotes or Quotes(at=AT)
    return Draft(
        partner_id=contract.partner_id,
        starts_at=AT + number * timedelta(minutes=15),
        covered_ms=WHOLE_MS,
        energy=what or energy(),
        price=price_rate(contract.price, quotes),
        credit=credit_rate(contract.credit, quotes),
        excused=tuple(sorted(contract.excused)),
        credit_cap_micro=contract.credit_cap_micro,
        metering=contract.metering,
        max_curtailed_s=contract.max_curtailed_s,
        notice_s=contract.notice_s,
    )


def interval(*drafts: Draft, losses_ws: int = 1000) -> Closed:
    """The drafts of one interval, with a site around them."""
    partners_ws = {d.partner_id: d.energy.metered_ws for d in drafts}
    return Closed(
        balance=Balance(
            starts_at=drafts[0].starts_at,
            covered_ms=WHOLE_MS,
            metered_ms=WHOLE_MS,
            site_ws=sum(partners_ws.values()) + 5000 + 2000 + losses_ws,
            partners_ws=partners_ws,
            ai_ws=5000,
            overhead_ws=2000,
        ),
        drafts=drafts,
    )


HASHING = st.builds(Hashing, mj_per_th=st.integers(1000, 100_000), pool_fee_ppm=st.integers(0, 1_000_000))
TERMS = st.builds(
    Terms,
    partner_id=st.just("north"),
    price=st.builds(fixed, st.integers(-(10**8), 10**9))
    | st.builds(
        ProfitShare,
        hashing=HASHING,
        share_ppm=st.integers(0, 1_000_000),
        floor_micro=st.integers(0, 10**8),
    ),
    credit=st.just(NoCredit())
    | st.builds(FixedCredit, micro_per_mwh=st.integers(0, 10**9))
    | st.builds(LostHashprice, hashing=HASHING, share_ppm=st.integers(0, 1_000_000)),
    credit_cap_micro=st.none() | st.integers(0, 10**10),
    excused=st.frozensets(st.sampled_from(Cause)),
)
CURTAILED = st.dictionaries(st.sampled_from(Cause), st.integers(1, 10**11))
ENERGIES = st.builds(energy, st.integers(0, 10**11), CURTAILED)
