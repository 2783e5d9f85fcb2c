"""Power domains below the site (feeder, hall, rack): what each may draw, and which device groups are behind it.

    load of a domain = overhead of the domain x (sum of its groups + sum of the loads of the domains below it)

Every domain has its own meter or breaker, so its limit is for its load as seen there. The site itself is no domain: its
limit is what the sources of the limit say. A domain may have sources of its own beside the limit of its wires: see
`scheduler.core.feeding`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from types import MappingProxyType

from scheduler.core.envelope import Limit

_MOST_OVERHEAD = 3.0
_ANY_W = 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """One domain and what it may draw. Raises ValueError that names the domain, field, value and remedy."""

    name: str
    parent: str | None = None  #: None = right below the site's meter
    limit_w: float | None = None  #: of its wires; None = only those above it and its sources limit it
    firm_w: float | None = (
        None  #: what it may always draw, its level while sources are silent; None = it has none
    )
    margin: float = 0.0  #: share of the limit kept free
    overhead: float = 1.0  #: what cooling and conversion make of a watt below it
    groups: tuple[
        str, ...
    ] = ()  #: ids of device groups, or patterns of such ("rack-3-*"): those right below it

    def __post_init__(self) -> None:
        if complaint := self._complaint():
            raise ValueError(f"domain {self.name!r}: {complaint}")

    def _complaint(self) -> str | None:
        if self.limit_w is not None and not 0 < self.limit_w < float("inf"):
            return f"limit_w = {self.limit_w:g} W: give more than 0, or leave it out for none"
        if self.firm_w is not None and not 0 < self.firm_w <= (self.limit_w or _ANY_W):
            most = f"at most its limit_w of {self.limit_w:g} W" if self.limit_w else "a number"
            return f"firm_w = {self.firm_w:g} W: give more than 0, and {most}"
        if not 0 <= self.margin < 1:
            return f"margin = {self.margin:g}: it is the part of the limit that is kept free; give 0 or more, below 1"
        if not 1 <= self.overhead <= _MOST_OVERHEAD:
            return f"overhead = {self.overhead:g}: give 1 (none) to {_MOST_OVERHEAD:g}; 1.25 is 25 % on top"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """A domain that has a limit, with all groups behind it, those of the domains below it included."""

    name: str
    limit_w: float
    usable_w: float  #: the limit less the margin
    factors: Mapping[str, float]  #: by group: what a watt of it is at this domain's meter
    firm_w: float | None = (
        None  #: what of it sources leave at least, less the margin; None = it has no sources
    )
    source: str = ""  #: who says so; empty = the site file
    provenance: str = ""
    stale: bool = False  #: whether that source is silent


@dataclass(frozen=True, slots=True, kw_only=True)
class Zones:
    """The limited domains of a site, those furthest from its meter first."""

    limited: tuple[Zone, ...] = ()
    _above: Mapping[str, tuple[Zone, ...]] = field(default_factory=dict)

    def above(self, group_id: str) -> tuple[Zone, ...]:
        """The limited domains that a group is behind."""
        return self._above.get(group_id, ())


def zones_of(
    domains: Sequence[Domain],
    group_ids: Iterable[str],
    limits: Mapping[str, Limit] = MappingProxyType({}),
) -> Zones:
    """Who is behind which limit. A group that two domains name is taken to be behind the first of them.

    `limits` are those of domains that have sources, by name; the others have what the site file says.
    """
    if not domains:
        return Zones()
    known = {d.name: d for d in domains}
    factors: dict[str, dict[str, float]] = {d.name: {} for d in domains}
    for group_id in sorted(group_ids):
        at, factor = home_of(group_id, domains), 1.0
        while at is not None:
            factor *= at.overhead
            factors[at.name][group_id] = factor
            at = known[at.parent] if at.parent is not None else None
    inner_first = sorted(domains, key=lambda d: -_depth(d, known))
    found = (_zone(d, limits.get(d.name), factors[d.name]) for d in inner_first)
    limited = tuple(zone for zone in found if zone is not None)
    behind = sorted({group_id for zone in limited for group_id in zone.factors})
    above = {group_id: tuple(z for z in limited if group_id in z.factors) for group_id in behind}
    return Zones(limited=limited, _above=above)


def _zone(domain: Domain, limit: Limit | None, factors: Mapping[str, float]) -> Zone | None:
    left = 1.0 - domain.margin
    if limit is not None:
        firm_w = (domain.firm_w or 0.0) * left
        return Zone(
            name=domain.name,
            limit_w=limit.limit_w,
            usable_w=limit.limit_w * left,
            factors=factors,
            firm_w=firm_w,
            source=limit.source,
            provenance=limit.provenance,
            stale=limit.stale,
        )
    if domain.limit_w is None:
        return None
    return Zone(name=domain.name, limit_w=domain.limit_w, usable_w=domain.limit_w * left, factors=factors)


def home_of(group_id: str, domains: Iterable[Domain]) -> Domain | None:
    """The domain that a group is right below; None = the site itself."""
    return next((d for d in domains if _names(d, group_id)), None)


def check_domains(domains: Sequence[Domain], idle_w: Mapping[str, float]) -> None:
    """That they form a tree, every group of the site has one place in it, and each limit carries its groups at rest.

    `idle_w` = what each group draws with nothing on it. Raises ValueError that names what is wrong and the remedy.
    What a domain names may still be to come: nodes join.
    """
    known = {d.name: d for d in domains}
    if twice := next((d for d, n in Counter(d.name for d in domains).items() if n > 1), None):
        raise ValueError(f"domains: two are called {twice!r}; give each a name of its own")
    _check_parents(domains, known)
    for group_id in idle_w:
        homes = [d.name for d in domains if _names(d, group_id)]
        if len(homes) > 1:
            raise ValueError(
                f"domains: {' and '.join(homes)} both name the group {group_id!r}; keep it in the one that feeds it"
            )
    for field_name, what in (("limit_w", "limit"), ("firm_w", "firm level")):
        _check_rest(domains, idle_w, field_name, what)


def _check_rest(domains: Sequence[Domain], idle_w: Mapping[str, float], field_name: str, what: str) -> None:
    """That each limit, or each firm level, carries what is behind it at rest."""
    least = [replace(d, limit_w=getattr(d, field_name), firm_w=None) for d in domains]
    for zone in zones_of(least, idle_w).limited:
        rest_w = sum(factor * idle_w[group_id] for group_id, factor in zone.factors.items())
        if rest_w > zone.usable_w:
            raise ValueError(
                f"domain {zone.name!r}: {field_name} = {zone.limit_w:g} W allows {zone.usable_w:g} W, and its groups "
                f"draw {rest_w:.0f} W at rest; raise the {what} or take groups out"
            )


def _names(domain: Domain, group_id: str) -> bool:
    return any(fnmatchcase(group_id, pattern) for pattern in domain.groups)


def _depth(domain: Domain, known: Mapping[str, Domain]) -> int:
    return 0 if domain.parent is None else 1 + _depth(known[domain.parent], known)


def _check_parents(domains: Sequence[Domain], known: Mapping[str, Domain]) -> None:
    sound: set[str] = set()
    for domain in domains:
        path: list[str] = []
        at: Domain | None = domain
        while at is not None and at.name not in sound:
            if at.name in path:
                circle = " > ".join([*path[path.index(at.name) :], at.name])
                raise ValueError(
                    f"domains: {circle} is a circle; let one of them have a parent outside it, or none"
                )
            path.append(at.name)
            if at.parent is not None and at.parent not in known:
                raise ValueError(
                    f"domain {at.name!r}: parent = {at.parent!r} is not known; use one of {sorted(known)}"
                )
            at = known[at.parent] if at.parent is not None else None
        sound.update(path)
