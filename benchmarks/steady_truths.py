"""What may be true of the hall of `benchmarks.steady`, and of its meter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from scheduler.core.power import GpuModel

SURGE_EVERY_S, SURGE_AT_S, SURGE_S = 1800, 1700, 60
FROZEN_S, SILENT_S = 600, 45
LIGHT_W: Final = 200.0

Broken = Callable[[int, float, float], float | None]
"""(second, reading, the last one) -> what the meter shows."""


def _freezes(second: int, reading_w: float, last_w: float) -> float:
    return last_w if second % 1800 < FROZEN_S else reading_w


def _drifts(second: int, reading_w: float, last_w: float) -> float:
    del last_w
    return reading_w * (1.0 - 0.09 * min(1.0, second / 10_000.0))


def _jumps(second: int, reading_w: float, last_w: float) -> float:
    """Twice within what the reports are believed by, once beyond it."""
    del last_w
    found = {0: 0.95, 1: 0.95, 10: 1.05, 15: 0.6}
    return reading_w * found.get(second % 1200 // 60, 1.0)


def _falls_silent(second: int, reading_w: float, last_w: float) -> float | None:
    del last_w
    return None if second % 900 < SILENT_S else reading_w


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """How the site differs from what its file says, and its meter from what is true."""

    overhead: float = 1.0  #: of what the file says that nodes take with the hall
    work: float | None = None  #: of its cap, what a busy GPU draws; None = as measured on A100s
    sway: float = 0.002  #: share by which the hall's draw goes slowly up and down
    offset: float = 0.0  #: share that the meter shows too much
    noise: float = 0.001  #: share by which each reading trembles
    lag_s: int = 1
    broken: Broken | None = None  #: what the meter makes of its reading in a second; of None nothing is heard
    light: bool = False  #: a third of the jobs draws no more than `LIGHT_W` a GPU, whatever the cap
    surges: bool = False  #: twice an hour all work draws for a minute all that it may


def truths(accuracy: float) -> dict[str, Truth]:
    """By name, with a meter that may be off by this share, and is where they say so."""
    return {
        "exact": Truth(),
        "still": Truth(sway=0.0),
        "meter low": Truth(offset=-accuracy),
        "meter high": Truth(offset=accuracy),
        "hall -3 %": Truth(overhead=0.97),
        "hall -1 %": Truth(overhead=0.99),
        "hall +3 %": Truth(overhead=1.03),
        "hall +3 %, meter low": Truth(overhead=1.03, offset=-accuracy),
        "hall up, meter low": Truth(overhead=1.0 + accuracy, offset=-accuracy),
        "work at its caps": Truth(work=1.0),
        "work at its caps, hall up, meter low": Truth(work=1.0, overhead=1.0 + accuracy, offset=-accuracy),
        "work at 90 % of its caps": Truth(work=0.9),
        "a third of the work is light": Truth(light=True),
        "meter freezes": Truth(broken=_freezes),
        "meter drifts to -9 %": Truth(broken=_drifts),
        "meter jumps": Truth(broken=_jumps),
        "meter falls silent": Truth(broken=_falls_silent),
        "work surges": Truth(surges=True),
        "work surges, hall up, meter low": Truth(surges=True, overhead=1.0 + accuracy, offset=-accuracy),
    }


@cache
def light(model: GpuModel) -> GpuModel:
    """GPUs of work that never needs more than `LIGHT_W`: no cap above that slows it, and lower ones do as they do."""
    full = model.speed(LIGHT_W)
    points = (replace(p, draw_w=min(p.draw_w, LIGHT_W), speed=min(1.0, p.speed / full)) for p in model.curve)
    return replace(model, curve=tuple(points))
