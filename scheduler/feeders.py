"""Sources of the limit that are bound to a domain below the site's meter: whether the site file makes sense of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from scheduler.core.domains import Domain

TELLS = ("reports", "agent")  #: keys of what a giver is told: of the whole site


class BoundSource(Protocol):
    """One source as the site file has it."""

    @property
    def type(self) -> str:
        """Which kind of source."""
        ...

    @property
    def name(self) -> str:
        """How it is called; empty = by its type."""
        ...

    @property
    def domain(self) -> str | None:
        """That it limits; None = the site."""
        ...

    @property
    def binding(self) -> bool:
        """Whether nobody may refuse it."""
        ...

    def options(self) -> Mapping[str, Any]:
        """The keys of its own."""
        ...


def check_bound(domains: Sequence[Domain], sources: Sequence[BoundSource]) -> None:
    """That each source is bound to a domain that has a level for its silence. Raises ValueError with the remedy."""
    known = {d.name: d for d in domains}
    for source in sources:
        if source.domain is not None:
            _check(source, source.domain, known)
    fed = {s.domain for s in sources}
    if idle := next((d for d in domains if d.firm_w is not None and d.name not in fed), None):
        raise ValueError(
            f"domain {idle.name!r}: firm_w = {idle.firm_w:g} W is its level while its sources are silent, and it has "
            f"none; give a source under signals: domain: {idle.name}, or leave firm_w out"
        )


def _check(source: BoundSource, domain: str, known: Mapping[str, Domain]) -> None:
    called = source.name or source.type
    if domain not in known:
        raise ValueError(
            f"signals: {called}: domain = {domain!r} is not known; use one of {sorted(known)}, or leave it out for "
            "the site"
        )
    if known[domain].firm_w is None:
        raise ValueError(
            f"domain {domain!r}: source {called} limits it, and nothing says what it may draw while that is silent; "
            "give it a firm_w"
        )
    if not source.binding:
        raise ValueError(
            f"signals: {called}: binding = false is for limits of the site; what limits {domain} always binds: leave "
            "it out"
        )
    if tells := next((key for key in TELLS if key in source.options()), None):
        raise ValueError(
            f"signals: {called}: {tells} tells of the whole site, and this source limits {domain}; leave it out, or "
            "make it a source of the site"
        )
