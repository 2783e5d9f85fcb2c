"""How a site shares watts between AI and mining: the mode that its operator names, and the sentence that explains it.

    ai-first    AI takes what it can use, miners take the rest (the default)
    shares      mining is due a part of the surplus by contract; what one side cannot use flows to the other
    revenue     both are ranked by what a MWh brings, the best first
    threshold   below a surplus of X all is AI's; above it mining takes what AI's use and a reserve leave

In every mode the sum is within the room, and more room takes nothing from anybody, so that less room raises nobody.
In `ai-first` and `threshold` AI loses no watt while mining has one. The other two divide what is there for long; the
reductions of the first seconds (`shedding`) take mining first in every mode.

Firm AI work (tier 0) comes before everything. Watts are whole watts at the site meter, money is micro-units per
MWh. A MWh costs the site the same whoever uses it, so that its price does not count in the ranking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from typing import Literal, assert_never

from scheduler.core.partners import Partner
from scheduler.core.reasons import Reason
from scheduler.core.split import Claim, Split, claims_of, level, split, whole_w

_UNIT = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AiBlock:
    """AI work that can use `watts`, and what it brings with them; None = nobody has said."""

    watts: int
    micro_per_mwh: int | None = None

    def __post_init__(self) -> None:
        if self.watts < 0:
            raise ValueError(f"AI block: watts = {self.watts} is below 0; leave out what nothing can use")


@dataclass(frozen=True, slots=True, kw_only=True)
class AiFirst:
    """AI takes what it can use, miners take the rest."""

    name: Literal["ai-first"] = "ai-first"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Mining is due this part of the surplus. Raises ValueError outside 0..1."""

    name: Literal["shares"] = "shares"
    mining: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.mining <= 1.0:
            raise ValueError(f"shares.mining = {self.mining:g}: give a part of the surplus, 0 to 1")

    def due_w(self, room_w: int) -> int:
        """Mining's part of the room, to one millionth."""
        return room_w * round(self.mining * 1e6) // 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Revenue:
    """Both are ranked by what a MWh brings. Raises ValueError for a value below zero."""

    name: Literal["revenue"] = "revenue"
    gpu_h_micro: int | None = None  #: what a GPU-hour of AI at priority 0 brings; None = nobody has said

    def __post_init__(self) -> None:
        if self.gpu_h_micro is not None and self.gpu_h_micro < 0:
            raise ValueError(
                f"revenue.gpu_h_micro = {self.gpu_h_micro} is below 0; give what a GPU-hour brings"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """Below `from_w` of surplus all is AI's. Raises ValueError for watts below zero."""

    name: Literal["threshold"] = "threshold"
    from_w: int
    reserve_w: int = 0  #: kept beside what AI uses, for AI that comes

    def __post_init__(self) -> None:
        if self.from_w < 0 or self.reserve_w < 0:
            raise ValueError(
                f"threshold: from_w = {self.from_w} W, reserve_w = {self.reserve_w} W; give 0 W or more"
            )


Mode = AiFirst | Shares | Revenue | Threshold
AI_FIRST: Mode = AiFirst()


class DivisionCode(StrEnum):
    """What a sentence about a division is about."""

    DIVIDED = "Divided"
    NOT_RANKED = "NotRanked"
    FLOOR_MISSED = "FloorMissed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surplus:
    """What is to be divided, and who can use how much of it."""

    room_w: float
    ai: tuple[AiBlock, ...] = ()  #: the most valuable first
    ai_firm_w: float = 0.0  #: of them; before everything, in every mode
    ai_waiting_w: float = 0.0  #: that AI would use on top and cannot have now: told, not divided
    partners: tuple[Partner, ...] = ()
    available_w: Mapping[str, float]  #: what miner groups can take at present, by id
    at: datetime

    def __post_init__(self) -> None:
        values = [b.micro_per_mwh for b in self.ai if b.micro_per_mwh is not None]
        if any(a < b for a, b in pairwise(values)):
            raise ValueError(f"AI blocks of {values} micro-units per MWh: sort them, the most valuable first")

    @property
    def room(self) -> int:
        """The whole watts of it."""
        return whole_w(self.room_w)

    @property
    def ai_w(self) -> int:
        """All that AI can use."""
        return sum(b.watts for b in self.ai)

    @property
    def ai_wanted_w(self) -> int:
        """All that AI would use."""
        return self.ai_w + whole_w(self.ai_waiting_w)

    @property
    def firm_w(self) -> int:
        """What firm work gets, as far as the room goes."""
        return min(whole_w(self.ai_firm_w), self.ai_w, self.room)

    def claims(self) -> list[Claim]:
        """What each partner may have."""
        return claims_of(self.partners, self.available_w)


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """Who gets what. `ai_w`, the partners' watts and `unused_w` add up to the whole watts of the room."""

    ai_w: int
    partners_w: Mapping[str, int]
    unused_w: int  #: both are at their most, or it is a reserve
    reasons: tuple[Reason, ...]  #: the first says how it was divided

    @property
    def mining_w(self) -> int:
        """All partners together."""
        return sum(self.partners_w.values())


def divide(mode: Mode, surplus: Surplus) -> Division:
    """The division under this mode, with its reasons."""
    match mode:
        case AiFirst():
            return _ai_first(surplus)
        case Shares():
            return _shares(mode, surplus)
        case Revenue():
            return _revenue(surplus)
        case Threshold():
            return _threshold(mode, surplus)
    assert_never(mode)


def _ai_first(surplus: Surplus) -> Division:
    ai_w = min(surplus.ai_w, surplus.room)
    mined = split(surplus.room - ai_w, surplus.claims())
    return _division(
        surplus,
        ai_w,
        mined,
        f"AI comes first: it gets {_of(ai_w, surplus.ai_wanted_w)} that it can use, mining {_kw(_sum(mined))} of the "
        f"{_kw(surplus.room - ai_w)} left",
    )


def _shares(mode: Shares, surplus: Surplus) -> Division:
    claims = surplus.claims()
    shared_w = surplus.room - surplus.firm_w
    due_w = max(mode.due_w(surplus.room), sum(c.floor_w for c in claims))
    due_w = min(due_w, shared_w, sum(c.cap_w for c in claims))
    ai_w = min(surplus.ai_w, surplus.room - due_w)
    mined = split(surplus.room - ai_w, claims)
    return _division(
        surplus,
        ai_w,
        mined,
        f"mining is due {mode.mining:.1%} of {_kw(surplus.room)} and gets {_kw(_sum(mined))}, AI gets "
        f"{_of(ai_w, surplus.ai_wanted_w)} that it can use; what one cannot use is the other's",
    )


def _threshold(mode: Threshold, surplus: Surplus) -> Division:
    ai_w = min(surplus.ai_w, surplus.room)
    if surplus.room < mode.from_w:
        mined = split(0, surplus.claims())
        text = f"a surplus of {_exact(surplus.room)} is below {_exact(mode.from_w)}: all of it is AI's"
    else:
        mined = split(surplus.room - ai_w - mode.reserve_w, surplus.claims())
        text = (
            f"a surplus of {_exact(surplus.room)} reaches {_exact(mode.from_w)}: mining takes what AI's {_kw(ai_w)} "
            f"and the reserve of {_kw(mode.reserve_w)} leave, {_kw(_sum(mined))}"
        )
    return _division(surplus, ai_w, mined, text)


# -- by revenue --------------------------------------------------------------------------------------------------------


def _revenue(surplus: Surplus) -> Division:
    if complaint := _not_ranked(surplus):
        plain = _ai_first(surplus)
        return replace(plain, reasons=(complaint, *plain.reasons))
    claims = surplus.claims()
    floors = split(min(surplus.room - surplus.firm_w, sum(c.floor_w for c in claims)), claims).grants_w
    ai_w, grants, last = _fill_best_first(surplus, claims, floors)
    return _division(
        surplus,
        ai_w,
        replace(split(0, claims), grants_w=grants),
        f"the best MWh first: AI gets {_of(ai_w, surplus.ai_wanted_w)} that it can use, "
        f"mining {_kw(sum(grants.values()))}; the last watt goes to {last}",
    )


def _fill_best_first(
    surplus: Surplus, claims: Sequence[Claim], floors: Mapping[str, int]
) -> tuple[int, dict[str, int], str]:
    """AI's watts, the partners', and who got the last of them. At the same worth AI comes before mining."""
    ai_w, grants, last = surplus.firm_w, dict(floors), "firm work and floors"
    left_w = surplus.room - ai_w - sum(grants.values())
    worths = {p.partner_id: p.worth_micro_per_mwh for p in surplus.partners}
    values = {
        v for v in (*worths.values(), *(b.micro_per_mwh for b in surplus.ai)) if v is not None and v >= 0
    }
    for value in sorted(values, reverse=True):
        if left_w <= 0:
            break
        worthy_w = sum(b.watts for b in surplus.ai if (b.micro_per_mwh or 0) >= value)
        taken_w = max(0, min(left_w, worthy_w - ai_w))
        equals = [replace(c, floor_w=grants[c.name]) for c in claims if worths[c.name] == value]
        had_w = sum(c.floor_w for c in equals)
        mined = level(left_w - taken_w + had_w, equals)
        mined_w = sum(mined.values()) - had_w
        grants |= mined
        ai_w, left_w = ai_w + taken_w, left_w - taken_w - mined_w
        if taken_w or mined_w:
            last = f"{'mining' if mined_w else 'AI'} at {value / _UNIT:,.2f} per MWh"
    return ai_w, grants, last


def _not_ranked(surplus: Surplus) -> Reason | None:
    """Why nothing can be ranked: a price or value is missing or stale. Who can take nothing now needs none."""
    takers = {c.name for c in surplus.claims() if c.cap_w}
    for partner in (p for p in surplus.partners if p.partner_id in takers):
        if partner.unpriced is not None:
            return _unranked(
                f"the price of partner {partner.partner_id} follows hashprice, and {partner.unpriced.why}",
                partner.unpriced.remedy,
            )
        if partner.price is None:
            return _unranked(f"partner {partner.partner_id} has no price", "give it a price")
        if partner.price.is_stale(surplus.at):
            age_s, most_s = partner.price.age_s(surplus.at), partner.price.stale_after_s
            return _unranked(
                f"the price of partner {partner.partner_id} ({partner.price.source}) is {age_s / 3600:.1f} h old, "
                f"and trusted for {most_s / 3600:.1f} h",
                partner.price.remedy,
                {"age_s": age_s, "stale_after_s": most_s},
            )
    if any(b.micro_per_mwh is None and b.watts for b in surplus.ai):
        return _unranked("the value of some AI work is not known", "give its value per MWh")
    return None


def _unranked(why: str, remedy: str, numbers: Mapping[str, float] | None = None) -> Reason:
    return Reason(
        code=DivisionCode.NOT_RANKED,
        text=f"not ranked by revenue: {why}; AI comes first meanwhile",
        numbers=numbers or {},
        remedy=remedy,
    )


# -- words -------------------------------------------------------------------------------------------------------------


def _division(surplus: Surplus, ai_w: int, mined: Split, text: str) -> Division:
    mining_w = sum(mined.grants_w.values())
    numbers = {"room_w": surplus.room, "ai_w": ai_w, "ai_wanted_w": surplus.ai_wanted_w, "mining_w": mining_w}
    return Division(
        ai_w=ai_w,
        partners_w=mined.grants_w,
        unused_w=surplus.room - ai_w - mining_w,
        reasons=(
            Reason(code=DivisionCode.DIVIDED, text=text, numbers={k: float(w) for k, w in numbers.items()}),
            *(
                _missed(c, mined.grants_w[c.name])
                for c in surplus.claims()
                if mined.grants_w[c.name] < c.floor_w
            ),
        ),
    )


def _missed(claim: Claim, granted_w: int) -> Reason:
    return Reason(
        code=DivisionCode.FLOOR_MISSED,
        text=f"partner {claim.name} gets {_of(granted_w, claim.floor_w)} of its floor: no more is left for mining",
        numbers={"granted_w": float(granted_w), "floor_w": float(claim.floor_w)},
        remedy="more surplus, or a mode in which floors come before AI (shares, revenue)",
    )


def _kw(watts: int) -> str:
    return f"{watts / 1000:,.1f} kW"


def _exact(watts: int) -> str:
    """To the watt, where what is said is a comparison."""
    return f"{watts / 1000:,.3f}".rstrip("0").rstrip(".") + " kW"


def _of(part_w: int, whole: int) -> str:
    return f"{part_w / 1000:,.1f} of the {_kw(whole)}"


def _sum(mined: Split) -> int:
    return sum(mined.grants_w.values())
