"""A made-up day of surplus power. SYNTHETIC: shaped after Pakistan's seasons, measured nowhere.

In the site file:

    signals:
      - type: synthetic_day
        name: grid
        max_w: 700000      # the site's limit when there is plenty
        min_w: 160000      # and when there is none
        season: summer     # or winter
        seed: 7            # the same seed is the same day
        speed: 400         # seconds of the day in one second
        withdrawals: 3     # falls that nobody announces

No hour-by-hour record of surplus exists in public; the shapes follow what is known by month and by time of day:
summer has cheap hydro and solar power around midday (hydro 35-40 % of energy, 19 GW mean generation in August); winter
has idle thermal plants, mostly at night (hydro 8 %, 12 GW in January, against 46.6 GW installed); rooftop solar
hollows out the demand from 7 to 16 h; 18 to 23 h is scarce all year.

The shape is told `notice_s` ahead (default 0); the surprise withdrawals never are.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import Field

from scheduler.series.playback import Player, Step, Track, merged
from scheduler.signals import PlayedOptions, read_options

DAY_S = 86_400.0
STEP_S = 300.0
QUANTUM = 0.02
"""Shares are told in steps of 2 %: a dispatcher does not give a limit to the watt."""


class Season(StrEnum):
    """Which shape the day has."""

    SUMMER = "summer"
    WINTER = "winter"


#: (hour, share of the highest limit), linear in between
SHAPES: Mapping[Season, Sequence[tuple[float, float]]] = {
    Season.SUMMER: (
        (0, 0.55), (3, 0.62), (6, 0.55), (8, 0.70), (10, 0.93), (12, 1.00), (14, 0.98), (16, 0.82), (17, 0.58),
        (18, 0.24), (19, 0.15), (22, 0.15), (23, 0.34), (24, 0.55),
    ),
    Season.WINTER: (
        (0, 0.90), (2, 1.00), (5, 0.95), (7, 0.56), (9, 0.44), (12, 0.56), (15, 0.46), (17, 0.30), (18, 0.16),
        (22, 0.16), (23, 0.52), (24, 0.90),
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class DayStep:
    """From `at_s` seconds after midnight on, the limit is this share of the highest. `surprise`: told by nobody."""

    at_s: float
    share: float
    surprise: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dip:
    begin_s: float
    end_s: float
    share: float


def synthetic_day(seed: int, season: Season = Season.SUMMER, *, withdrawals: int = 3) -> tuple[DayStep, ...]:
    """24 hours in steps of five minutes; the same seed gives the same day. Shares are 0 .. 1."""
    chance = random.Random(f"{season.value}-{seed}")  # noqa: S311 - a made-up day, no secret
    dips = _dips(chance, season, withdrawals)
    clouds = _clouds(chance)
    return tuple(_step(i * STEP_S, season, clouds[i], dips) for i in range(int(DAY_S / STEP_S)))


def _step(at_s: float, season: Season, cloud: float, dips: Sequence[_Dip]) -> DayStep:
    planned = _rounded(_shape(season, at_s) * cloud)
    dip = next((d for d in dips if d.begin_s <= at_s < d.end_s), None)
    edge = any(at_s in (d.begin_s, d.end_s) for d in dips)
    return DayStep(at_s=at_s, share=min(planned, dip.share) if dip else planned, surprise=edge)


def _shape(season: Season, at_s: float) -> float:
    points, hour = SHAPES[season], at_s / 3600.0
    i = bisect_right(points, hour, key=lambda p: p[0])
    (h0, s0), (h1, s1) = points[i - 1], points[i]
    return s0 + (s1 - s0) * (hour - h0) / (h1 - h0)


def _clouds(chance: random.Random) -> list[float]:
    """A slow wander below 1: what weather and other people's load leave of the shape."""
    level, levels = 0.95, []
    for _ in range(int(DAY_S / STEP_S)):
        level = min(1.0, max(0.85, level + chance.uniform(-0.015, 0.015)))
        levels.append(level)
    return levels


def _dips(chance: random.Random, season: Season, count: int) -> list[_Dip]:
    """Withdrawals of 20 to 60 minutes, each in a part of the day of its own, where there is something to withdraw."""
    plenty = [i * STEP_S for i in range(int(DAY_S / STEP_S)) if _shape(season, i * STEP_S) >= 0.5]  # noqa: PLR2004
    dips = []
    for i in range(count):
        part = plenty[len(plenty) * i // count : len(plenty) * (i + 1) // count]
        begin_s = chance.choice(part[: max(1, len(part) - 16)])
        length_s = STEP_S * chance.randint(4, 12)
        dips.append(_Dip(begin_s=begin_s, end_s=begin_s + length_s, share=_rounded(chance.uniform(0.0, 0.3))))
    return dips


def _rounded(share: float) -> float:
    return round(round(share / QUANTUM) * QUANTUM, 6)


class SyntheticOptions(PlayedOptions):
    """What the site file says."""

    max_w: float = Field(gt=0)
    min_w: float = Field(default=0.0, ge=0)
    season: Season = Season.SUMMER
    seed: int = 1
    withdrawals: int = Field(default=3, ge=0, le=12)
    loop: bool = True


class SyntheticDay(Player):
    """Plays the made-up day from its midnight on."""

    def __init__(self, name: str, options: SyntheticOptions, *, reaction_s: float) -> None:
        track = Track(steps=_steps(options), length_s=DAY_S)
        super().__init__(name, track, options.pace(reaction_s=reaction_s))


def open_source(name: str, options: Mapping[str, Any], *, base: Path, reaction_s: float) -> SyntheticDay:
    """The source that the site file describes. Raises `SettingsError`."""
    del base
    return SyntheticDay(name, read_options(SyntheticOptions, name, options), reaction_s=reaction_s)


def _steps(options: SyntheticOptions) -> tuple[Step, ...]:
    day = synthetic_day(options.seed, options.season, withdrawals=options.withdrawals)
    return merged(
        tuple(
            Step(
                at_s=s.at_s,
                limit_w=max(options.min_w, s.share * options.max_w),
                provenance=f"synthetic {options.season.value} day, seed {options.seed}, {_clock(s.at_s)}",
                surprise=s.surprise,
            )
            for s in day
        )
    )


def _clock(at_s: float) -> str:
    return f"{int(at_s // 3600):02d}:{int(at_s % 3600 // 60):02d}"
