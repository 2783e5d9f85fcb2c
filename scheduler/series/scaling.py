"""From the values of any column to watts of a site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from scheduler.errors import SignalError


class Peak(StrEnum):
    """Which of the values stands for the site's highest limit."""

    P95 = "p95"  #: the value that 5 % exceed: one spike does not shrink the rest
    MAX = "max"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Values to watts: the peak becomes `max_w`, and everything is kept within `min_w` .. `max_w`.

    Plain: watts in proportion to the value, zero to zero. Inverted (prices, residual load): the peak becomes 0 W and
    the value that 5 % fall below (or the lowest) becomes `max_w`.
    """

    max_w: float
    min_w: float = 0.0
    peak: Peak = Peak.P95
    invert: bool = False


def to_watts(values: Sequence[float], scale: Scale) -> tuple[float, ...]:
    """Each value in watts. Raises `SignalError` where the values give no scale."""
    high, low = _ends(values, scale.peak)
    if scale.invert:
        if high <= low:
            raise SignalError(f"all values are {high:g}: nothing to scale by; choose another day or column")
        return tuple(_clipped(scale.max_w * (high - v) / (high - low), scale) for v in values)
    if high <= 0:
        raise SignalError(
            f"the {scale.peak.value} of the values is {high:g}: nothing to scale by; choose another day or column, "
            "peak: max, or invert: true for prices"
        )
    return tuple(_clipped(scale.max_w * v / high, scale) for v in values)


def quantile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed, linear between neighbours."""
    rising = sorted(values)
    place = share * (len(rising) - 1)
    below = int(place)
    above = min(below + 1, len(rising) - 1)
    return rising[below] + (place - below) * (rising[above] - rising[below])


def _ends(values: Sequence[float], peak: Peak) -> tuple[float, float]:
    match peak:
        case Peak.P95:
            return quantile(values, 0.95), quantile(values, 0.05)
        case Peak.MAX:
            return max(values), min(values)


def _clipped(watts: float, scale: Scale) -> float:
    return min(scale.max_w, max(scale.min_w, watts))
