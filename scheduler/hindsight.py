"""The forecast that was made from history, as snapshots carry it: worked out anew when what is published changes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

from scheduler.core.envelope import Envelope, Foreseen, Quantile
from scheduler.core.hindsight import filled
from scheduler.predictions import QUARTER, SHARES, Made, Method, Watts

GOOD_FOR: Final = timedelta(hours=6)
"""A forecast that was made so long ago is planned on no more."""
_FINE: Final = timedelta(hours=6)
"""So far ahead by the quarter of an hour, after that by the hour."""


class Hindsight:
    """Fills in what was learned where no source says anything. Nothing learned = the envelopes as they are."""

    def __init__(self) -> None:
        self._learned: tuple[Foreseen, ...] = ()
        self._until_at: datetime | None = None
        self._told: tuple[object, ...] = ()
        self._fill: tuple[tuple[Foreseen, ...], str] = ((), "")

    def learn(self, made: Made | None, method: Method | None) -> None:
        """Have this planned on from now on; None = nothing."""
        self._told = ()
        if made is None or method is None:
            self._learned, self._until_at = (), None
        else:
            self._learned, self._until_at = as_foreseen(made, method), made.made_at + GOOD_FOR

    def over(self, envelopes: Iterable[Envelope], at: datetime) -> tuple[Envelope, ...]:
        """The envelopes with what was learned where none of them covers the time."""
        heard = tuple(envelopes)
        if self._until_at is None or at >= self._until_at:
            return heard
        told = tuple((e.segments, e.valid_until, e.forecast) for e in heard)
        if told != self._told:
            self._told = told
            bare = [e for e in filled(heard, self._learned) if e.forecast_by]
            self._fill = (bare[0].forecast, bare[0].forecast_by) if bare else ((), "")
        forecast, by = self._fill
        if not forecast:
            return heard
        return tuple(e if e.forecast else replace(e, forecast=forecast, forecast_by=by) for e in heard)


def as_foreseen(made: Made, method: Method) -> tuple[Foreseen, ...]:
    """A forecast as the core takes it: of each hour that is far ahead its lowest quarter, at each quantile."""
    rows = list(enumerate(made.rows[method]))
    fine_until = made.starts_at + _FINE

    def begins_at(row: tuple[int, Watts]) -> datetime:
        at = made.starts_at + row[0] * QUARTER
        return at if at < fine_until else max(fine_until, at.replace(minute=0))

    steps = [
        Foreseen(starts_at=at, quantiles=_quantiles([watts for _, watts in members]))
        for at, members in groupby(rows, key=begins_at)
    ]
    return (*steps, Foreseen(starts_at=made.starts_at + len(rows) * QUARTER, quantiles=()))


def _quantiles(rows: list[Watts]) -> tuple[Quantile, ...]:
    lowest = [min(watts) for watts in zip(*rows, strict=True)]
    return tuple(Quantile(share=s, limit_w=w) for s, w in zip(SHARES, lowest, strict=True))
