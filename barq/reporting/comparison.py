"""A report held against the revenue meter: differences are shown, not hidden. Pure.

Both are laid over the same slots: quarters of an hour, or the meter's own intervals where these are longer. The energy
of a slot by the meter has the parts that the site's own readings found in it: granted by the meter = its Wh x granted /
draw. A slot that either side does not know whole is listed as missing there, and is in no total.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from barq.reporting.meter_file import QUARTER_S, MeterFile

if TYPE_CHECKING:
    from barq.reporting.views import ComplianceView, QuarterView, TallyView

QUARTER: Final = timedelta(seconds=QUARTER_S)
LEAST_COVERED: Final = 0.99
"""Share of a slot that has to be metered here: what is missing is no difference of two meters."""
CLASSES: Final = ("firm_wh", "granted_wh", "breach_wh", "unclassed_wh")
MOST_SHOWN: Final = 10
LEAST_SHOWN_WH: Final = 0.05
"""Less is shown as nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One slot on both sides. Energy in Wh; None = not known there, or not whole."""

    starts_at: datetime
    length_s: int
    here_wh: float | None
    meter_wh: float | None
    parts_wh: Mapping[str, float]  #: of the meter's energy, by class; empty where either side is missing

    @property
    def difference_wh(self) -> float | None:
        """Here less meter."""
        return None if self.here_wh is None or self.meter_wh is None else self.here_wh - self.meter_wh


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All slots of the part of the month that has passed."""

    file: str
    cadence_s: int
    slot_s: int
    slots: tuple[Slot, ...]
    outside: int  #: readings of the file that are not of this part of the month

    @property
    def both(self) -> tuple[Slot, ...]:
        """Slots that both sides know."""
        return tuple(s for s in self.slots if s.difference_wh is not None)

    @property
    def largest(self) -> tuple[Slot, ...]:
        """Those that differ most, the largest difference first."""
        differing = [s for s in self.both if abs(s.difference_wh or 0.0) >= LEAST_SHOWN_WH]
        return tuple(sorted(differing, key=lambda s: -abs(s.difference_wh or 0.0))[:MOST_SHOWN])

    @property
    def missing_here(self) -> tuple[tuple[datetime, datetime], ...]:
        """Stretches that the site's own readings do not cover."""
        return _stretches([s for s in self.slots if s.here_wh is None])

    @property
    def missing_in_file(self) -> tuple[tuple[datetime, datetime], ...]:
        """Stretches of which the file says nothing, or not all."""
        return _stretches([s for s in self.slots if s.meter_wh is None])

    def totals(self) -> dict[str, Any]:
        """Over the slots that both know: energy of each side, by class of the meter's, difference, peaks."""
        both = self.both
        here_wh = sum(s.here_wh or 0.0 for s in both)
        meter_wh = sum(s.meter_wh or 0.0 for s in both)
        peak = max(both, key=lambda s: s.meter_wh or 0.0, default=None)
        return {
            "compared_s": len(both) * self.slot_s,
            "here_wh": here_wh,
            "meter_wh": meter_wh,
            "difference_wh": here_wh - meter_wh,
            "difference_percent": 100.0 * (here_wh - meter_wh) / meter_wh if meter_wh else None,
            **{f"meter_{name}": sum(s.parts_wh.get(name, 0.0) for s in both) for name in CLASSES},
            "meter_peak_w": None if peak is None else (peak.meter_wh or 0.0) * 3600.0 / self.slot_s,
            "meter_peak_at": None if peak is None else peak.starts_at.isoformat(),
        }

    def document(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        return {
            "file": self.file,
            "cadence_s": self.cadence_s,
            "slot_s": self.slot_s,
            "outside": self.outside,
            "totals": self.totals(),
            "largest": [_shown(s) for s in self.largest],
            "missing_here": [[a.isoformat(), b.isoformat()] for a, b in self.missing_here],
            "missing_in_file": [[a.isoformat(), b.isoformat()] for a, b in self.missing_in_file],
            "slots": [_shown(s) for s in self.slots],
        }


def compare(report: ComplianceView, meter: MeterFile) -> Comparison:
    """The report of a month beside the readings of a file."""
    since = datetime.fromisoformat(report["since_at"]).astimezone(UTC)
    passed_s = report["length_s"]
    slot_s = max(QUARTER_S, meter.cadence_s)
    known = {datetime.fromisoformat(q["starts_at"]).astimezone(UTC): q for q in report["quarters"]}
    read = {r.starts_at: r.energy_wh for r in meter.readings}
    begin = _first(since, slot_s, meter)
    count = int((since + timedelta(seconds=passed_s) - begin).total_seconds() // slot_s)
    starts = [begin + timedelta(seconds=slot_s * i) for i in range(count)]
    slots = tuple(_slot(at, slot_s, known, read, meter.cadence_s) for at in starts)
    end = begin + timedelta(seconds=slot_s * count)
    return Comparison(
        file=meter.path.name,
        cadence_s=meter.cadence_s,
        slot_s=slot_s,
        slots=slots,
        outside=sum(not begin <= at < end for at in read),
    )


def _first(since: datetime, slot_s: int, meter: MeterFile) -> datetime:
    """Where the slots begin: with the month, or with the first interval of the meter that begins in it."""
    if slot_s == QUARTER_S:
        return since
    apart_s = (since - meter.readings[0].starts_at).total_seconds()
    return since + timedelta(seconds=-apart_s % slot_s)


def _slot(
    at: datetime,
    slot_s: int,
    known: Mapping[datetime, QuarterView],
    read: Mapping[datetime, float | None],
    cadence_s: int,
) -> Slot:
    tallies = [q["tally"] for q in _at(known, at, slot_s, QUARTER_S)]
    values = [v for v in _at(read, at, slot_s, cadence_s) if v is not None]
    metered_s = sum(t["covered_s"] - t["unmetered_s"] for t in tallies)
    here_wh = sum(t["draw_wh"] for t in tallies) if metered_s >= LEAST_COVERED * slot_s else None
    meter_wh = sum(values) if len(values) * cadence_s == slot_s else None
    parts = {} if here_wh is None or meter_wh is None else _parts(tallies, here_wh, meter_wh)
    return Slot(starts_at=at, length_s=slot_s, here_wh=here_wh, meter_wh=meter_wh, parts_wh=parts)


def _at(values: Mapping[datetime, Any], at: datetime, slot_s: int, step_s: int) -> Iterator[Any]:
    """What is known of each step of a slot."""
    for i in range(slot_s // step_s):
        found = values.get(at + timedelta(seconds=i * step_s))
        if found is not None:
            yield found


def _parts(tallies: Sequence[TallyView], here_wh: float, meter_wh: float) -> dict[str, float]:
    """The meter's energy by class, in the proportion that was found here; what was nothing here has no class."""
    if here_wh <= 0:
        return {"unclassed_wh": meter_wh}
    sums = {
        "firm_wh": sum(t["firm_wh"] for t in tallies),
        "granted_wh": sum(t["granted_wh"] for t in tallies),
        "breach_wh": sum(t["breach_wh"] for t in tallies),
        "unclassed_wh": sum(t["unclassed_wh"] for t in tallies),
    }
    return {name: meter_wh * value / here_wh for name, value in sums.items()}


def _stretches(slots: Sequence[Slot]) -> tuple[tuple[datetime, datetime], ...]:
    """Slots that follow each other, as one."""
    found: list[tuple[datetime, datetime]] = []
    for s in slots:
        end = s.starts_at + timedelta(seconds=s.length_s)
        if found and found[-1][1] == s.starts_at:
            found[-1] = (found[-1][0], end)
        else:
            found.append((s.starts_at, end))
    return tuple(found)


def _shown(slot: Slot) -> dict[str, Any]:
    values = asdict(slot) | {"starts_at": slot.starts_at.isoformat(), "difference_wh": slot.difference_wh}
    return values | {"parts_wh": dict(slot.parts_wh)}
