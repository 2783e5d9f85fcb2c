"""Splitting watts between partners: floors first, then weighted max-min, exact in whole watts.

Each party gets `clamp(level x weight, floor, cap)` with one common level, as high as the room allows (max-min fairness
with minimum rates: who is at its cap leaves the rest to the others, in proportion to their weights). A floor counts
as part of the share, it does not come on top of it. Single watts that are left by rounding go to whoever is next to
reach them as the level rises, so that more room never takes a watt from anybody.

Where the room does not hold all floors, they are kept tier by tier, the smallest first, in proportion within a tier.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from heapq import heapify, heappop, heapreplace
from itertools import groupby

from scheduler.core.partners import Partner


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one party may have of a room. Raises ValueError for numbers below zero and for weights below one."""

    name: str
    weight: int = 1
    floor_w: int = 0
    cap_w: int
    tier: int = 4

    def __post_init__(self) -> None:
        if self.weight < 1 or not 0 <= self.floor_w <= self.cap_w:
            raise ValueError(
                f"claim of {self.name!r}: weight = {self.weight}, floor_w = {self.floor_w}, cap_w = {self.cap_w}; "
                "the weight is 1 or more, and 0 <= floor_w <= cap_w"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Who gets what of a room. The grants and `unused_w` add up to the room, to the watt."""

    grants_w: Mapping[str, int]
    unused_w: int = 0  #: left because everybody is at the cap
    short_w: Mapping[str, int]  #: by whom the floor is not reached, what lacks


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """What one miner group can take at present, W, and how well it uses it (0 = not known, taken for best)."""

    group_id: str
    max_w: int
    joule_per_th: float = 0.0


def in_line(tier: int, *, is_spent: bool) -> int:
    """Where it gives way, as a finer tier: of one tier last who has had all the curtailment of its month."""
    return 2 * tier + (0 if is_spent else 1)


def whole_w(watts: float) -> int:
    """The whole watts in it, none below zero."""
    return max(0, math.floor(watts))


def split(room_w: float, claims: Sequence[Claim]) -> Split:
    """Floors by tier, then the rest by weights. Never more than the room; all of it unless all are at their caps."""
    room = whole_w(room_w)
    floors = sum(c.floor_w for c in claims)
    grants = level(room, claims) if floors <= room else _floors_by_tier(room, claims)
    return Split(
        grants_w=grants,
        unused_w=room - sum(grants.values()),
        short_w={c.name: c.floor_w - grants[c.name] for c in claims if grants[c.name] < c.floor_w},
    )


def level(room_w: int, claims: Sequence[Claim]) -> dict[str, int]:
    """Each claim's watts at the highest common level. The room must hold all floors."""
    if sum(c.cap_w for c in claims) <= room_w:
        return {c.name: c.cap_w for c in claims}
    if len(claims) == 1:
        return {claims[0].name: room_w}
    height = _height(room_w, claims)
    grants = {c.name: min(max(math.floor(height * c.weight), c.floor_w), c.cap_w) for c in claims}
    _hand_out(room_w - sum(grants.values()), grants, claims)
    return grants


def _height(room_w: int, claims: Sequence[Claim]) -> Fraction:
    """The level, W per weight, at which the claims fill the room exactly."""
    weights = sum(c.weight for c in claims)
    if all(c.floor_w * weights <= room_w * c.weight <= c.cap_w * weights for c in claims):
        return Fraction(room_w, weights)  # nobody is held at a floor or a cap
    rises = [(Fraction(c.floor_w, c.weight), c.weight) for c in claims]
    rises += [(Fraction(c.cap_w, c.weight), -c.weight) for c in claims]
    at, left, weight = Fraction(0), Fraction(room_w - sum(c.floor_w for c in claims)), 0
    for height, change in sorted(rises):
        needed = (height - at) * weight
        if needed > left:
            break
        at, left, weight = height, left - needed, weight + change
    return at + left / weight if weight else at


def _hand_out(left_w: int, grants: dict[str, int], claims: Sequence[Claim]) -> None:
    """Single watts, to whoever is next to reach one as the level rises; of equals the first by name."""
    if left_w <= 0:
        return
    weights, caps = {c.name: c.weight for c in claims}, {c.name: c.cap_w for c in claims}
    coming = [(Fraction(grants[n] + 1, weight), n) for n, weight in weights.items() if grants[n] < caps[n]]
    heapify(coming)
    for _ in range(left_w):
        name = coming[0][1]
        grants[name] += 1
        if grants[name] < caps[name]:
            heapreplace(coming, (Fraction(grants[name] + 1, weights[name]), name))
        else:
            heappop(coming)


def _floors_by_tier(room_w: int, claims: Sequence[Claim]) -> dict[str, int]:
    grants = {c.name: 0 for c in claims}
    promised = sorted((c for c in claims if c.floor_w), key=lambda c: c.tier)
    for _, peers in groupby(promised, key=lambda c: c.tier):
        parts = [replace(c, weight=c.floor_w, floor_w=0, cap_w=c.floor_w) for c in peers]
        given = level(room_w, parts)
        grants |= given
        room_w -= sum(given.values())
    return grants


# -- partners and their groups -----------------------------------------------------------------------------------------


def claims_of(partners: Iterable[Partner], available_w: Mapping[str, float]) -> list[Claim]:
    """What each partner may have while its groups can take `available_w`, W by group id.

    A floor that its machines cannot take at present is not kept free for them.
    """
    claims = []
    for partner in partners:
        takes_w = sum(whole_w(available_w.get(g, 0.0)) for g in partner.groups)
        cap_w = takes_w if partner.cap_w is None else min(takes_w, partner.cap_w)
        claims.append(
            Claim(
                name=partner.partner_id,
                weight=partner.weight,
                floor_w=min(partner.floor_w, cap_w),
                cap_w=cap_w,
                tier=partner.tier,
            )
        )
    return claims


def by_group(
    partners: Iterable[Partner], grants_w: Mapping[str, int], pools: Iterable[Pool]
) -> dict[str, int]:
    """Each partner's grant on its own groups: the group that hashes most per watt first, equals by their size."""
    known = {p.group_id: p for p in pools}
    shared: dict[str, int] = {}
    for partner in partners:
        own = [known[g] for g in partner.groups if g in known]
        shared |= _fill(grants_w.get(partner.partner_id, 0), own)
    return shared


def _fill(left_w: int, pools: list[Pool]) -> dict[str, int]:
    filled: dict[str, int] = {}
    for _, equals in groupby(sorted(pools, key=_thrift), key=_thrift):
        claims = [Claim(name=p.group_id, weight=max(1, p.max_w), cap_w=p.max_w) for p in equals]
        given = level(left_w, claims)
        filled |= given
        left_w -= sum(given.values())
    return filled


def _thrift(pool: Pool) -> float:
    return pool.joule_per_th


# -- a cut that cannot wait for the next split -------------------------------------------------------------------------


def shed_order(claims: Iterable[Claim], curtailed_wh: Mapping[str, float]) -> list[str]:
    """Who gives way first: the largest tier; within one, who has been curtailed least so far, per weight."""
    return [
        c.name
        for c in sorted(claims, key=lambda c: (-c.tier, curtailed_wh.get(c.name, 0.0) / c.weight, c.name))
    ]


def cut(grants_w: Mapping[str, int], over_w: float, claims: Sequence[Claim], order: Iterable[str]) -> Split:
    """The grants lowered by `over_w` in this order: all to their floors first, below them only if it must be.

    Few partners are touched, so few machines are cycled; the next `split` is fair again. Raises nobody.
    """
    left, floors = math.ceil(max(0.0, over_w)), {c.name: c.floor_w for c in claims}
    lowered, names = dict(grants_w), list(order)
    for floor_of in (floors, dict.fromkeys(floors, 0)):
        for name in names:
            given = min(left, max(0, lowered[name] - floor_of[name]))
            lowered[name] -= given
            left -= given
    return Split(
        grants_w=lowered,
        short_w={n: floors[n] - w for n, w in lowered.items() if w < floors[n] and w < grants_w[n]},
    )
