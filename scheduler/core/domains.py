"""Power domains as a tree (site > feeder > rack > node): what each may draw, and what is left where.

    load of a domain = overhead of the domain x (sum of its groups' entitlements + sum of the loads of its domains)

Every domain has its own meter or breaker, so its limit is for its load as seen there. A change costs one walk from the
group to the root. Inside, watts are whole microwatts, loads rounded up and limits down: after any number of changes the
books are to the digit what a recount gives.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

_MICRO = 1_000_000
_MOST_OVERHEAD = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """One domain and what it may draw. Raises ValueError that names the domain, field, value and remedy."""

    domain_id: str
    parent: str | None = None  #: None = the root
    limit_w: float | None = None  #: None = only those above it limit it
    margin: float = 0.0  #: share of the limit kept free
    overhead: float = 1.0  #: what cooling and conversion make of a watt below it, to one millionth
    quantiles: tuple[tuple[float, float], ...] = ()  #: of a forecast of the limit: (probability, W)

    def __post_init__(self) -> None:
        if complaint := self._complaint():
            raise ValueError(f"domain {self.domain_id!r}: {complaint}")

    def usable_w(self, quantile: float | None = None) -> float:
        """What may be drawn, the margin taken off; inf without a limit.

        With a quantile, as little as is forecast at the next stated one at or below it, or at the lowest of all: a low
        one for what must not be cut, the median for what may. A forecast never allows more than the limit.
        """
        limit_w = math.inf if self.limit_w is None else self.limit_w
        if quantile is not None and self.quantiles:
            at_or_below = [w for q, w in self.quantiles if q <= quantile]
            limit_w = min(limit_w, max(at_or_below, default=self.quantiles[0][1]))
        return limit_w * (1.0 - self.margin)

    def _complaint(self) -> str | None:
        if self.limit_w is not None and not 0 <= self.limit_w < math.inf:
            return f"limit_w = {self.limit_w:g} W: give 0 or more, or leave it out for none"
        if not 0 <= self.margin < 1:
            return f"margin = {self.margin:g}: it is the part of the limit that is kept free; give 0 or more, below 1"
        if not 1 <= self.overhead <= _MOST_OVERHEAD:
            return f"overhead = {self.overhead:g}: give 1 (none) to {_MOST_OVERHEAD:g}; 1.25 is 25 % on top"
        if list(self.quantiles) != sorted(self.quantiles) or any(
            not 0 <= q <= 1 or not 0 <= w < math.inf for q, w in self.quantiles
        ):
            return f"quantiles = {self.quantiles}: give (probability, W) with probabilities of 0 to 1, both rising"
        if any(a[1] > b[1] for a, b in pairwise(self.quantiles)):
            return f"quantiles = {self.quantiles}: watts fall where the probability rises; sort them"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A domain that draws more than it may."""

    domain_id: str
    load_w: float
    usable_w: float

    @property
    def over_w(self) -> float:
        """By how much."""
        return self.load_w - self.usable_w


def check_domains(domains: Sequence[Domain], homes: Mapping[str, str]) -> tuple[str, ...]:
    """That they form one tree and every group has its place in it. What is allowed and pointless, as sentences.

    `homes` = the domain of each group. Raises ValueError that names what is wrong and the remedy.
    """
    known = {d.domain_id: d for d in domains}
    if twice := next((d for d, n in Counter(d.domain_id for d in domains).items() if n > 1), None):
        raise ValueError(f"domains: two are called {twice!r}; give each a name of its own")
    _check_parents(domains, known)
    roots = sorted(d.domain_id for d in domains if d.parent is None)
    if len(roots) > 1:
        raise ValueError(
            f"domains: {' and '.join(roots)} have no parent; one is the site, name a parent for the others"
        )
    for group_id, home in homes.items():
        if home not in known:
            raise ValueError(
                f"group {group_id!r}: domain = {home!r} is not known; use one of {sorted(known)}"
            )
    return tuple(w for d in domains if (w := _pointless(d, known)))


def _check_parents(domains: Sequence[Domain], known: Mapping[str, Domain]) -> None:
    sound: set[str] = set()
    for domain in domains:
        path: list[str] = []
        at: Domain | None = domain
        while at is not None and at.domain_id not in sound:
            if at.domain_id in path:
                circle = " > ".join([*path[path.index(at.domain_id) :], at.domain_id])
                raise ValueError(
                    f"domains: {circle} is a circle; let one of them have a parent outside it, or none"
                )
            path.append(at.domain_id)
            if at.parent is not None and at.parent not in known:
                raise ValueError(
                    f"domain {at.domain_id!r}: parent = {at.parent!r} is not known; use one of {sorted(known)}"
                )
            at = known[at.parent] if at.parent is not None else None
        sound.update(path)


def _pointless(domain: Domain, known: Mapping[str, Domain]) -> str | None:
    """Why the limit of a domain never binds, where one above it is lower in its terms."""
    above, factor, usable_w = domain.parent, 1.0, domain.usable_w()
    while domain.limit_w is not None and above is not None:
        upper = known[above]
        factor *= upper.overhead
        if upper.usable_w() / factor < usable_w:
            return (
                f"domain {domain.domain_id!r}: its {usable_w:g} W never bind, {upper.domain_id!r} above it allows "
                f"{upper.usable_w() / factor:g} W; lower it or leave it out"
            )
        above = upper.parent
    return None


@dataclass(slots=True)
class _Node:
    """One domain in the books, microwatts."""

    domain: Domain
    overhead_ppm: int
    parent: str | None
    inner_uw: int = 0  #: what is below it
    load_uw: int = 0  #: as seen at its meter
    limit_uw: int | None = None


class Books:
    """The entitlements of all groups, and what they come to in each domain.

    `quantile` = for what kind of work the room is asked: of a forecast, None = by the limits alone.
    """

    def __init__(
        self, domains: Sequence[Domain], homes: Mapping[str, str], *, quantile: float | None = None
    ) -> None:
        self.warnings = check_domains(domains, homes)
        self._homes, self._quantile = dict(homes), quantile
        self._nodes = {d.domain_id: self._node(d) for d in domains}
        self._groups_uw = dict.fromkeys(homes, 0)
        self._over: set[str] = set()

    def add(self, group_id: str, delta_w: float) -> None:
        """The entitlement of a group changed by this much, to the microwatt. Raises ValueError if it falls below 0."""
        self._add_uw(group_id, round(delta_w * _MICRO))

    def hold(self, group_id: str, entitled_w: float) -> None:
        """The entitlement of a group is this now, rounded up to the microwatt. Raises ValueError below 0."""
        self._add_uw(group_id, math.ceil(entitled_w * _MICRO) - self._groups_uw[group_id])

    def _add_uw(self, group_id: str, delta_uw: int) -> None:
        if self._groups_uw[group_id] + delta_uw < 0:
            raise ValueError(
                f"group {group_id!r}: {delta_uw / _MICRO:+g} W on top of {self.entitled_w(group_id):g} W is less than "
                "nothing; give what it is entitled to, or the change since the last time"
            )
        self._groups_uw[group_id] += delta_uw
        for node in self._path(group_id):
            node.inner_uw += delta_uw
            load_uw = _ceil_ppm(node.inner_uw, node.overhead_ppm)
            node.load_uw, delta_uw = load_uw, load_uw - node.load_uw
            self._judge(node)

    def limit(self, domain: Domain) -> None:
        """A domain's limit, margin or forecast changed. Its parent and overhead are as they were, else ValueError."""
        node = self._nodes[domain.domain_id]
        if (domain.parent, domain.overhead) != (node.domain.parent, node.domain.overhead):
            raise ValueError(
                f"domain {domain.domain_id!r}: parent and overhead do not change while watts are booked; make new books"
            )
        node.domain, node.limit_uw = domain, self._limit_uw(domain)
        self._judge(node)

    def entitled_w(self, group_id: str) -> float:
        """What a group is entitled to."""
        return self._groups_uw[group_id] / _MICRO

    def load_w(self, domain_id: str) -> float:
        """What a domain's meter would show if all drew what they may."""
        return self._nodes[domain_id].load_uw / _MICRO

    def room_w(self, group_id: str) -> float:
        """What the group may get on top so that no domain above it is over: the least of theirs; inf without limits.

        Below 0 = so much too much, as seen by the group.
        """
        rise_uw: int | None = None  #: by which the load of the domain at hand may rise
        for node in reversed(self._path(group_id)):
            own_uw = None if node.limit_uw is None else node.limit_uw - node.load_uw
            rise_uw = own_uw if rise_uw is None else rise_uw if own_uw is None else min(rise_uw, own_uw)
            if rise_uw is not None:
                rise_uw = (node.load_uw + rise_uw) * _MICRO // node.overhead_ppm - node.inner_uw
        return math.inf if rise_uw is None else rise_uw / _MICRO

    def binding(self, group_id: str) -> str | None:
        """The domain that leaves the group the least room, None if none has a limit."""
        factor, tightest = 1.0, (math.inf, "")
        for node in self._path(group_id):
            factor *= node.overhead_ppm / _MICRO
            if node.limit_uw is not None:
                tightest = min(tightest, ((node.limit_uw - node.load_uw) / factor, node.domain.domain_id))
        return tightest[1] or None

    def violations(self) -> list[Violation]:
        """The domains that are over, the worst first."""
        over = [
            Violation(
                domain_id=name,
                load_w=self.load_w(name),
                usable_w=(self._nodes[name].limit_uw or 0) / _MICRO,
            )
            for name in self._over
        ]
        return sorted(over, key=lambda v: (-v.over_w, v.domain_id))

    def _node(self, domain: Domain) -> _Node:
        return _Node(
            domain=domain,
            overhead_ppm=round(domain.overhead * _MICRO),
            parent=domain.parent,
            limit_uw=self._limit_uw(domain),
        )

    def _limit_uw(self, domain: Domain) -> int | None:
        usable_w = domain.usable_w(self._quantile)
        return None if math.isinf(usable_w) else math.floor(usable_w * _MICRO)

    def _path(self, group_id: str) -> list[_Node]:
        """From the group's domain to the root."""
        path, at = [], self._homes[group_id] or None
        while at is not None:
            path.append(self._nodes[at])
            at = self._nodes[at].parent
        return path

    def _judge(self, node: _Node) -> None:
        over = node.limit_uw is not None and node.load_uw > node.limit_uw
        (self._over.add if over else self._over.discard)(node.domain.domain_id)


def _ceil_ppm(uw: int, ppm: int) -> int:
    return -(-uw * ppm // _MICRO)
