"""What goes wrong in a simulated site, and when: drawn from a seed before the run begins."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scheduler.sim.fault_rates import Fault, FaultRates


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One fault, from `starts_s` to `ends_s`."""

    fault: Fault
    starts_s: float
    ends_s: float
    group_id: str = ""  #: where it is a group's
    factor: float = 1.0  #: of a lying meter


_DECEPTIONS = frozenset({Fault.LIE, Fault.BLIND, Fault.STUBBORN})
"""Of these one at a time: nobody can find a miner out who lies beside a meter that does."""
_APART_S = 30.0


class Mishaps:
    """All faults of one run. The same seed, groups and window give the same."""

    def __init__(self, seed: int, rates: FaultRates) -> None:
        self.rates = rates
        self._chance = random.Random(seed)  # noqa: S311 - seeded, to be repeated

    def happens(self, share: float) -> bool:
        """Whether one of a share of events is this one."""
        return self._chance.random() < share

    def late_s(self) -> float:
        """How late a message is."""
        return self._chance.uniform(0.0, self.rates.late_s)

    def spans(self, nodes: Sequence[str], miners: Sequence[str], window_s: float) -> list[Span]:
        """The faults of a window, in order of time, deceptions apart from each other."""
        drawn = sorted(
            (
                span
                for f, per_h, longest_s in self.rates.per_h
                for span in self._drawn(f, per_h, longest_s, nodes, miners, window_s)
            ),
            key=lambda s: (s.starts_s, s.fault, s.group_id),
        )
        kept, free_s = [], 0.0
        for span in drawn:
            if span.fault in _DECEPTIONS:
                if span.starts_s < free_s:
                    continue
                free_s = span.ends_s + _APART_S
            kept.append(span)
        return kept

    def _drawn(
        self,
        fault: Fault,
        per_h: float,
        longest_s: float,
        nodes: Sequence[str],
        miners: Sequence[str],
        window_s: float,
    ) -> Iterator[Span]:
        if per_h <= 0.0:
            return
        groups = {Fault.CRASH: nodes, Fault.STUBBORN: miners, Fault.CUT: [*nodes, *miners]}.get(fault, [""])
        for group_id in groups:
            at_s = 0.0
            while (at_s := at_s + 1.0 + self._chance.expovariate(per_h / 3600.0)) < window_s:
                ends_s = at_s + self._chance.uniform(1.0, longest_s)
                factor = self._chance.uniform(0.7, 1.3) if fault is Fault.LIE else 1.0
                yield Span(fault=fault, starts_s=at_s, ends_s=ends_s, group_id=group_id, factor=factor)
                at_s = ends_s
