"""A forecast of a trace that errs as one does: it knows what comes, and not quite when.

A forecast that is made at t says of t + d that the limit will be what the trace has at t + d + e, where e is normal
with a deviation of `error` d: a change that is foreseen four hours ahead with an error of 25 % comes an hour early or
late. The quantiles are those of the trace over such times, about a centre that itself errs by as much. The truth is
then as likely to be at one place among them as at any other, but for what is past and known: they are honest.

One model run errs one way: the centre is drawn anew every `RUN_S`, and a forecast made from it every `ISSUE_S`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from statistics import NormalDist

from scheduler.core.envelope import Foreseen, Quantile
from scheduler.sim.clock import BEGAN_AT, us

ISSUE_S = 900.0
RUN_S = 6 * 3600.0
SHARES = (0.1, 0.5, 0.9)
_MEMBERS = 21
_PROBITS = tuple(NormalDist().inv_cdf((i + 0.5) / _MEMBERS) for i in range(_MEMBERS))
_LEADS_S = (*range(0, 7200, 300), *range(7200, 86_401, 1800))
_END = Foreseen(starts_at=BEGAN_AT, quantiles=())


class Forecaster:
    """Foresees a limit for a day. The same seed, the same forecasts."""

    def __init__(self, limit_w: Callable[[int], float], *, error: float, seed: int) -> None:
        self._limit_w = limit_w
        self._error = error
        self._seed = seed
        self._made: tuple[int, tuple[Foreseen, ...]] | None = None

    def forecast(self, now_us: int) -> tuple[Foreseen, ...]:
        """The newest one that was issued by then."""
        issue = now_us // us(ISSUE_S)
        if self._made is None or self._made[0] != issue:
            self._made = issue, self._issued(issue * us(ISSUE_S))
        return self._made[1]

    def _issued(self, at_us: int) -> tuple[Foreseen, ...]:
        chance = random.Random(f"{self._seed}/{at_us // us(RUN_S)}")  # noqa: S311 - a seeded draw
        centre = chance.gauss(0.0, 1.0)
        steps = [self._step(at_us, lead_s, centre) for lead_s in _LEADS_S]
        last = Foreseen(starts_at=steps[-1].starts_at + timedelta(seconds=1800), quantiles=())
        changed = (b for a, b in pairwise([_END, *steps, last]) if b.quantiles != a.quantiles)
        return tuple(changed)

    def _step(self, at_us: int, lead_s: float, centre: float) -> Foreseen:
        then_us, spread_us = at_us + us(lead_s), self._error * us(lead_s)
        members = sorted(
            self._limit_w(max(at_us, then_us + round(spread_us * (centre + z)))) for z in _PROBITS
        )
        return Foreseen(
            starts_at=BEGAN_AT + timedelta(microseconds=then_us),
            quantiles=tuple(Quantile(share=q, limit_w=members[int(q * _MEMBERS)]) for q in SHARES),
        )
