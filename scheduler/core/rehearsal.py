"""What would become of a job if it were submitted now: the decision itself, as a dry run on a recorded snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from scheduler.core.arrays import settle
from scheduler.core.decide import Decision, PowerAware
from scheduler.core.foresight import basis
from scheduler.core.jobs import Attempt, AttemptState, Job, JobSpec, JobState, Phase
from scheduler.core.lifecycle import is_final
from scheduler.core.outlook import Outlook, Prospect
from scheduler.core.reasons import Code, Reason
from scheduler.core.snapshot import Snapshot

PLANNED = "planned"
"""What the job's id ends with: no job of a site has such a one."""
_LEAST_CAP_CHANGE_W = 0.5


class Verdict(StrEnum):
    """What would become of the job."""

    STARTS_NOW = "starts_now"
    WAITS = "waits"
    NEVER_FITS = "never_fits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What the job would change for another one, in a sentence."""

    job_id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """The answer. `attempt` is there if it starts, `reason` and `prospect` if it does not."""

    job: Job  #: as it would wait
    verdict: Verdict
    attempt: Attempt | None = None
    reason: Reason | None = None
    prospect: Prospect | None = None
    effects: tuple[Effect, ...] = ()
    judged_on: str | None = None  #: on which quantiles of a forecast; None = nothing is foreseen


def rehearse(
    snapshot: Snapshot, spec: JobSpec, *, settled: Mapping[str, JobState] | None = None
) -> Rehearsal:
    """Decide with the job added as the last submitted one, and without it. `settled`: what it depends on."""
    job = _planned(snapshot, spec)
    asked = replace(
        snapshot,
        jobs={**snapshot.jobs, job.id: job},
        settled={**snapshot.settled, **(settled or {})},
    )
    without, with_it = PowerAware().decide(snapshot), PowerAware().decide(asked)
    effects = tuple(_effects(after(snapshot, without), after(asked, with_it)))
    attempt = next((a for a in with_it.attempts.values() if a.job_id == job.id), None)
    judged_on = basis(snapshot.envelopes, spec.flex)
    if attempt is not None:
        return Rehearsal(
            job=job, verdict=Verdict.STARTS_NOW, attempt=attempt, effects=effects, judged_on=judged_on
        )
    reason = with_it.reasons.get(job.id)
    never = reason is not None and reason.code == Code.NEVER_FITS
    return Rehearsal(
        job=job,
        verdict=Verdict.NEVER_FITS if never else Verdict.WAITS,
        reason=reason,
        prospect=Outlook(after(asked, with_it)).of(job.id, reason),
        effects=effects,
        judged_on=judged_on,
    )


def after(snapshot: Snapshot, decision: Decision) -> Snapshot:
    """The snapshot with what was decided from it: jobs and attempts as they are from then on."""
    jobs = {**snapshot.jobs, **decision.jobs}
    attempts = {**snapshot.attempts, **decision.attempts}
    settled = dict(snapshot.settled)
    for job in decision.jobs.values():
        if is_final(job.state):
            settle(settled, job)
    return replace(
        snapshot,
        jobs={k: j for k, j in jobs.items() if not is_final(j.state)},
        attempts={k: a for k, a in attempts.items() if a.state is not AttemptState.ENDED},
        settled=settled,
        last_cut_at=snapshot.at if decision.cut_work else snapshot.last_cut_at,
    )


def _planned(snapshot: Snapshot, spec: JobSpec) -> Job:
    number = 1 + max((job.number for job in snapshot.jobs.values()), default=0)
    return Job(
        id=f"{snapshot.site.name}-{PLANNED}",
        number=number,
        spec=spec,
        submitted_at=snapshot.at,
        state=JobState.PENDING,
        since_at=snapshot.at,
    )


def _effects(without: Snapshot, with_it: Snapshot) -> list[Effect]:
    """What becomes of the others' attempts that would not become of them without the job, by job."""
    found = []
    for attempt in sorted(without.attempts.values(), key=lambda a: without.jobs[a.job_id].number):
        text = _changed(attempt, with_it.attempts.get(attempt.id))
        if text:
            found.append(Effect(job_id=attempt.job_id, text=f"{attempt.job_id} {text}"))
    return found


def _changed(without: Attempt, with_it: Attempt | None) -> str:
    """What is worse for an attempt, empty if nothing is."""
    if with_it is None:
        return "would start now without it, and waits with it"
    if with_it.phase is not without.phase:
        return f"would be told to {with_it.phase.value.replace('_', ' and ')}, not to {without.phase.value}"
    if with_it.placements != without.placements:
        nodes = ", ".join(p.node_id for p in with_it.placements)
        return f"would be on {nodes} instead"
    if without.phase is Phase.RUN and with_it.cap_w < without.cap_w - _LEAST_CAP_CHANGE_W:
        return f"would be capped at {with_it.cap_w:.0f} W per GPU instead of {without.cap_w:.0f} W"
    return ""
