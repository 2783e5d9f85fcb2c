"""How much a site can compute under a limit, at the very best: a concave function of the watts at its meter.

A node is in standby, or powered with each of its GPUs idle or at work under some cap. All of these are points
(watts at the node, full-speed GPUs), and mixing them over nodes and time reaches every point between. So the most
that N nodes do with a given power is N times the upper concave hull of those points: mixed caps and a fractional
number of powered nodes included, which is why no real schedule does better.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scheduler.core.power import A100_SXM, GpuModel
from scheduler.sim.site import SimSite

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """Of a site's nodes, alike and behind one meter. The defaults are the site of the standard grid."""

    nodes: int = 64
    gpus_per_node: int = 8
    node_base_w: float = 1200.0  #: a powered node without its GPUs
    standby_w: float = 0.0  #: a node that is not powered
    gpu: GpuModel = A100_SXM
    overhead: float = 1.25  #: site watts for a watt of IT
    auxiliary_w: float = 0.0

    @classmethod
    def of(cls, site: SimSite) -> Capacity:
        """That of a simulated site. What is not powered counts as switched off: no standby draws less."""
        return cls(
            nodes=site.nodes,
            gpus_per_node=site.gpus,
            node_base_w=site.base_w,
            gpu=site.model,
            overhead=site.overhead,
            auxiliary_w=site.auxiliary_w,
        )

    @property
    def gpus(self) -> int:
        """All of them."""
        return self.nodes * self.gpus_per_node

    @cached_property
    def _hull(self) -> tuple[Floats, Floats]:
        """Corners of the hull: W of a node, and the full-speed GPUs that it is worth.

        They are true draws (`CapPoint.draw_w`), not charges: what the meter sees is what the limit is about.
        """
        n = self.gpus_per_node
        points = [(self.standby_w, 0.0), (self.node_base_w + n * self.gpu.idle_w, 0.0)]
        points += [(self.node_base_w + n * p.draw_w, n * p.speed) for p in self.gpu.curve]
        corners = upper_hull(points)
        return np.array([w for w, _ in corners]), np.array([speed for _, speed in corners])

    def capacity_gpus(self, limit_w: ArrayLike) -> Floats:
        """The most full-speed GPUs under a limit at the site meter; 0 where not even standby fits."""
        node_w = (np.asarray(limit_w, dtype=np.float64) - self.auxiliary_w) / self.overhead / self.nodes
        watts, speeds = self._hull
        return self.nodes * np.asarray(np.interp(node_w, watts, speeds))

    def powered_gpus(self, it_w: Floats, nodes: Floats) -> Floats:
        """The most full-speed GPUs of so many powered nodes that draw `it_w` together, W before overhead."""
        corners = [(self.node_base_w + self.gpus_per_node * w, speed) for w, speed in self._gpu_hull]
        watts, speeds = np.array([w for w, _ in corners]), np.array([s for _, s in corners])
        gpus: Floats = nodes * self.gpus_per_node * np.interp(it_w / np.maximum(nodes, 1.0), watts, speeds)
        return gpus

    def working_gpus(self, gpus_w: Floats, gpus: Floats) -> Floats:
        """The most full-speed GPUs that so many are worth that draw `gpus_w` together, W before overhead."""
        watts, speeds = (np.array(axis) for axis in zip(*self._gpu_hull, strict=True))
        full: Floats = gpus * np.interp(gpus_w / np.maximum(gpus, 1.0), watts, speeds)
        return full

    @cached_property
    def _gpu_hull(self) -> list[tuple[float, float]]:
        """Corners of what a GPU of a powered node can be: W, and the full-speed GPUs that it is worth."""
        return upper_hull([(self.gpu.idle_w, 0.0), *((p.draw_w, p.speed) for p in self.gpu.curve)])

    def full_speed_w(self, gpus: Floats, powered_nodes: Floats) -> Floats:
        """The site's draw with so many GPUs at full speed, and at least these nodes powered, W; no miners."""
        nodes = np.maximum(powered_nodes, np.ceil(gpus / self.gpus_per_node))
        idle = nodes * self.gpus_per_node - gpus
        it_w = nodes * self.node_base_w + idle * self.gpu.idle_w + (self.nodes - nodes) * self.standby_w
        full_w: Floats = self.auxiliary_w + self.overhead * (it_w + gpus * self.gpu.busy_w(self.gpu.tdp_w))
        return full_w

    def start_w(self, gpus: Floats) -> Floats:
        """The least that idle GPUs of powered nodes add when they work at the hull's first cap, the knee, W."""
        watts, speeds = self._hull
        knee_w = (watts[np.argmax(speeds > 0)] - self.node_base_w) / self.gpus_per_node
        added_w: Floats = self.overhead * gpus * (knee_w - self.gpu.idle_w)
        return added_w


def upper_hull(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Corners of the least concave function that rises and lies on or above all points, by x."""
    hull: list[tuple[float, float]] = []
    for point in sorted(points, key=lambda p: (p[0], -p[1])):
        if hull and point[1] <= hull[-1][1]:
            continue  # more watts for no more speed
        while len(hull) > 1 and _slope(hull[-2], hull[-1]) <= _slope(hull[-1], point):
            hull.pop()
        hull.append(point)
    return hull


def _slope(low: tuple[float, float], high: tuple[float, float]) -> float:
    return (high[1] - low[1]) / (high[0] - low[0])


def capacity_integral(site: Capacity, steps: tuple[tuple[float, float], ...], edges_s: Floats) -> Floats:
    """GPU-seconds that fit between neighbouring edges, exactly: capacity is taken of every step, not of their mean."""
    return integral(steps, site.capacity_gpus([limit_w for _, limit_w in steps]), edges_s)


def integral(steps: tuple[tuple[float, float], ...], values: Floats, edges_s: Floats) -> Floats:
    """The integral between neighbouring edges of what has one value in each step."""
    starts_s = np.array([at for at, _ in steps])
    if starts_s[0] > edges_s[0] or np.any(np.diff(starts_s) < 0):
        raise ValueError(
            f"steps: the first at {starts_s[0]} s; let them begin at or before {edges_s[0]} s, in order"
        )
    knots_s = np.append(starts_s, max(starts_s[-1], edges_s[-1]) + 1.0)
    filled = np.append(0.0, np.cumsum(values * np.diff(knots_s)))
    return np.diff(np.interp(edges_s, knots_s, filled))
