"""The methods: quantile regression by boosted trees, and the two kinds of persistence that it has to beat.

All of them learn from pairs of an origin, at which a forecast might have been made, and a quarter after it. The pairs
are drawn with a fixed seed: the same history gives the same forecast.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from scheduler.forecasting.timeline import DAY, Floats, Indices, Timeline, features, same_time_before
from scheduler.predictions import BUCKETS_H, QUARTER, SHARES, STEPS, Made, Method, Watts

LEARNED_DAYS: Final = 60
"""How far back pairs are drawn from; what they look back at may be a week older."""
_PAIRS: Final = 20_000
_SEED: Final = 0
_TREES: Final = 80
_LEAVES: Final = 15
_LEAST_IN_LEAF: Final = 60
_RATE: Final = 0.08
_PER_HOUR: Final = DAY // 24
_Point = Callable[[Timeline, Indices, Indices], Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pairs:
    """Origins and leads, and what came."""

    origins: Indices
    leads: Indices
    truths_w: Floats


def predict(line: Timeline, *, made_at: datetime) -> Made:
    """Forecasts of the `STEPS` quarters after the last one of the timeline, by each method.

    Quantiles do not cross, and stay between 0 and the highest limit that was ever seen.
    """
    pairs, most_w = _pairs(line), float(np.nanmax(line.limits_w))
    origins, leads = np.full(STEPS, len(line)), np.arange(STEPS)
    found = {
        Method.LEARNED: _learned(line, pairs, origins, leads),
        Method.YESTERDAY: _persistent(line, pairs, origins, leads, _yesterday),
        Method.LAST: _persistent(line, pairs, origins, leads, _last),
    }
    rows = {method: _rows(quantiles, most_w) for method, quantiles in found.items()}
    return Made(made_at=made_at, starts_at=line.starts_at + len(line) * QUARTER, rows=rows)


def bucket_of(leads: Indices) -> Indices:
    """In which range of lead times each is; the end of a quarter counts."""
    return np.searchsorted(np.array(BUCKETS_H) * _PER_HOUR, leads, side="right")


def _pairs(line: Timeline) -> _Pairs:
    """Pairs of the newest days, drawn at random, alike from each range of lead times."""
    draw = np.random.default_rng(_SEED)
    known = np.flatnonzero(np.isfinite(line.limits_w))[-LEARNED_DAYS * DAY :]
    known = known[known >= known[0] + DAY]  # there is a day before it to look back at
    ends = [0, *(h * _PER_HOUR for h in BUCKETS_H)]
    each = _PAIRS // len(BUCKETS_H)
    leads = np.concatenate([draw.integers(a, b, each) for a, b in pairwise(ends)])
    origins = draw.choice(known, len(leads))
    truths_w = line.at(origins + leads)
    came = np.isfinite(truths_w)
    return _Pairs(origins=origins[came], leads=leads[came], truths_w=truths_w[came])


def _learned(line: Timeline, pairs: _Pairs, origins: Indices, leads: Indices) -> Floats:
    """What is learned is how far off persistence is: of the sun, it knows most. At each lead time the better kind."""
    seen_w, stands_w = _better_persistence(line, pairs, origins, leads)
    came_w = pairs.truths_w - seen_w
    seen, asked = features(line, pairs.origins, pairs.leads), features(line, origins, leads)
    telling = np.isfinite(seen).any(axis=0)
    seen, asked = seen[:, telling], asked[:, telling]  # of a young history nothing is a week old
    with threadpool_limits(
        limits=1
    ):  # more of them only wait for each other, and for whoever else is at work
        off_w: list[Floats] = [_model(share).fit(seen, came_w).predict(asked) for share in SHARES]
    return stands_w[:, None] + np.stack(off_w, axis=1)


def _better_persistence(
    line: Timeline, pairs: _Pairs, origins: Indices, leads: Indices
) -> tuple[Floats, Floats]:
    """What stands in for the quarters of the pairs, and for those that are asked for."""
    of_pairs, of_asked = bucket_of(pairs.leads), bucket_of(leads)
    seen_w, stands_w = _yesterday(line, pairs.origins, pairs.leads), _yesterday(line, origins, leads)
    last_w, stands_last_w = _last(line, pairs.origins, pairs.leads), _last(line, origins, leads)
    for bucket in range(len(BUCKETS_H)):
        mine, asked = of_pairs == bucket, of_asked == bucket
        truths_w = pairs.truths_w[mine]
        if np.abs(truths_w - last_w[mine]).sum() < np.abs(truths_w - seen_w[mine]).sum():
            seen_w[mine], stands_w[asked] = last_w[mine], stands_last_w[asked]
    return seen_w, stands_w


def _model(share: float) -> HistGradientBoostingRegressor:
    return HistGradientBoostingRegressor(
        loss="quantile",
        quantile=share,
        learning_rate=_RATE,
        max_iter=_TREES,
        max_leaf_nodes=_LEAVES,
        min_samples_leaf=_LEAST_IN_LEAF,
        early_stopping=False,
        random_state=_SEED,
    )


def _yesterday(line: Timeline, origins: Indices, leads: Indices) -> Floats:
    """The same time of the newest whole day, or of one of the week before it if that was not seen."""
    targets = origins + leads - same_time_before(leads)
    found = line.at(targets)
    for days in range(1, 7):
        found = np.where(np.isfinite(found), found, line.at(targets - days * DAY))
    return np.where(np.isfinite(found), found, np.nanmedian(line.limits_w))


def _last(line: Timeline, origins: Indices, leads: Indices) -> Floats:
    """The newest quarter that was seen in the six hours before."""
    del leads
    found = line.at(origins - 1)
    for quarters in range(2, 25):
        found = np.where(np.isfinite(found), found, line.at(origins - quarters))
    return np.where(np.isfinite(found), found, np.nanmedian(line.limits_w))


def _persistent(line: Timeline, pairs: _Pairs, origins: Indices, leads: Indices, point: _Point) -> Floats:
    """What stands in for each quarter, and the quantiles of how far off it was at such lead times."""
    errors_w = pairs.truths_w - point(line, pairs.origins, pairs.leads)
    of_pairs, of_asked = bucket_of(pairs.leads), bucket_of(leads)
    stands_w = point(line, origins, leads)
    found = np.empty((len(leads), len(SHARES)))
    for bucket in range(len(BUCKETS_H)):
        known = errors_w[of_pairs == bucket]
        off_w = np.quantile(known, SHARES) if len(known) else np.zeros(len(SHARES))
        found[of_asked == bucket] = stands_w[of_asked == bucket, None] + off_w
    return found


def _rows(quantiles_w: Floats, most_w: float) -> tuple[Watts, ...]:
    kept = np.clip(np.sort(quantiles_w, axis=1), 0.0, most_w).round(1)
    return tuple(tuple(float(w) for w in row) for row in kept)
