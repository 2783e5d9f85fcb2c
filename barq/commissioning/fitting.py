"""From settled levels to the figures of the power model, by least squares. Pure.

    meter - miners = auxiliary + overhead x (base of all nodes + draws of all GPUs)

The GPUs' own sensors vary with the caps, so the slope over the levels of one node under load is the overhead: what the
meter adds per watt of a sensor. It is pooled over all nodes, each with a level of its own, so that fans and processors
that work harder beside busy GPUs count as base and not as overhead. What is left is base and auxiliary in one sum:
a meter at the gate cannot tell them apart: auxiliary watts are as the site file says, and all else is base.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean


class NoFit(ValueError):
    """The levels do not say what the overhead is; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """What was drawn while nothing changed, W."""

    name: str
    meter_w: float
    gpus_w: float  #: of all GPUs of the site, by their own sensors
    miners_w: float  #: of all miners, rest included, as they report it
    loaded: str | None = None  #: the node whose GPUs compute; None = all is at rest


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeKind:
    """Nodes that the site file describes in one entry."""

    count: int
    base_w: float  #: of each, by the site file


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """The model that the levels follow best."""

    overhead: float
    overhead_error: float | None  #: standard error; None = too few levels to tell
    by_caps: bool  #: False: only rest and full load could be compared, so that fans count as overhead
    base_w: Mapping[
        str, float
    ]  #: of one node, by kind, its GPUs not counted; at rest, or under load if that is more
    rest_w: float  #: of the site with everything at rest, as metered
    rmse_w: float
    levels: int


def fit(
    levels: Sequence[Level], kinds: Mapping[str, NodeKind], kind_of: Mapping[str, str], auxiliary_w: float
) -> Fit:
    """The overhead and the base of nodes by kind. `kind_of` says of which each node is. Raises NoFit."""
    rest = [one for one in levels if one.loaded is None]
    if not rest:
        raise NoFit("nothing was measured at rest")
    of_node: dict[str, list[Level]] = defaultdict(list)
    for one in levels:
        if one.loaded is not None:
            of_node[one.loaded].append(one)
    by_caps = any(len({round(x.gpus_w) for x in loaded}) > 1 for loaded in of_node.values())
    groups = list(of_node.values()) if by_caps else [[*rest, *loaded] for loaded in of_node.values()]
    overhead = _slope(groups)
    if overhead <= 0:
        raise NoFit(f"the meter adds {overhead:.2f} W per watt of the GPUs: it does not see them")
    at_rest_w = fmean(_left_w(one, overhead) for one in rest)
    more_w = {
        node: fmean(_left_w(one, overhead) for one in loaded) - at_rest_w if by_caps else 0.0
        for node, loaded in of_node.items()
    }
    residuals = [
        _left_w(one, overhead) - at_rest_w - (more_w[one.loaded] if one.loaded else 0.0) for one in levels
    ]
    return Fit(
        overhead=overhead,
        overhead_error=_error(groups, residuals, 1 + len(groups) + 1),
        by_caps=by_caps,
        base_w=_bases_w(kinds, kind_of, (at_rest_w - auxiliary_w) / overhead, more_w, overhead),
        rest_w=fmean(one.meter_w for one in rest),
        rmse_w=math.sqrt(fmean(r * r for r in residuals)),
        levels=len(levels),
    )


def _left_w(level: Level, overhead: float) -> float:
    """What the meter shows beyond miners and GPUs: auxiliary and bases, site watts."""
    return level.meter_w - level.miners_w - overhead * level.gpus_w


def _sums(levels: Sequence[Level]) -> tuple[float, float]:
    """Of products with, and of squares of, the GPUs' distance from their mean."""
    mean_x, mean_y = fmean(x.gpus_w for x in levels), fmean(x.meter_w - x.miners_w for x in levels)
    xy = sum((x.gpus_w - mean_x) * (x.meter_w - x.miners_w - mean_y) for x in levels)
    return xy, sum((x.gpus_w - mean_x) ** 2 for x in levels)


def _slope(groups: Sequence[Sequence[Level]]) -> float:
    sums = [_sums(levels) for levels in groups]
    squares = sum(xx for _, xx in sums)
    if not squares:
        raise NoFit("no GPU was seen at two different draws")
    return sum(xy for xy, _ in sums) / squares


def _error(groups: Sequence[Sequence[Level]], residuals: Sequence[float], fitted: int) -> float | None:
    free = len(residuals) - fitted
    squares = sum(_sums(levels)[1] for levels in groups)
    return math.sqrt(sum(r * r for r in residuals) / free / squares) if free > 0 else None


def _bases_w(
    kinds: Mapping[str, NodeKind],
    kind_of: Mapping[str, str],
    at_rest_w: float,
    more_w: Mapping[str, float],
    overhead: float,
) -> dict[str, float]:
    """Of one node of each kind: its share of what all draw at rest, by the site file, and what load adds to it."""
    told_w = sum(k.count * k.base_w for k in kinds.values())
    count = sum(k.count for k in kinds.values())
    found = {}
    for name, kind in kinds.items():
        part_w = at_rest_w * kind.base_w / told_w if told_w else at_rest_w / count
        under_load = [w / overhead for node, w in more_w.items() if kind_of.get(node) == name]
        found[name] = max(0.0, part_w) + max(0.0, *under_load, 0.0)
    return found
