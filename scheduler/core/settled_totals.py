"""What rows of settlement come to together: intervals as they were measured, and what was added to them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from scheduler.core.curtailment import Cause
from scheduler.core.settlement import Adjustment, Quality, Row, by_cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Sums of rows: watt-seconds and micro-units."""

    metered_ws: int = 0
    granted_ws: int = 0
    overdraw_ws: int = 0
    baseline_ws: int = 0
    curtailed_ws: Mapping[Cause, int] = field(default_factory=dict)
    charge_micro: int = 0
    credit_due_micro: int = 0
    credit_micro: int = 0
    covered_ms: int = 0
    heard_ms: int = 0
    curtailed_ms: int = 0
    unpriced: int = 0  #: intervals whose charge or credit is not known
    notices: int = 0  #: curtailments of which notice was due
    notices_missed: int = 0  #: those of which there was too little

    @property
    def due_micro(self) -> int:
        """What the partner owes in all."""
        return self.charge_micro - self.credit_micro


def totals_of(rows: Iterable[Row]) -> Totals:
    """What intervals come to as they were measured."""
    rows = tuple(rows)
    energies = [r.draft.energy for r in rows]
    return Totals(
        metered_ws=sum(e.metered_ws for e in energies),
        granted_ws=sum(e.granted_ws for e in energies),
        overdraw_ws=sum(e.overdraw_ws for e in energies),
        baseline_ws=sum(e.baseline_ws for e in energies),
        curtailed_ws=by_cause(e.curtailed_ws for e in energies),
        charge_micro=sum(r.charge_micro or 0 for r in rows),
        credit_due_micro=sum(r.credit_due_micro or 0 for r in rows),
        credit_micro=sum(r.credit_micro or 0 for r in rows),
        covered_ms=sum(r.draft.covered_ms for r in rows),
        heard_ms=sum(e.heard_ms for e in energies),
        curtailed_ms=sum(e.curtailed_ms for e in energies),
        unpriced=sum(r.quality is Quality.UNPRICED for r in rows),
        notices=sum(len(e.notices) for e in energies),
        notices_missed=sum(not n.is_met for e in energies for n in e.notices),
    )


def changes_of(adjustments: Iterable[Adjustment]) -> Totals:
    """What adjustments come to."""
    made = tuple(adjustments)
    return Totals(
        metered_ws=sum(a.metered_ws for a in made),
        curtailed_ws=by_cause(a.curtailed_ws for a in made),
        charge_micro=sum(a.charge_micro for a in made),
        credit_due_micro=sum(a.credit_due_micro for a in made),
        credit_micro=sum(a.credit_micro for a in made),
        curtailed_ms=sum(a.curtailed_ms for a in made),
        notices=sum(len(a.notices) for a in made),
        notices_missed=sum(not n.is_met for a in made for n in a.notices),
    )
