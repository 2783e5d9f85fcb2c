"""Quotas hold for every start, whatever happens: nobody has more than is his and lent to him, nor lends too much."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings, strategies as st

from scheduler.core.decide import Decision
from scheduler.core.jobs import PauseCause, Phase
from scheduler.core.projects import Project
from tests.builders import SiteBuilder, commit, site

NAMES = ["a", "b", "c"]
SOME = st.one_of(st.none(), st.integers(0, 6))


@st.composite
def promises(draw: st.DrawFn) -> tuple[Project, ...]:
    """Up to three projects; the first one has GPUs of its own."""
    found: list[Project] = []
    for name in NAMES[: draw(st.integers(1, 3))]:
        nominal = draw(st.integers(0, 8)) if not found else draw(SOME)
        has = nominal is not None
        found.append(
            Project(
                name=name,
                nominal_gpus=nominal,
                borrowing_limit_gpus=draw(SOME) if has else None,
                lending_limit_gpus=draw(SOME) if has else None,
            )
        )
    return tuple(found)


def gpus_by_account(built: SiteBuilder) -> Counter[str]:
    """What each project with a nominal holds, and all the others together."""
    owners = {p.name for p in built.site.projects if p.nominal_gpus is not None}
    found: Counter[str] = Counter()
    for attempt in built.attempts.values():
        project = built.jobs[attempt.job_id].spec.project
        found[project if project in owners else ""] += attempt.gpu_count
    return found


def check_starts(built: SiteBuilder, decision: Decision, known: set[str]) -> None:
    """`built` is as decided: what every project holds in which something was started."""
    owners = {p.name: p for p in built.site.projects if p.nominal_gpus is not None}
    nominals = {name: p.nominal_gpus or 0 for name, p in owners.items()}
    site_gpus = sum(len(g.spec.gpus) for g in built.groups.values())
    nominals[""] = max(0, site_gpus - sum(nominals.values()))
    held = gpus_by_account(built)
    lent = 0
    for name, nominal in nominals.items():
        limit = owners[name].lending_limit_gpus if name in owners else None
        unused = max(0, nominal - held[name])
        lent += unused if limit is None else min(unused, limit)
    for attempt_id in decision.attempts.keys() - known:
        project = built.jobs[decision.attempts[attempt_id].job_id].spec.project
        name = project if project in owners else ""
        borrowed = held[name] - nominals[name]
        if borrowed > 0:
            limit = owners[name].borrowing_limit_gpus if name in owners else None
            assert limit is None or borrowed <= limit
            assert sum(max(0, held[n] - nominals[n]) for n in nominals) <= lent


def check_reclaims(before: Counter[str], built: SiteBuilder, decision: Decision) -> None:
    """Whoever gives back, and was not told to before, is above what is his own until he has."""
    owners = {p.name: p.nominal_gpus for p in built.site.projects if p.nominal_gpus is not None}
    for attempt in decision.attempts.values():
        if attempt.pause_cause is PauseCause.FAIR_SHARE_RECLAIM and attempt.since_at == built.at:
            assert attempt.phase is Phase.SAVE_EXIT
            project = built.jobs[attempt.job_id].spec.project
            if project in owners:
                assert before[project] > owners[project]


@given(st.data(), promises(), st.sampled_from([3000.0, 5500.0, 90_000.0]))
@settings(max_examples=120, deadline=None)
def test_no_start_breaks_a_quota(data: st.DataObject, projects: tuple[Project, ...], limit_w: float) -> None:
    """Over rounds in which jobs come, save, and lenders call in what is their own."""
    built = site(firm_w=90_000.0, projects=projects, min_run_s=10.0, patience_s=1e9)
    built.node("n1", gpus=4).node("n2", gpus=8).limit_w(limit_w)
    for number in range(data.draw(st.integers(4, 12))):
        for _ in range(data.draw(st.integers(0, 2))):
            name = f"j{len(built.jobs)}-{number}"
            built.job(
                name,
                gpus=data.draw(st.integers(1, 4)),
                project=data.draw(st.sampled_from([*NAMES, "new"])),
                priority=data.draw(st.sampled_from([0, 0, 1])),
            )
            built.jobs[name] = replace(built.jobs[name], number=number * 10 + len(built.jobs))
        known, before = set(built.attempts), gpus_by_account(built)
        decision = built.decided()
        check_starts(built, decision, known)
        check_reclaims(before, built, decision)
        for attempt in built.attempts.values():
            job = built.jobs[attempt.job_id]
            built.jobs[job.id] = replace(job, last_commit=job.last_commit or commit(1))
        built.passes(7.0)
