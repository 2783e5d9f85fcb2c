"""The figures of a run: one flat table that can be printed, stored and compared. Formulas: docs/metrics.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scheduler.sim import job_figures, power_figures
from scheduler.sim.bound import Bound
from scheduler.sim.capacity import Capacity
from scheduler.sim.job_figures import JobTable
from scheduler.sim.outcome import RunOutcome
from scheduler.sim.readings import Readings
from scheduler.sim.shortfall import shortfall

_S_PER_DAY = 86400.0


def summary(
    outcome: RunOutcome,
    bound: Bound | None,
    *,
    site: Capacity | None = None,
    firm_w: float = 0.0,
    standby_w: float = 0.0,
) -> dict[str, Any]:
    """All figures of a run, ready for JSON; None where a figure has nothing to be made of.

    `site` is needed for what was wasted or not done while jobs waited; `firm_w` is what the site may draw in any case,
    so that only the rest of the limit is surplus; `standby_w` is what each node in standby draws.
    """
    table, readings = JobTable.of(outcome), Readings.of(outcome)
    figures = _name(outcome) | job_figures.progress(table) | _against(bound)
    figures |= _shares(figures)
    figures |= job_figures.times(table) | _preemptions(outcome, table, readings)
    figures |= power_figures.violations(readings, outcome.reaction_s) | power_figures.compliance(readings)
    figures |= power_figures.energy(readings, firm_w) | power_figures.over_curtailment(readings)
    figures |= _wasted(readings, site) | power_figures.peaks(readings)
    figures |= _per_unit(figures, table)
    figures |= job_figures.deadlines(table)
    figures["jain_projects"] = job_figures.jain_over_projects(table)
    figures["by_tier"] = job_figures.by(table, lambda one: one.job.flex)
    figures["by_project"] = job_figures.by(table, lambda one: one.job.project)
    figures["miners"] = power_figures.miners(readings)
    figures["shortfall"] = shortfall(readings, site, standby_w) if site else None
    figures["wall_s"] = outcome.wall_s
    return figures


def _name(outcome: RunOutcome) -> dict[str, Any]:
    return {
        "policy": outcome.policy,
        "jobs": outcome.jobs_name,
        "power": outcome.power_name,
        "seed": outcome.seed,
        "window_s": outcome.window_s,
        "reaction_s": outcome.reaction_s,
    }


def _against(bound: Bound | None) -> dict[str, Any]:
    return {
        "bound_gpu_h": bound.gpu_h if bound else None,
        "bound_caps_gpu_h": bound.caps_gpu_h if bound else None,
        "bound_value": bound.value if bound else None,
        "offered_gpu_h": bound.offered_gpu_h if bound else None,
        "reachable_gpu_h": bound.reachable_gpu_h if bound else None,
    }


def _shares(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "share_of_bound": _ratio(figures["goodput_gpu_h"], figures["bound_gpu_h"]),
        "share_of_bound_caps": _ratio(figures["goodput_gpu_h"], figures["bound_caps_gpu_h"]),
        "value_share_of_bound": _ratio(figures["value"], figures["bound_value"]),
    }


def _preemptions(outcome: RunOutcome, table: JobTable, readings: Readings) -> dict[str, Any]:
    gpu_days = readings.total(readings.running_gpus) / _S_PER_DAY
    return {
        "kills": sum(one.kills for one in outcome.jobs),
        "preemptions_per_gpu_day": _ratio(float(table.pauses.sum()), gpu_days),
    }


def _wasted(readings: Readings, site: Capacity | None) -> dict[str, Any]:
    if site is None:
        return {"wasted_kwh": None, "wasted_share": None}
    return dict(power_figures.waste(readings, site))


def _per_unit(figures: Mapping[str, Any], table: JobTable) -> dict[str, Any]:
    ended_wh = table.energy_wh[table.finished]
    return {
        "kwh_per_gpu_h": _ratio(figures["ai_kwh"] + figures["idle_kwh"], figures["goodput_gpu_h"]),
        "wh_per_finished_job": _ratio(float(ended_wh.sum()), len(ended_wh)),
        "surplus_used_share": _ratio(figures["surplus_used_kwh"], figures["surplus_offered_kwh"]),
    }


def _ratio(part: float, whole: float | None) -> float | None:
    return part / whole if whole else None
