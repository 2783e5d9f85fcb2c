"""What became of the attempts since the last look: facts judged, gangs ended, lost nodes given up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from scheduler.core.altered import altered
from scheduler.core.faults import sentence, waits_s
from scheduler.core.jobs import (
    Attempt,
    AttemptState,
    Desired,
    FailureCause,
    Job,
    JobState,
    Outcome,
    Phase,
    Placement,
)
from scheduler.core.judge import (
    REQUEUE_CODES,
    Verdict,
    after_attempt,
    is_left,
    newest_commit,
    seen,
    shown,
    verdict,
    with_facts,
)
from scheduler.core.orders import AttemptFacts, Observed
from scheduler.core.pinning import bind, refresh
from scheduler.core.plan import Plan
from scheduler.core.presence import LEAVING
from scheduler.core.reasons import JOB_FAILED, Event
from scheduler.core.snapshot import Group, Snapshot

Facts = dict[tuple[str, str], AttemptFacts]
"""What guards saw, by node and attempt."""


def settle_facts(plan: Plan, snapshot: Snapshot) -> None:
    """Bring every attempt, and its job, up to what the guards saw."""
    looked_at = _news(plan, snapshot)
    nodes = {p.node_id for a in looked_at for p in a.placements}
    groups = [snapshot.groups[n] for n in nodes if n in snapshot.groups]
    facts = {(g.spec.group_id, f.attempt_id): f for g in groups for f in g.facts}
    for attempt in looked_at:
        if lost := _lost_node(attempt, plan, snapshot):
            _end(plan, attempt, _node_lost(lost), ())
            continue
        looked = _not_there(plan, attempt, facts)
        members = _members(looked, facts, plan)
        if members is None or _is_known(plan, looked, members):
            continue
        _look(plan, looked, members, snapshot)
    refresh(plan)


def _is_known(plan: Plan, attempt: Attempt, members: list[AttemptFacts]) -> bool:
    """Whether it was looked at as it is, and told the same: then nothing comes of another look.

    But for who leaves, whose end hangs on more than on facts.
    """
    known = plan.looked.get(attempt.id)
    if known is None or plan.since.storage or attempt.phase in LEAVING:
        return False
    return known[0] is attempt and known[1] is plan.jobs[attempt.job_id] and known[2] == members


def _news(plan: Plan, snapshot: Snapshot) -> list[Attempt]:
    """Attempts of which something may be known that was not before, by id: all others are as they were."""
    since = plan.since
    cutoff = snapshot.at - timedelta(seconds=snapshot.site.lost_after_s)
    silent = plan.silence.since(snapshot.groups, cutoff)
    found = {
        *since.attempts,
        *(a.id for a in plan.roster.each_in(*LEAVING)),
    }  # an acknowledgement may end these
    for gid in (*since.groups, *silent, *plan.away(), *plan.deaf):
        found.update(a.id for a in plan.on(gid))
    found.update(a.id for job_id in since.jobs if (a := plan.of(job_id)) is not None)
    return [plan.attempts[k] for k in sorted(found) if k in plan.attempts]


def _not_there(plan: Plan, attempt: Attempt, facts: Facts) -> Attempt:
    """The attempt, told to leave if it is to begin on a node that takes no orders: it would wait there for ever."""
    deaf = [p.node_id for p in _unheard_of(attempt, facts) if p.node_id in plan.deaf]
    old_s = (plan.at - attempt.created_at).total_seconds()
    if not deaf or attempt.phase in LEAVING or old_s <= plan.site.lease_s + plan.site.fall_s:
        return attempt
    text = f"{attempt.job_id} cannot begin: {deaf[0]} takes no orders; it is started elsewhere"
    plan.events.append(
        Event(
            at=plan.at, kind="attempt.deaf", text=text, job_id=attempt.job_id, attempt_id=attempt.id, data={}
        )
    )
    return plan.stop(attempt, Phase.KILL, None)


def _unheard_of(attempt: Attempt, facts: Facts) -> list[Placement]:
    return [p for p in attempt.placements if (p.node_id, attempt.id) not in facts]


def _members(attempt: Attempt, facts: Facts, plan: Plan) -> list[AttemptFacts] | None:
    """One fact sheet per member; members not heard of yet are absent. None while nothing was heard of any.

    But for nodes that take no orders: nothing will be heard of it there.
    """
    found = [facts.get((p.node_id, attempt.id)) for p in attempt.placements]
    if not any(found) and not all(p.node_id in plan.deaf for p in attempt.placements):
        return None
    return [f or AttemptFacts(attempt_id=attempt.id, observed=Observed.ABSENT) for f in found]


def _look(plan: Plan, attempt: Attempt, members: list[AttemptFacts], snapshot: Snapshot) -> None:
    job = bind(plan, with_facts(plan.jobs[attempt.job_id], members), attempt)
    looked = _followed(plan, seen(attempt, members, _told_at(attempt, plan)), members)
    if looked.state is AttemptState.ENDED or _never_begins(looked, members, snapshot):
        plan.jobs[job.id] = job
        _note_begun(plan, attempt, members)
        _end(plan, looked, verdict(looked, job, members), members)
        return
    _note_begun(plan, attempt, members)
    if looked is not attempt:
        plan.put(looked)
        if _is_held_by_guard(attempt, looked, plan):
            text = f"{job.id} suspended by its guard, which no orders reached for longer than a lease"
            plan.events.append(
                Event(at=plan.at, kind="job.suspended", text=text, job_id=job.id, attempt_id=looked.id)
            )
    if looked.phase is not Phase.KILL or job.desired is Desired.CANCEL:
        job = shown(job, looked, plan.at)
    if (known := plan.jobs[job.id]) is not job:
        plan.jobs[job.id] = job
        if known.save_s != job.save_s:
            plan.recompose(looked)
    plan.looked[looked.id] = looked, job, members


def _followed(plan: Plan, attempt: Attempt, members: list[AttemptFacts]) -> Attempt:
    """The attempt, told to save and leave if a member has left alone: the others would wait for it for good."""
    if attempt.phase in LEAVING or not is_left(members):
        return attempt
    text = f"{attempt.job_id} told to save and release its GPUs: a member has, as no orders reached its guard"
    plan.events.append(
        Event(at=plan.at, kind="job.preempting", text=text, job_id=attempt.job_id, attempt_id=attempt.id)
    )
    return altered(attempt, phase=Phase.SAVE_EXIT, since_at=plan.at, pause_cause=None)


def _told_at(attempt: Attempt, plan: Plan) -> datetime:
    """When the last of its nodes told what it does: a look may come a while later, after further reports."""
    here = [plan.groups[p.node_id] for p in attempt.placements if p.node_id in plan.groups]
    told = [group.told_at(attempt.id) for group in here]
    return min(max((at for at in told if at is not None), default=plan.at), plan.at)


def _is_held_by_guard(before: Attempt, now: Attempt, plan: Plan) -> bool:
    """Whether it stands still though it was to run all along: nobody but its guard can have held it."""
    told_s = (plan.at - now.since_at).total_seconds()
    ran = (before.state, before.phase) == (AttemptState.RUNNING, Phase.RUN)
    return ran and now.state is AttemptState.SUSPENDED and told_s > plan.site.lease_s


def _never_begins(attempt: Attempt, members: list[AttemptFacts], snapshot: Snapshot) -> bool:
    """Whether it was told to leave before it began: members that are absent accepted this leader's word for it."""
    if snapshot.attempts[attempt.id].phase not in LEAVING:
        return False
    over = all(m.observed in (Observed.ABSENT, Observed.ENDED) for m in members)
    groups = [snapshot.groups[p.node_id] for p in attempt.placements if p.node_id in snapshot.groups]
    return over and all(_cannot_begin(attempt, group, snapshot) for group in groups)


def _cannot_begin(attempt: Attempt, group: Group, snapshot: Snapshot) -> bool:
    """Whether no order that would have it run can come to stand there any more: fenced off, or expired unheeded."""
    account, site = group.account, snapshot.site
    if account.acked >= account.sent and account.acked.epoch == snapshot.epoch:
        return True
    last_at = attempt.since_at + timedelta(seconds=site.lease_s + site.fall_s)
    return group.is_deaf and group.reported_at is not None and group.reported_at > last_at


def _end(plan: Plan, attempt: Attempt, found: Verdict, members: list[AttemptFacts] | tuple[()]) -> None:
    job = plan.jobs[attempt.job_id]
    if found.cause is FailureCause.NODE_FAULT:
        _note_faults(plan, attempt, members)
    after = after_attempt(job, found, plan.at, backoff_s=_backoff_s(plan, job, found))
    if attempt.running_at is not None:
        after = altered(after, ran_s=job.ran_s + (plan.at - attempt.running_at).total_seconds())
    if attempt.cut_at is not None:
        after = altered(after, cut_at=attempt.cut_at)
    plan.jobs[job.id] = after
    plan.end(
        altered(
            attempt,
            state=AttemptState.ENDED,
            outcome=found.outcome,
            cause=found.cause,
            ended_at=plan.at,
        )
    )
    plan.events.append(_ended_event(plan, attempt, found, after.state, members))
    plan.events.extend(_outputs_events(plan, attempt, members))


def _backoff_s(plan: Plan, job: Job, found: Verdict) -> float:
    """How long the next attempt waits, s: after a fault of the node at least a lease, for the fault may last.

    With one node after the other at fault it may be the job that fills them up: it waits longer each time, too.
    """
    backoff_s: float = job.spec.backoff_s * 2**job.failures
    if found.cause is not FailureCause.NODE_FAULT:
        return backoff_s
    return max(backoff_s, waits_s(plan.faults.blamed_by(job.id), plan.site.lease_s))


def _note_faults(plan: Plan, attempt: Attempt, members: Sequence[AttemptFacts]) -> None:
    """Pass over the nodes that could not start it for a while."""
    site = plan.site
    for placement, member in zip(attempt.placements, members, strict=True):
        if not member.launch_error or member.exit_code not in REQUEUE_CODES:
            continue
        faulted = plan.faults.note(
            placement.node_id,
            at=plan.at,
            made_at=attempt.created_at,
            first_s=site.lease_s,
            why=member.launch_error,
            job_id=attempt.job_id,
        )
        if faulted is not None:
            text = f"{placement.node_id} {sentence(faulted)}"
            data: dict[str, str | int] = {"node": placement.node_id, "faults": faulted.count}
            plan.events.append(
                Event(at=plan.at, kind="node.faulted", text=text, job_id=attempt.job_id, data=data)
            )


def _note_begun(plan: Plan, attempt: Attempt, members: Sequence[AttemptFacts]) -> None:
    """Nodes on which its process came up are well again."""
    for placement, member in zip(attempt.placements, members, strict=True):
        has_begun = member.observed is Observed.RUNNING or member.resumed_step is not None
        if has_begun and plan.faults.began(placement.node_id, attempt.created_at):
            text = f"{placement.node_id} starts work again: {attempt.job_id} began there"
            plan.events.append(
                Event(at=plan.at, kind="node.well", text=text, data={"node": placement.node_id})
            )


_KINDS = {
    Outcome.SUCCEEDED: "job.succeeded",
    Outcome.FAILED: "attempt.failed",
    Outcome.PREEMPTED: "job.paused",
    Outcome.CANCELLED: "job.cancelled",
    Outcome.LOST: "attempt.lost",
}


def _ended_event(
    plan: Plan, attempt: Attempt, found: Verdict, state: JobState, members: list[AttemptFacts] | tuple[()]
) -> Event:
    commit = newest_commit(members)
    cause = f" ({found.cause})" if found.cause else ""
    return Event(
        at=plan.at,
        kind=JOB_FAILED if state is JobState.FAILED else _KINDS[found.outcome],
        text=f"{attempt.job_id} attempt {attempt.number} {found.outcome.lower()}{cause}: {found.text}",
        job_id=attempt.job_id,
        attempt_id=attempt.id,
        data={
            "outcome": found.outcome,
            "cause": found.cause,
            "why": found.text,
            "last_step": attempt.last_step,
            "committed_step": commit.step if commit else None,
        },
    )


def _outputs_events(plan: Plan, attempt: Attempt, members: list[AttemptFacts] | tuple[()]) -> Iterator[Event]:
    """Outputs that did not get where they should be are no failure of the job, and nobody must overlook them."""
    launch = plan.jobs[attempt.job_id].spec.launch
    for error in (m.outputs_error for m in members if m.outputs_error):
        text = f"{attempt.job_id} outputs were not all copied, they stay in {launch.output_dir}: {error}"
        yield Event(
            at=plan.at, kind="job.outputs_failed", text=text, job_id=attempt.job_id, attempt_id=attempt.id
        )


def _lost_node(attempt: Attempt, plan: Plan, snapshot: Snapshot) -> str | None:
    """A node of the attempt that has been silent for so long that its guard has long ended everything on it.

    No order outlives the last report by more than a lease; after it come the fall, the save, and the kill. A guard
    on its own never ends firm work: that is lost only when it reports again, or when nobody wants it to go on.
    """
    if all(_spoke_now(snapshot.groups.get(p.node_id), snapshot) for p in attempt.placements):
        return None
    site, job = plan.site, plan.jobs[attempt.job_id]
    if job.spec.flex == 0 and job.desired is not Desired.CANCEL:
        return None
    over_s = site.lease_s + site.fall_s + site.save_after_s + plan.grace_s(attempt) + site.fall_s
    silence = timedelta(seconds=max(site.lost_after_s, over_s))
    return next(
        (p.node_id for p in attempt.placements if _silent(snapshot.groups.get(p.node_id), snapshot, silence)),
        None,
    )


def _spoke_now(group: Group | None, snapshot: Snapshot) -> bool:
    """Whether its report is so young that nothing can be lost by silence."""
    if group is None or group.reported_at is None:
        return False
    return (snapshot.at - group.reported_at).total_seconds() <= snapshot.site.lost_after_s


def _silent(group: Group | None, snapshot: Snapshot, silence: timedelta) -> bool:
    last = (group.reported_at if group else None) or snapshot.led_since_at
    return last is not None and snapshot.at - last > silence


def _node_lost(node_id: str) -> Verdict:
    return Verdict(
        outcome=Outcome.LOST, cause=FailureCause.NODE_LOST, text=f"{node_id} has been silent for too long"
    )
