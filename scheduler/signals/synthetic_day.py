"""A built-in day of surplus power, so that a site can be tried without any outside file. Synthetic, and says so.

Shaped after what is known of Pakistan by month and hour of day: in summer surplus is cheap midday hydro and solar,
in winter it is idle thermal capacity at night; the hours from 18 to 23 are scarce all year. On top come a few
withdrawals without notice, at hours drawn from the seed. The same seed gives the same day.

In the site file:

    signals:
      - type: synthetic_day
        name: grid
        season: summer      # or winter
        seed: 7
        day_s: 86400        # real seconds that the day takes
        max_w: 12000
        min_w: 4600         # the firm level: never below
        withdrawals: 5
        notice_s: 0
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from scheduler.errors import SettingsError
from scheduler.signals.replay import Playback, began_at

_STEP_H = 0.25
#: (hour, share of the surplus) between which the day runs straight
_SHAPES = {
    "summer": (
        (0, 0.55),
        (5, 0.5),
        (7, 0.65),
        (10, 0.95),
        (15, 1.0),
        (17, 0.7),
        (18.5, 0.15),
        (22.5, 0.1),
        (24, 0.5),
    ),
    "winter": (
        (0, 1.0),
        (5, 0.95),
        (7, 0.55),
        (10, 0.5),
        (15, 0.5),
        (17, 0.35),
        (18.5, 0.1),
        (22.5, 0.2),
        (24, 0.9),
    ),
}


class Options(BaseModel):
    """What the site file says of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    season: Literal["summer", "winter"] = "summer"
    seed: int = 0
    day_s: float = Field(default=86_400.0, gt=0)
    max_w: float = Field(gt=0, le=1e10)
    min_w: float = Field(default=0.0, ge=0, le=1e10)
    withdrawals: int = Field(default=5, ge=0, le=50)
    notice_s: float = Field(default=0.0, ge=0)


def synthetic_day(options: Options) -> list[tuple[float, float, str]]:
    """The day as steps: (real seconds from its start, limit_w, provenance), one each quarter of an hour."""
    chance = random.Random(options.seed)  # noqa: S311 - a shape, not a secret
    gone = [_withdrawal(chance) for _ in range(options.withdrawals)]
    steps: list[tuple[float, float, str]] = []
    for quarter in range(int(24 / _STEP_H)):
        hour = quarter * _STEP_H
        share = _share(options.season, hour) * chance.uniform(0.94, 1.0)
        withdrawn = any(start <= hour < end for start, end in gone)
        limit_w = options.min_w + (0.0 if withdrawn else share) * (options.max_w - options.min_w)
        what = "withdrawn without notice" if withdrawn else "surplus"
        text = f"synthetic {options.season} day, {int(hour):02d}:{int(hour % 1 * 60):02d}, {what}"
        steps.append((hour / 24 * options.day_s, limit_w, text))
    return [*steps, (options.day_s, options.max_w, "the synthetic day is over")]


def _withdrawal(chance: random.Random) -> tuple[float, float]:
    start = chance.uniform(1.0, 17.0)
    return start, start + chance.uniform(0.5, 1.75)


def _share(season: str, hour: float) -> float:
    points = _SHAPES[season]
    for (h0, s0), (h1, s1) in pairwise(points):
        if h0 <= hour <= h1:
            return s0 + (s1 - s0) * (hour - h0) / (h1 - h0)
    return points[-1][1]


def open_source(name: str, options: Mapping[str, Any], *, base: Path, reaction_s: float) -> Playback:
    """The source that the site file describes. Raises `SettingsError`."""
    try:
        parsed = Options.model_validate(options)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise SettingsError(f"signals.{name}.{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    return Playback(
        name,
        synthetic_day(parsed),
        began_at=began_at(base, name),
        notice_s=parsed.notice_s,
        reaction_s=reaction_s,
    )
