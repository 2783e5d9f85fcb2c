"""Whole machines for several partners at once, fair over time: what rounding takes from one, it gives back later.

A grant seldom is a whole number of machines. Each round all partners land at or under their share, and what is left is
given, one machine at a time, to whoever is owed most. Debts are watt-seconds against the share of what was really
mined, so that they add up to nothing: what no machine of anybody fits into is owed to nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from scheduler.core.machines import Landing, Machine, quantise
from scheduler.core.split import Claim


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditRule:
    """How much may be owed, and how much before a machine is put to sleep to pay. Raises ValueError below zero."""

    bound_ws: int = 3500 * 86_400  #: no more is carried, either way: one machine for a day
    swap_ws: int = 3500 * 3600  #: a partner's machines go on until another is owed this much more per weight

    def __post_init__(self) -> None:
        if self.swap_ws < 0 or self.bound_ws <= self.swap_ws:
            raise ValueError(
                f"bound_ws = {self.bound_ws}, swap_ws = {self.swap_ws}: give swap_ws of 0 or more and a larger "
                "bound_ws, or a debt never grows enough to be paid"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """The debts as they stood in a round, and the shares that were due from then on. Watts above rest."""

    at: datetime
    credit_ws: Mapping[str, int] = field(default_factory=dict)  #: by partner; positive = owed to it
    shares_w: Mapping[str, int] = field(default_factory=dict)

    def resumed(self, at: datetime) -> Owed:
        """The same debts from `at` on: nobody knows who mined what while nobody decided."""
        return Owed(at=at, credit_ws=self.credit_ws)

    def since(self, used_w: Mapping[str, float], at: datetime, rule: CreditRule) -> dict[str, int]:
        """The debts at `at`, if the partners have used this much until then."""
        seconds = max(0.0, (at - self.at).total_seconds())
        return carried(self.credit_ws, self.shares_w, used_w, seconds, rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What stands before machines are chosen: the room and who may have what of it.

    Watts are the whole draw of the fleets, those asleep included. `shares_w` are the grants of `split`.
    """

    room_w: int
    claims: Sequence[Claim]
    shares_w: Mapping[str, int]
    fleets: Mapping[str, Sequence[Machine]]
    credit_ws: Mapping[str, int]
    at: datetime
    emergency: bool = False
    by_tier: bool = False  #: a cut: who is of a smaller tier comes first, and pays nobody of a larger one

    def claim(self, name: str) -> Claim:
        """Of this partner; who has made none may have nothing."""
        return next((c for c in self.claims if c.name == name), Claim(name=name, cap_w=0))


def land(now: Round, rule: CreditRule) -> dict[str, Landing]:
    """Machines of each partner. In sum never more than the room, but for minimum times and who does not obey."""
    landings = {n: _landed(now, n, now.shares_w.get(n, 0)) for n in sorted(now.fleets)}
    owed_ws = _line(now, landings, rule)
    owed = list(owed_ws)
    if _spare_w(now, landings) < 0:
        return _take(now, landings, reversed(owed))
    one_more = {
        n: now.shares_w.get(n, 0) + max((m.extra_w for m in f), default=0) for n, f in now.fleets.items()
    }
    landings = _pay(now, landings, owed_ws, rule)
    landings = _give(now, landings, owed, one_more)
    return _give(now, landings, owed, dict.fromkeys(owed, now.room_w))


def carried(
    credit_ws: Mapping[str, int],
    shares_w: Mapping[str, int],
    used_w: Mapping[str, float],
    seconds: float,
    rule: CreditRule,
) -> dict[str, int]:
    """The debts after `seconds` in which partners used this much; positive = owed to it. Never beyond the bound."""
    shares, used = sum(shares_w.values()), sum(used_w.get(n, 0.0) for n in shares_w)
    part = used / shares if shares else 0.0
    grown = dict(credit_ws)
    for name, share_w in shares_w.items():
        missed_w = share_w * part - used_w.get(name, 0.0)
        ws = grown.get(name, 0) + round(missed_w * seconds)
        grown[name] = max(-rule.bound_ws, min(rule.bound_ws, ws))
    return grown


def _landed(now: Round, name: str, granted_w: int) -> Landing:
    return quantise(now.fleets[name], granted_w, now.at, emergency=now.emergency)


def _spare_w(now: Round, landings: Mapping[str, Landing]) -> int:
    return now.room_w - sum(x.landed_w for x in landings.values())


def _line(now: Round, landings: Mapping[str, Landing], rule: CreditRule) -> dict[str, float]:
    """What each is owed, whoever comes first at the front."""
    owed_ws = {n: _owed_ws(now, n, x, rule) for n, x in landings.items()}
    tiers = {n: now.claim(n).tier if now.by_tier else 0 for n in owed_ws}
    return dict(sorted(owed_ws.items(), key=lambda one: (tiers[one[0]], -one[1], one[0])))


def _owed_ws(now: Round, name: str, landing: Landing, rule: CreditRule) -> float:
    """What it is owed per weight; more by the swap where a machine of its would have to stop now."""
    stops = any(m.runs and landing.targets_w[m.machine_id] == m.rest_w for m in now.fleets[name])
    return now.credit_ws.get(name, 0) / now.claim(name).weight + (rule.swap_ws if stops else 0)


def _pay(
    now: Round, landings: dict[str, Landing], owed_ws: dict[str, float], rule: CreditRule
) -> dict[str, Landing]:
    """One machine more for whom rounding leaves below its share, of the watts of those who are owed less by the swap.

    Else whose machines can be trimmed would land on its share in every round, and take what the others cannot use.
    """
    paid = landings
    for name, own_ws in owed_ws.items():
        if paid[name].landed_w < now.shares_w.get(name, 0):
            most_ws, tier = own_ws - rule.swap_ws, now.claim(name).tier if now.by_tier else 0
            payers = (n for n in reversed(owed_ws) if owed_ws[n] <= most_ws and now.claim(n).tier >= tier)
            paid = _paid(now, paid, name, payers)
    return paid


def _paid(now: Round, landings: dict[str, Landing], name: str, payers: Iterable[str]) -> dict[str, Landing]:
    """With one machine more for this one; unchanged if these cannot make room for it above their floors."""
    have_w, cap_w = landings[name].landed_w, now.claim(name).cap_w
    tried = _landed(now, name, min(cap_w, have_w + max(m.extra_w for m in now.fleets[name])))
    if not have_w < tried.landed_w <= cap_w:
        return landings
    paid = {**landings, name: tried}
    for payer in payers:
        spare_w = _spare_w(now, paid)
        if spare_w < 0:
            paid[payer] = _lowered(now, payer, paid[payer], -spare_w, now.claim(payer).floor_w)
    return paid if _spare_w(now, paid) >= 0 else landings


def _lowered(now: Round, name: str, landing: Landing, by_w: int, floor_w: int) -> Landing:
    """By so much, but not for less than its floor."""
    may_w = max(floor_w, landing.landed_w - by_w)
    return _landed(now, name, may_w) if may_w < landing.landed_w else landing


def _give(
    now: Round, landings: Mapping[str, Landing], order: Iterable[str], at_most_w: Mapping[str, int]
) -> dict[str, Landing]:
    """What is left, in this order, to whoever can use it."""
    given = dict(landings)
    for name in order:
        have_w = given[name].landed_w
        may_w = min(have_w + _spare_w(now, given), at_most_w[name], now.claim(name).cap_w)
        tried = _landed(now, name, may_w) if may_w > have_w else given[name]
        if have_w < tried.landed_w <= may_w:
            given[name] = tried
    return given


def _take(now: Round, landings: Mapping[str, Landing], order: Iterable[str]) -> dict[str, Landing]:
    """Somebody's machines must run on beyond its share: the others give way for them, the largest tier first.

    Within one in this order; all to their floors first, below them only if it must be.
    """
    taken = dict(landings)
    line = sorted(order, key=lambda n: -now.claim(n).tier)
    for floors_w in ({n: now.claim(n).floor_w for n in line}, dict.fromkeys(line, 0)):
        for name in line:
            spare_w = _spare_w(now, taken)
            if spare_w >= 0:
                return taken
            taken[name] = _lowered(now, name, taken[name], -spare_w, floors_w[name])
    return taken
