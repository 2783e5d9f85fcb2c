"""Formulas of the power model: GPU cap curves, node and site watts.

    P_site = auxiliary + overhead x sum(node base + sum(gpu)) + sum(miners)

Miners are fed outside the hall's cooling, so the overhead factor (PUE) does not apply to them.
Every formula charges *entitlement*: what a device may draw under its enforced cap, never what it happens to draw.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from functools import cache, lru_cache


@dataclass(frozen=True, slots=True, kw_only=True)
class CapPoint:
    """One measured point of a cap curve: speed relative to no cap, and watts drawn."""

    cap_w: float
    speed: float
    draw_w: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GpuModel:
    """What a GPU type draws. `curve` rises in `cap_w` and ends at `tdp_w`. Each is one of its kind: the one it is."""

    name: str
    tdp_w: float
    idle_w: float
    context_w: float  #: on top of idle, while a process holds a context
    curve: tuple[CapPoint, ...]

    @property
    def min_cap_w(self) -> float:
        """The lowest cap the device accepts, W."""
        return self.curve[0].cap_w

    def charge_w(self, cap_w: float) -> float:
        """Upper bound of the draw under an enforced cap: the cap, or the measured draw where it overshoots it."""
        return max(cap_w, _interpolate(self, cap_w, "draw_w"))

    def busy_w(self, cap_w: float) -> float:
        """Expected draw of training work under a cap, W, linear between the measured points."""
        return _interpolate(self, cap_w, "draw_w")

    def speed(self, cap_w: float) -> float:
        """Throughput under a cap relative to none, linear between the measured points."""
        return _interpolate(self, cap_w, "speed")

    def held_w(self) -> float:
        """Charge of a GPU whose attempt is suspended or saving: what it draws at rest with a context.

        Its cap is at the minimum, so that it could draw no more than `charge_w` of that; what it draws beyond its
        rest, if it does, the meter sees, and the excess counts against the limit.
        """
        return min(self.charge_w(self.min_cap_w), self.idle_w + self.context_w)


@lru_cache(maxsize=4096)  # a decision asks for the same few caps some hundred thousand times
def _interpolate(model: GpuModel, cap_w: float, what: str) -> float:
    caps = [p.cap_w for p in model.curve]
    values = [float(getattr(p, what)) for p in model.curve]
    if cap_w <= caps[0]:
        return values[0]
    if cap_w >= caps[-1]:
        return values[-1]
    i = bisect_left(caps, cap_w)
    share = (cap_w - caps[i - 1]) / (caps[i] - caps[i - 1])
    return values[i - 1] + share * (values[i] - values[i - 1])


#: A100-SXM 400 W, mean of the pre-training class over Emerald's public 256-GPU cap sweep (data/dvfs_sweep.csv).
A100_SXM = GpuModel(
    name="a100-sxm-400w",
    tdp_w=400.0,
    idle_w=55.0,
    context_w=40.0,
    curve=tuple(
        CapPoint(cap_w=cap, speed=speed, draw_w=draw)
        for cap, speed, draw in (
            (100.0, 0.19, 102.0),
            (200.0, 0.63, 197.0),
            (250.0, 0.78, 245.0),
            (300.0, 0.87, 291.0),
            (350.0, 0.92, 337.0),
            (400.0, 1.00, 382.0),
        )
    ),
)

GPU_MODELS = {A100_SXM.name: A100_SXM}


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLimits:
    """What a real device says of its own power, W."""

    min_w: float  #: the lowest cap that it takes; `max_w` if nobody here may cap it
    max_w: float  #: uncapped it enforces this
    idle_w: float  #: without a process on it

    @property
    def may_cap(self) -> bool:
        """Whether there is anything to choose."""
        return self.min_w < self.max_w


@cache
def gpu_model(name: str, limits: PowerLimits | None) -> GpuModel:
    """The power model of a type of GPU. Raises KeyError for one that is not measured and does not state limits.

    A measured curve counts for a real device only within the very limits that it was measured in. Else a cap is
    charged as it is, and the speed is taken to fall with it: measured curves lie above that line from 60 % up,
    where caps of running work end, so that no tier gets less speed than it was promised.
    """
    if limits is None:
        return GPU_MODELS[name]
    measured = GPU_MODELS.get(name)
    if measured and (measured.min_cap_w, measured.tdp_w) == (limits.min_w, limits.max_w):
        return replace(measured, idle_w=limits.idle_w)
    caps_w = (limits.min_w, limits.max_w) if limits.may_cap else (limits.max_w,)
    return GpuModel(
        name=name,
        tdp_w=limits.max_w,
        idle_w=limits.idle_w,
        context_w=max(0.0, limits.min_w - limits.idle_w),
        curve=tuple(CapPoint(cap_w=w, speed=w / limits.max_w, draw_w=w) for w in caps_w),
    )


def site_w(*, it_w: float, miners_w: float, overhead: float, auxiliary_w: float) -> float:
    """Watts at the site meter for given watts of the nodes and of the miners."""
    return auxiliary_w + overhead * it_w + miners_w
