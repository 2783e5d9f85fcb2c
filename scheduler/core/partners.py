"""Mining partners: whose miners they are, what part of the surplus is theirs by contract, what a MWh brings.

Money is in whole micro-units of the site's currency (one unit = 1,000,000), always per MWh. Watts are whole watts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

TIERS = range(5)  #: as of jobs: the larger, the sooner it is shed
HOUSE = "house"  #: the partner of all miners that nobody else owns
_SKEW_S = 60.0  #: how far a price may seem to come from the future: clocks differ
_PPM = 1_000_000


class PoolScheme(StrEnum):
    """How the pool pays. On the record only: intermittent hashing costs nothing under the first three."""

    PPS = "pps"
    PPS_PLUS = "pps+"
    FPPS = "fpps"
    PPLNS = "pplns"
    SOLO = "solo"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolTerms:
    """What a partner's pool keeps. Raises ValueError for a fee outside 0..1."""

    fee_ppm: int = 0  #: of what is mined
    scheme: PoolScheme | None = None  #: None = nobody said

    def __post_init__(self) -> None:
        if not 0 <= self.fee_ppm <= _PPM:
            raise ValueError(f"pool.fee_ppm = {self.fee_ppm}: give a part of what is mined, 0 to {_PPM}")


NO_POOL = PoolTerms()


@dataclass(frozen=True, slots=True, kw_only=True)
class HashpriceShare:
    """A price that follows what hashing brings. Raises ValueError for numbers that make no sense."""

    share_ppm: int = _PPM  #: the site's part of what a MWh brings after the pool's fee
    floor_micro_per_mwh: int | None = None  #: that the partner pays at least; None = whatever it brings

    def __post_init__(self) -> None:
        if not 0 < self.share_ppm <= _PPM:
            raise ValueError(
                f"price.share_ppm = {self.share_ppm}: give a part of the revenue, above 0, to {_PPM}"
            )

    def of_revenue(self, micro_per_mwh: int) -> int:
        """The site's part of a revenue, rounded down."""
        part = micro_per_mwh * self.share_ppm // _PPM
        return part if self.floor_micro_per_mwh is None else max(part, self.floor_micro_per_mwh)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpriced:
    """Why a partner has no price at present, and what to do about it."""

    why: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a partner pays for energy, on whose word, and since when.

    `as_of_at` None = fixed by contract: it does not age. Raises ValueError for times or ages that make no sense.
    """

    micro_per_mwh: int
    source: str
    as_of_at: datetime | None = None
    stale_after_s: float = 86_400.0
    remedy: str = "bring a new price"  #: once it is stale

    def __post_init__(self) -> None:
        if self.as_of_at is not None and self.as_of_at.tzinfo is None:
            raise ValueError(
                f"price.as_of_at = {self.as_of_at.isoformat()} has no time zone; write it in UTC, with a Z"
            )
        if not self.stale_after_s > 0:
            raise ValueError(
                f"price.stale_after_s = {self.stale_after_s:g} s: a price would never be fresh; give more than 0"
            )

    def age_s(self, at: datetime) -> float:
        """Seconds since it was known, 0 for one that is fixed."""
        return 0.0 if self.as_of_at is None else (at - self.as_of_at).total_seconds()

    def is_stale(self, at: datetime) -> bool:
        """Whether it is too old to rank by, or dated later than now."""
        return not -_SKEW_S <= self.age_s(at) <= self.stale_after_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Partner:
    """One owner of co-located miners and the part of the contract that divides watts.

    Raises ValueError that names field, value and remedy where the numbers contradict each other.
    """

    partner_id: str
    weight: int = 1  #: its part of what is shared, beside the others' weights
    floor_w: int = 0  #: kept first where the room allows it, the smallest tier before the others
    cap_w: int | None = None  #: None = what its machines take
    tier: int = TIERS[-1]
    groups: tuple[str, ...] = ()  #: its miner groups; a group has one owner
    price: Price | None = None
    follows: HashpriceShare | None = (
        None  #: the price is that part of what hashing brings; None = as `price` says
    )
    unpriced: Unpriced | None = None  #: why a price that follows hashprice is not there
    pool: PoolTerms = NO_POOL
    credit_micro_per_mwh: int = 0  #: what the site owes it for a MWh that it could not use

    def __post_init__(self) -> None:
        if complaint := self._complaint():
            raise ValueError(f"partner {self.partner_id!r}: {complaint}")

    def __hash__(self) -> int:
        """By its id alone: a round asks more than once what was found out for the same partners."""
        return hash(self.partner_id)

    @property
    def worth_micro_per_mwh(self) -> int | None:
        """What the site gains by giving it one more MWh: the price, and the credit that is not owed then."""
        return None if self.price is None else self.price.micro_per_mwh + self.credit_micro_per_mwh

    def _complaint(self) -> str | None:
        if self.weight < 1:
            return f"weight = {self.weight}: give a whole number of 1 or more; who gets nothing is no partner"
        if self.floor_w < 0:
            return f"floor_w = {self.floor_w} W is below 0; 0 means that nothing is promised"
        if self.cap_w is not None and self.cap_w < self.floor_w:
            return f"cap_w = {self.cap_w} W is below floor_w = {self.floor_w} W; raise the cap or lower the floor"
        if self.tier not in TIERS:
            return f"tier = {self.tier}: use {TIERS[0]} (shed last) to {TIERS[-1]} (shed first)"
        if self.follows is not None and self.price is not None and self.price.as_of_at is None:
            return "price: it is fixed by contract and follows hashprice; give one of them"
        if self.credit_micro_per_mwh < 0:
            return f"credit_micro_per_mwh = {self.credit_micro_per_mwh} is below 0; 0 means that none is owed"
        return None


def check_partners(partners: Sequence[Partner], group_ids: Collection[str]) -> None:
    """That ids are unique and every group of a partner exists and is its alone. Raises ValueError."""
    if twice := _twice(p.partner_id for p in partners):
        raise ValueError(f"partners: two are called {twice!r}; give each an id of its own")
    if twice := _twice(g for p in partners for g in p.groups):
        raise ValueError(f"partners.groups: {twice!r} is listed twice; a miner group has one owner")
    for partner in partners:
        for group_id in partner.groups:
            if group_id not in group_ids:
                known = ", ".join(sorted(group_ids)) or "none"
                raise ValueError(
                    f"partner {partner.partner_id!r}: groups: {group_id!r} is no miner group of this site; "
                    f"use one of: {known}"
                )


def with_house(partners: Sequence[Partner], group_ids: Iterable[str]) -> tuple[Partner, ...]:
    """The partners, and the site itself for the groups that none of them owns, where there are such groups."""
    owned = {g for p in partners for g in p.groups}
    rest = tuple(sorted(g for g in group_ids if g not in owned))
    return (*partners, Partner(partner_id=HOUSE, groups=rest)) if rest else tuple(partners)


def _twice(names: Iterable[str]) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)
