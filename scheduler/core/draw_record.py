"""What the site drew of late, in slots of ten seconds: enough to tell what any interval of the last day came to.

Between two readings the draw counts as the earlier one showed it. Longer than `GAP_S` without a reading is a gap, and
counts for nothing: an interval says how much of it is known.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from scheduler.core.snapshot import MeterReading, Quality

SLOT_S: Final = 10.0
GAP_S: Final = 5.0
KEPT_S: Final = 24 * 3600.0
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SLOT: Final = timedelta(seconds=SLOT_S)
_WORST: Final = (Quality.GOOD, Quality.ESTIMATED, Quality.STALE, Quality.BAD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Ten seconds of the site. `known_s` = how much of them readings cover."""

    starts_at: datetime
    known_s: float = 0.0
    energy_ws: float = 0.0
    peak_w: float = 0.0
    quality: Quality = Quality.GOOD  #: the worst of its readings
    planned_w: float | None = None  #: as last decided in it
    state: str = ""  #: of the site, as last found in it


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """An interval of the record. `mean_w` None = nothing is known of it."""

    mean_w: float | None
    peak_w: float | None
    known_share: float  #: of its time, 0 to 1
    quality: Quality
    planned_w: float | None
    state: str


class DrawRecord:
    """Takes readings as they come, and keeps a day of slots."""

    def __init__(self) -> None:
        self._slots: deque[Slot] = deque(maxlen=round(KEPT_S / SLOT_S))
        self._last: MeterReading | None = None

    def measured(self, reading: MeterReading) -> None:
        """Count the time since the reading before. One that is not newer than that says nothing."""
        last = self._last
        if last is not None and reading.measured_at <= last.measured_at:
            return
        self._last = reading
        if last is None or (reading.measured_at - last.measured_at).total_seconds() > GAP_S:
            self._count(reading, reading.measured_at, 0.0)
            return
        at = last.measured_at
        while at < reading.measured_at:
            until = min(_slot_start(at) + _SLOT, reading.measured_at)
            self._count(last, at, (until - at).total_seconds())
            at = until
        self._count(reading, reading.measured_at, 0.0)

    def decided(self, at: datetime, *, planned_w: float, state: str) -> None:
        """Note what was decided last."""
        self._put(replace(self._slot(at), planned_w=planned_w, state=state))

    def slots(self) -> tuple[Slot, ...]:
        """All that is kept, oldest first."""
        return tuple(self._slots)

    def _count(self, reading: MeterReading, at: datetime, seconds: float) -> None:
        slot = self._slot(at)
        self._put(
            replace(
                slot,
                known_s=slot.known_s + seconds,
                energy_ws=slot.energy_ws + seconds * reading.draw_w,
                peak_w=max(slot.peak_w, reading.draw_w),
                quality=max(slot.quality, reading.quality, key=_WORST.index),
            )
        )

    def _slot(self, at: datetime) -> Slot:
        """The one that holds `at`; a clock that was set back counts in the newest."""
        starts_at = _slot_start(at)
        newest = self._slots[-1] if self._slots else None
        return newest if newest is not None and newest.starts_at >= starts_at else Slot(starts_at=starts_at)

    def _put(self, slot: Slot) -> None:
        if self._slots and self._slots[-1].starts_at == slot.starts_at:
            self._slots[-1] = slot
        else:
            self._slots.append(slot)


def drawn(slots: Sequence[Slot], starts_at: datetime, ends_at: datetime) -> Drawn:
    """What was drawn from one instant to another; of a slot that lies across an end, its part."""
    long_s = (ends_at - starts_at).total_seconds()
    known_s = energy_ws = 0.0
    inside = [s for s in slots if s.starts_at < ends_at and s.starts_at + _SLOT > starts_at]
    for slot in inside:
        share = (min(ends_at, slot.starts_at + _SLOT) - max(starts_at, slot.starts_at)) / _SLOT
        known_s += share * slot.known_s
        energy_ws += share * slot.energy_ws
    measured = [s for s in inside if s.known_s > 0]
    planned = [s for s in inside if s.planned_w is not None]
    return Drawn(
        mean_w=energy_ws / known_s if known_s > 0 else None,
        peak_w=max((s.peak_w for s in measured), default=None),
        known_share=min(1.0, known_s / long_s) if long_s > 0 else 0.0,
        quality=max((s.quality for s in measured), key=_WORST.index, default=Quality.STALE),
        planned_w=planned[-1].planned_w if planned else None,
        state=planned[-1].state if planned else "",
    )


def _slot_start(at: datetime) -> datetime:
    return at - (at - _EPOCH) % _SLOT
