"""What a stretch of settlement came to for a partner, in sums that are kept as rows are written. Pure.

All of it follows from the rows: it is there so that nobody has to read a month of them to show it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime

from scheduler.core.contracts import Terms
from scheduler.core.interval import Over, Running
from scheduler.core.reasons import Event
from scheduler.core.settlement import Adjustment, Quality, Row


@dataclass(frozen=True, slots=True, kw_only=True)
class SoFar:
    """Sums of intervals and adjustments: watt-seconds, micro-units, milliseconds, counts."""

    metered_ws: int = 0
    granted_ws: int = 0
    curtailed_ws: int = 0
    charge_micro: int = 0
    credit_micro: int = 0
    curtailed_ms: int = 0  #: notably, for causes that the contract does not excuse
    unpriced: int = 0  #: intervals whose charge or credit is not known, and in no sum
    notices: int = 0  #: curtailments of which notice was due
    notices_missed: int = 0  #: those of which there was too little

    def plus(self, other: SoFar) -> SoFar:
        """Both together."""
        return SoFar(**{name: getattr(self, name) + getattr(other, name) for name in SUMMED})

    def share_of(self, everybody: Iterable[SoFar]) -> float | None:
        """Its part of what all drew; None = nobody drew anything."""
        whole_ws = sum(one.metered_ws for one in everybody)
        return self.metered_ws / whole_ws if whole_ws > 0 else None


SUMMED = tuple(one.name for one in fields(SoFar))
"""What is added up."""


def of_row(row: Row) -> SoFar:
    """One interval."""
    energy = row.draft.energy
    return SoFar(
        metered_ws=energy.metered_ws,
        granted_ws=energy.granted_ws,
        curtailed_ws=sum(energy.curtailed_ws.values()),
        charge_micro=row.charge_micro or 0,
        credit_micro=row.credit_micro or 0,
        curtailed_ms=energy.curtailed_ms,
        unpriced=int(row.quality is Quality.UNPRICED),
        notices=len(energy.notices),
        notices_missed=sum(not notice.is_met for notice in energy.notices),
    )


def of_adjustment(made: Adjustment) -> SoFar:
    """What was added to one."""
    return SoFar(
        metered_ws=made.metered_ws,
        curtailed_ws=sum(made.curtailed_ws.values()),
        charge_micro=made.charge_micro,
        credit_micro=made.credit_micro,
        curtailed_ms=made.curtailed_ms,
        notices=len(made.notices),
        notices_missed=sum(not notice.is_met for notice in made.notices),
    )


# -- hours of a month that a contract allows ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """For how long partners were curtailed in a calendar month, UTC, by the intervals that are over."""

    year: int = 0
    month: int = 0
    curtailed_ms: Mapping[str, int] = field(default_factory=dict)
    other: Hours | None = None  #: of the month that was counted before: a clock may go back to it

    def after(self, over: Over) -> Hours:
        """With an interval more; one of another month begins anew."""
        at = over.starts_at
        before = self.of(at)
        parts = {name: part for name, part in over.parts.items() if part.covered_ms}
        more = {name: before.get(name, 0) + part.curtailed_ms for name, part in parts.items()}
        other = self.other if self._is_of(at) else replace(self, other=None)
        return Hours(year=at.year, month=at.month, curtailed_ms={**before, **more}, other=other)

    def spent(self, terms: Mapping[str, Terms], running: Running) -> tuple[str, ...]:
        """Whose contract allows no more of it this month, by name; the running interval counts."""
        over = self.of(running.starts_at)
        now = {name: part.curtailed_ms for name, part in running.parts.items()}
        return tuple(
            sorted(
                name
                for name, one in terms.items()
                if one.max_curtailed_s is not None
                and over.get(name, 0) + now.get(name, 0) >= one.max_curtailed_s * 1000
            )
        )

    def of(self, at: datetime) -> Mapping[str, int]:
        """Those of the month of `at`."""
        if self._is_of(at):
            return self.curtailed_ms
        return {} if self.other is None else self.other.of(at)

    def _is_of(self, at: datetime) -> bool:
        return (self.year, self.month) == (at.year, at.month)


def spent_events(
    before: Iterable[str], now: Iterable[str], terms: Mapping[str, Terms], at: datetime
) -> tuple[Event, ...]:
    """That the hours of a partner's month are used up from now on."""
    return tuple(_spent(name, terms[name].max_curtailed_s or 0, at) for name in now if name not in before)


def _spent(name: str, most_s: int, at: datetime) -> Event:
    text = (
        f"partner {name} was curtailed for {most_s / 3600:,.1f} h this month, which is all that its contract allows: "
        "it is shed last of its tier until the month is over"
    )
    data: dict[str, str | float] = {"partner": name, "max_curtailed_s": most_s}
    return Event(at=at, kind="partner.hours_spent", text=text, data=data)
