"""The projects as people see them: the JSON document behind `barq project list`."""

from __future__ import annotations

from collections import Counter
from typing import Any

from scheduler.core.fair_share import Share, shares
from scheduler.core.projects import OTHERS, Project, Usage, listed
from scheduler.core.quotas import POT, Quotas
from scheduler.core.snapshot import Snapshot


def projects_document(snapshot: Snapshot) -> dict[str, Any]:
    """What `/projects` shows: promises, what is used now, what was used, and whose turn it is."""
    site, used = snapshot.site, snapshot.used
    projects = listed(site.projects)
    usages = dict(used.projects) if used is not None else {}
    held = _held(snapshot, projects)
    quotas = _quotas(snapshot, held)
    found = shares(projects, usages, site.fair_share) if projects else {}
    order = sorted(share.turn for share in found.values())
    return {
        "at": snapshot.at.isoformat(),
        "half_life_s": site.fair_share.half_life_s,
        "energy_weight": site.fair_share.energy_weight,
        "used_at": used.at.isoformat() if used is not None else None,
        "unassigned": _figures(quotas, POT) if quotas is not None else None,
        "projects": [
            {
                **_promise(project),
                **_figures(quotas if project.nominal_gpus is not None else None, name),
                "used_gpus": held[name],
                **_past(usages.get(name, Usage()), found[name]),
                "rank": 1 + order.index(found[name].turn),
            }
            for name, project in projects.items()
        ],
    }


def _held(snapshot: Snapshot, projects: dict[str, Project]) -> Counter[str]:
    """GPUs by project."""
    found: Counter[str] = Counter()
    for attempt in snapshot.attempts.values():
        job = snapshot.jobs.get(attempt.job_id)
        if projects and job is not None:
            found[job.spec.project if job.spec.project in projects else OTHERS] += attempt.gpu_count
    return found


def _quotas(snapshot: Snapshot, held: Counter[str]) -> Quotas | None:
    """None where no project has a nominal."""
    projects = snapshot.site.projects
    if all(p.nominal_gpus is None for p in projects):
        return None
    return Quotas(projects, sum(len(g.spec.gpus) for g in snapshot.groups.values()), held)


def _promise(project: Project) -> dict[str, Any]:
    return {
        "name": project.name,
        "weight": project.weight,
        "nominal_gpus": project.nominal_gpus,
        "borrowing_limit_gpus": project.borrowing_limit_gpus,
        "lending_limit_gpus": project.lending_limit_gpus,
    }


def _figures(quotas: Quotas | None, name: str) -> dict[str, Any]:
    """Nothing borrowed and nothing lent where a project has no nominal of its own."""
    if quotas is None:
        return {"borrowed_gpus": None, "lent_gpus": None}
    figures = quotas.figures(name)
    return {
        "nominal_gpus": int(figures["nominal_gpus"]),
        "used_gpus": int(figures["used_gpus"]),
        "borrowed_gpus": int(figures["borrowed_gpus"]),
        "lent_gpus": quotas.lent()[name],
    }


def _past(usage: Usage, share: Share) -> dict[str, Any]:
    return {
        "gpu_h": usage.gpu_h,
        "energy_wh": usage.kwh * 1000.0,
        "used_share": share.used,
        "due_share": share.due,
        "factor": share.factor,
    }
