"""What a limit that stands leaves unused, by cause and by the time since it changed. See `benchmarks.steady`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from scheduler.core.jobs import Phase
from scheduler.core.power import GpuModel
from scheduler.sim.node import SimNode

Floats = npt.NDArray[np.float64]

SINCE_S: Final = (0.0, 30.0, 300.0, 1500.0, 4500.0, 7200.0)  #: bounds of the stretches since a change


@dataclass(slots=True, kw_only=True)
class Second:
    """What held in one second, W."""

    limit_w: float
    true_w: float
    books_w: float  #: what all orders allow
    usable_w: float  #: what may be ordered
    model_w: float  #: what the file's figures make of the devices' draws
    margin_w: float  #: what stays free by rule
    trim_w: float  #: what the trim takes off, below 0 gives back
    capped_w: float  #: what GPUs that compute leave of their caps
    loading_w: float  #: what GPUs leave of theirs whose work is coming up


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """What of the margin stays free whatever is proven, as shares of the limit."""

    accuracy: float  #: for what the meter may be off by
    least: float  #: in all


def left_of_caps(nodes: Iterable[SimNode], model: GpuModel) -> tuple[float, float]:
    """W that GPUs do not draw of what their enforced caps are charged with: those that compute, those that load."""
    computing_w = loading_w = 0.0
    for node in nodes:
        for member in node.members.values():
            if not member.lives or member.phase is not Phase.RUN:
                continue
            left_w = len(member.gpu_ids) * (model.charge_w(member.enforced_w) - member.gpu_w)
            if member.gang.speed > 0:
                computing_w += left_w
            else:
                loading_w += left_w
    return computing_w, loading_w


def series_of(seconds: Sequence[Second]) -> dict[str, Floats]:
    """Each figure over time."""
    return {k: np.array([getattr(s, k) for s in seconds]) for k in Second.__slots__}


def since_change(limit_w: Floats) -> Floats:
    """Seconds for which each limit has stood."""
    changed = np.append(0, np.flatnonzero(np.diff(limit_w)) + 1)
    seconds = np.arange(len(limit_w))
    found: Floats = (seconds - changed[np.searchsorted(changed, seconds, side="right") - 1]).astype(float)
    return found


def parts(of: Mapping[str, Floats], trusted: Trusted) -> dict[str, float]:
    """Shares of the limit: where all of it goes that is not drawn. They add up to `unused`."""
    means = {k: float(v.mean()) for k, v in of.items()}
    limit_w = means["limit_w"]
    class_w, least_w = trusted.accuracy * limit_w, trusted.least * limit_w
    found_w = {
        "unused": limit_w - means["true_w"],
        "class": min(class_w, means["margin_w"]),
        "residual": max(0.0, min(least_w, means["margin_w"]) - class_w),
        "shown": max(0.0, means["margin_w"] - max(least_w, class_w)),
        "trim": means["trim_w"],
        "orders": means["usable_w"] - means["books_w"],
        "caps": means["capped_w"],
        "loading": means["loading_w"],
        "other": means["books_w"] - means["model_w"] - means["capped_w"] - means["loading_w"],
        "model": means["model_w"] - means["true_w"],
    }
    return {k: round(float(w / limit_w), 4) for k, w in found_w.items()}


def mean_of(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of several levels, each counting the same."""
    return {k: round(sum(of[k] for of in found) / len(found), 4) for k in found[0]}


def by_time(
    series: Mapping[str, Floats], levels_w: Sequence[float], trusted: Trusted, *, from_s: float
) -> dict[str, dict[str, float]]:
    """The parts in each stretch since the limit changed, mean of these levels."""
    limit_w = series["limit_w"]
    since_s, known = since_change(limit_w), np.arange(len(limit_w)) >= from_s
    found = {}
    for begins_s, ends_s in pairwise(SINCE_S):
        inside = known & (since_s >= begins_s) & (since_s < ends_s)
        masks = [inside & (limit_w == w) for w in levels_w]
        if all(m.any() for m in masks):
            cut = [parts({k: v[m] for k, v in series.items()}, trusted) for m in masks]
            found[f"{begins_s:g}-{ends_s:g}"] = mean_of(cut)
    return found
