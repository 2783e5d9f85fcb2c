"""Stranded power: what GPUs leave of their caps for long, and the cap that they have use for.

Every GPU is charged at its enforced cap, so what it never draws of that is lost for all others. Work that long
draws far less than its cap gets one a little above the most that it was seen to draw; that is enforced, and charged,
and the rest goes to others. It never makes the limit less safe: only caps are lowered.

Readings are about a second apart and are means of some ten to a thousand milliseconds: peaks between them are not seen.
`HEADROOM` times the highest of ten minutes is what they are left. Zeus' public sweep of training on four types of GPU
(github `ml-energy/zeus`) has, for work that draws less than 85 % of what its GPU could, a loss of 0.7 to 1.1 % of speed
in the median at a cap 10 to 25 % above the *mean*, and 0.4 % above that, within what the same runs differ by.

Who comes to `NEAR` of such a cap may be held down by it: it is forgotten at once, and found again after twice as long,
so that nobody goes up and down. Some devices hold their draw a share below any cap: the headroom is so wide that work
at its old peak is below `NEAR`, and work that needs more is not, on a device that draws 90 % of its caps. A narrower
one would hide it for good; a wider one is paid for in watts, and Emerald's sweep of A100s has 97 % at such caps. So is
forgotten who draws markedly less since such a cap stands. No work in that sweep draws less than 86 % of any cap: none
of it is below `LIGHT`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from scheduler.core.altered import altered
from scheduler.core.floors import STEP_W

LIGHT: Final = 0.8
"""Work that draws less than this share of its cap is not held down by it."""
NEAR: Final = 0.89
"""Work that draws this share of the cap that it was thought to have use for may have use for more."""
FELL: Final = 0.92
"""Work that draws less than this share of what it drew before may do so because of its lower cap."""
HEADROOM: Final = 1.16
SPARE_W: Final = 5.0
WATCH_S: Final = 600.0  #: how long work is watched before anything is made of it
MOST_BACK_OFFS: Final = 7  #: that double this
REGAIN_S: Final = 120.0
"""For so long others make room for work whose cap turned out too low."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Useful:
    """What is known of what attempts have use for, by attempt id."""

    caps_w: Mapping[str, float] = field(default_factory=dict)  #: the highest cap, multiples of `STEP_W`
    regaining: tuple[str, ...] = ()  #: held down by such a cap until lately: others make room for them


NOTHING_KNOWN: Final = Useful()


def otherwise_known(old: Useful, new: Useful) -> list[str]:
    """Attempts of which another cap is known than before, or none any more."""
    if old.caps_w is new.caps_w:
        return []
    both = old.caps_w.keys() | new.caps_w.keys()
    return sorted(k for k in both if old.caps_w.get(k) != new.caps_w.get(k))


class Look(NamedTuple):
    """What an attempt's GPUs on one node were seen to draw."""

    at: datetime
    node_id: str
    nodes: int  #: that the attempt is on
    draw_w: float  #: the highest of any of its GPUs there
    cap_w: float  #: the lowest that is enforced on any of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """An attempt that draws far less than its cap."""

    since_at: datetime  #: since when it is watched without a break
    peak_w: float  #: the highest draw of any of its GPUs since then
    heard_at: Mapping[str, datetime]  #: of each of its nodes
    useful_w: float | None = None  #: the highest cap that it has use for; None = not known yet
    found_w: float = 0.0  #: the peak that this came of


def watched(known: Watch | None, look: Look, *, wait_s: float, silent_s: float) -> Watch | None:
    """What is known of an attempt after another look; None: it has use for whatever cap it can get.

    Something is made of `wait_s` without a break: all its nodes were heard every `silent_s`, and drew little.
    """
    if look.draw_w >= _most_w(known, look):
        return None
    if known is None:
        return Watch(since_at=look.at, peak_w=look.draw_w, heard_at={look.node_id: look.at})
    heard, useful_w = {**known.heard_at, look.node_id: look.at}, known.useful_w
    if useful_w is not None and abs(look.cap_w - useful_w) > STEP_W / 2:
        return altered(known, since_at=look.at, peak_w=0.0, heard_at=heard)  # it says nothing of that cap
    if not _is_unbroken(known, look, silent_s):
        return altered(known, since_at=look.at, peak_w=look.draw_w, heard_at=heard)
    peak_w = max(known.peak_w, look.draw_w)
    if (look.at - known.since_at).total_seconds() < wait_s:
        return altered(known, peak_w=peak_w, heard_at=heard)
    anew = altered(known, since_at=look.at, peak_w=0.0, heard_at=heard)
    if useful_w is None:
        return altered(anew, useful_w=useful_cap_w(peak_w), found_w=peak_w)
    return None if peak_w < FELL * known.found_w else anew


def useful_cap_w(peak_w: float) -> float:
    """The highest cap that work has use for which was seen to draw so much at most."""
    return (
        math.ceil(round((HEADROOM * peak_w + SPARE_W) / STEP_W, 6)) * STEP_W
    )  # sums of floats are a little off


def wait_s(forgotten: int) -> float:
    """How long work is watched whose cap was forgotten so many times."""
    return float(WATCH_S * 2 ** min(forgotten, MOST_BACK_OFFS))


def _most_w(known: Watch | None, look: Look) -> float:
    """What it must not draw: near the cap in force it may be held down by that."""
    if known is None or known.useful_w is None:
        return LIGHT * look.cap_w
    return NEAR * max(known.useful_w, look.cap_w)


def _is_unbroken(known: Watch, look: Look, silent_s: float) -> bool:
    """Whether all its nodes were heard lately."""
    heard = known.heard_at
    if len(heard) != look.nodes:
        return False
    return (look.at - min(heard.values())).total_seconds() <= silent_s
