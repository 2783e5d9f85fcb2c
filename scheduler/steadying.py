"""Holds rises of sources back as the site file says, and tells when one became unsteady and when it is calm again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from scheduler.core.envelope import Envelope, limit_of
from scheduler.core.reasons import Event
from scheduler.core.steady import AT_ONCE, NOTHING, Past, SteadyRule, steadied


class Steadying:
    """What is remembered of every source. A restarted scheduler begins from what was counted of it."""

    def __init__(
        self, rules: Mapping[str, SteadyRule], tell: Callable[[Event], None], *, firm_w: float
    ) -> None:
        self._rules, self._tell, self._firm_w = rules, tell, firm_w
        self._past: dict[str, Past] = {}

    def taken(self, told: Envelope, at: datetime, *, known: Envelope | None) -> Envelope:
        """What counts of an envelope that was read at `at`; `known` is what counted of its source so far."""
        rule = self._rules.get(told.source, AT_ONCE)
        if rule == AT_ONCE:
            return told
        before = self._past.get(told.source, NOTHING)
        counted = None if known is None else limit_of(known, at, now=at, firm_w=self._firm_w)
        past, counts = steadied(before, told, at, rule, counted=counted)
        self._past[told.source] = past
        if past.unsteady is not before.unsteady:
            self._tell(_event(told.source, past, at, rule))
        return counts


def _event(source: str, past: Past, at: datetime, rule: SteadyRule) -> Event:
    if not past.unsteady:
        return Event(
            at=at,
            kind="signal.steady",
            text=f"source {source} is calm again: its rises count at once, or as the site file says",
            data={"source": source},
        )
    text = (
        f"source {source} jumps about: its limit turned {len(past.turned)} times within {rule.within_s / 60:g} min; "
        f"until it is calm a rise counts once it stood for {rule.hold_s:g} s"
    )
    return Event(at=at, kind="signal.unsteady", text=text, data={"source": source, "turns": len(past.turned)})
