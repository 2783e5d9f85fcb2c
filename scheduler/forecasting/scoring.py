"""How good forecasts were: pinball loss and coverage by lead time, of each method, from what came afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from scheduler.forecasting.timeline import DAY, Floats, Timeline
from scheduler.predictions import BUCKETS_H, SHARES, Made, Method, Score, Tally

SCORED: Final = timedelta(days=7)
"""How long a forecast is held against what came, from when it was made."""
_PER_HOUR: Final = DAY // 24


def score(line: Timeline, forecasts: Iterable[Made], *, since: datetime) -> Score:
    """How good the forecasts that were made from `since` on were, so far as what they foretold came and was seen."""
    scored = [made for made in forecasts if made.made_at >= since]
    truths = [
        line.at(np.arange(line.index(m.starts_at), line.index(m.starts_at) + _length(m))) for m in scored
    ]
    tallies = {}
    for method in Method:
        rows = [
            (np.array(m.rows[method]), truth)
            for m, truth in zip(scored, truths, strict=True)
            if method in m.rows
        ]
        tallies[method] = _tallies(rows)
    return Score(since_at=since, tallies=tallies)


def pinball_w(truths_w: Floats, quantiles_w: Floats) -> Floats:
    """The pinball loss of each quantile (columns) at each truth (rows)."""
    off_w = truths_w[:, None] - quantiles_w
    shares = np.array(SHARES)
    return np.maximum(shares * off_w, (shares - 1.0) * off_w)


def _length(made: Made) -> int:
    return max(len(rows) for rows in made.rows.values())


def _tallies(rows: list[tuple[Floats, Floats]]) -> tuple[Tally, ...]:
    found, begins = [], 0
    for until_h in BUCKETS_H:
        part = slice(begins, until_h * _PER_HOUR)
        begins = part.stop
        quantiles_w = np.concatenate([q[part] for q, _ in rows] or [np.empty((0, len(SHARES)))])
        truths_w = np.concatenate([t[part] for _, t in rows] or [np.empty(0)])
        known = np.isfinite(truths_w)
        found.append(_tally(until_h, quantiles_w[known], truths_w[known]))
    return tuple(found)


def _tally(until_h: int, quantiles_w: Floats, truths_w: Floats) -> Tally:
    count = len(truths_w)
    if not count:
        return Tally(until_h=until_h, count=0, pinball_w=tuple(0.0 for _ in SHARES), covered=0.0)
    inside = (quantiles_w[:, 0] <= truths_w) & (truths_w <= quantiles_w[:, -1])
    losses_w = pinball_w(truths_w, quantiles_w).mean(axis=0)
    return Tally(
        until_h=until_h,
        count=count,
        pinball_w=tuple(float(w) for w in losses_w),
        covered=float(inside.mean()),
    )
