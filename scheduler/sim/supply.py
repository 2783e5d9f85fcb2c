"""The site's limit as its source tells it: at the instant of a change, or so long before as notice is given."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from datetime import timedelta

from scheduler.core.envelope import Envelope, Segment
from scheduler.sim.clock import BEGAN_AT, us
from scheduler.sim.foresight import ISSUE_S, Forecaster
from scheduler.sim.workload import PowerTrace


class Supply:
    """One source of the limit. Raises ValueError on a trace whose first step is not at 0 or whose steps go back."""

    def __init__(
        self,
        trace: PowerTrace,
        *,
        notice_s: float,
        reaction_s: float,
        source: str,
        forecast_error: float | None = None,
        seed: int = 0,
    ) -> None:
        self.source = source
        self.reaction_s = reaction_s
        self._notice_us = us(notice_s)
        self._starts_us = [us(starts_s) for starts_s, _ in trace.steps]
        self._limits_w = [limit_w for _, limit_w in trace.steps]
        if not self._starts_us or self._starts_us[0] != 0:
            raise ValueError(
                f"{trace.name}: the first step is not at 0.0 s; let the trace begin with the window"
            )
        if sorted(set(self._starts_us)) != self._starts_us:
            raise ValueError(
                f"{trace.name}: steps are not in order of time; sort them, and keep one for each instant"
            )
        self._forecaster: Forecaster | None = None  #: None = nothing is foreseen
        if forecast_error is not None:
            self._forecaster = Forecaster(self.limit_w, error=forecast_error, seed=seed)

    def limit_w(self, now_us: int) -> float:
        """The limit in force."""
        return self._limits_w[self._index(now_us)]

    def changes_us(self, end_us: int) -> Iterator[int]:
        """The instants within the window at which the limit changes."""
        last_w = None
        for starts_us, limit_w in zip(self._starts_us, self._limits_w, strict=True):
            if starts_us < end_us and limit_w != last_w:
                yield starts_us
            last_w = limit_w

    def news_us(self, end_us: int) -> Iterator[int]:
        """The instants at which something new is known or foreseen."""
        yield from (max(0, t - self._notice_us) for t in self.changes_us(end_us + self._notice_us))
        if self._forecaster is not None:
            yield from range(0, end_us, us(ISSUE_S))

    def envelope(self, now_us: int) -> Envelope:
        """What the source says."""
        first, last = self._index(now_us), self._index(now_us + self._notice_us)
        now = BEGAN_AT + timedelta(microseconds=now_us)
        return Envelope(
            source=self.source,
            issued_at=now,
            read_at=now,
            reaction_s=self.reaction_s,
            segments=tuple(self._segment(i) for i in range(first, last + 1)),
            forecast=self._forecaster.forecast(now_us) if self._forecaster else (),
        )

    def _segment(self, index: int) -> Segment:
        return Segment(
            starts_at=BEGAN_AT + timedelta(microseconds=self._starts_us[index]), limit_w=self._limits_w[index]
        )

    def _index(self, now_us: int) -> int:
        return bisect_right(self._starts_us, now_us) - 1
