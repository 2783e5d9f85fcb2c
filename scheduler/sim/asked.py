"""What a person said of a file of jobs or power, as values: `scheduler.sim.maps` reads them from text."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from scheduler.errors import TraceError
from scheduler.series.instants import recognise

DAY_S = 86_400.0
EARLIEST_AT = datetime(1900, 1, 1, tzinfo=UTC)
LATEST_AT = datetime(2300, 1, 1, tzinfo=UTC)
"""Times outside of these are slips, and so near to the ends of the calendar that one cannot count on from there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobColumns:
    """Which column says what. A duration is `duration`, or `end` less `start`, or `end` less `arrival`."""

    arrival: str
    gpus: str
    duration: str | None = None
    start: str | None = None
    end: str | None = None
    id: str | None = None
    project: str | None = None
    priority: str | None = None
    flex: str | None = None
    estimate: str | None = None
    deadline: str | None = None  #: after the arrival
    unit_s: float = 1.0  #: seconds in a unit of duration, estimate and deadline

    @property
    def names(self) -> frozenset[str]:
        """All columns that are named."""
        named = (self.arrival, self.gpus, self.duration, self.start, self.end, self.id, self.project)
        further = (self.priority, self.flex, self.estimate, self.deadline)
        return frozenset(n for n in (*named, *further) if n is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobMap:
    """How to read a file of jobs. Without `columns` it has to be of a known format."""

    columns: JobColumns | None = None
    zone: tzinfo = UTC
    epoch_at: datetime | None = None  #: the instant that a file without dates calls 0
    mend: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaled:
    """The `share` quantile of the window's values becomes `peak_w`, and zero is 0 W."""

    share: float
    peak_w: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Switched:
    """`on_w` where the value is at most `at` (at least, if `above`), else `off_w`."""

    at: float
    on_w: float
    off_w: float
    above: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """0 W where the value is `zero`, `full_w` where it is `full`, a straight line in between."""

    zero: float
    full: float
    full_w: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """The value is the limit, in units of `unit_w` watts."""

    unit_w: float


Recipe = Scaled | Switched | Line | Plain


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerMap:
    """How to read a file of power."""

    value: str
    recipe: Recipe
    time: str | None = None  #: None = the column that reads as time
    min_w: float = 0.0
    max_w: float = math.inf
    stamp_ends: bool = False
    zone: tzinfo = UTC
    mend: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where a window begins: `days` after the trace does, or at the time that `text` says."""

    text: str
    days: float | None = None

    def at(self, zone: tzinfo) -> datetime:
        """The instant of a start that is a date; one without a zone is read in `zone`."""
        spelling = recognise([self.text], zone)
        at = spelling.read(self.text, zone) if spelling is not None else None
        if at is None:
            raise TraceError(f"{self.text!r} is no date")
        return at


TRACE_START = Start(text="0d", days=0.0)
"""The whole trace, from where it begins."""
