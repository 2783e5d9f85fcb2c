"""From the facts of an attempt's members to what became of it: whole gangs at once.

Files are the truth, exit codes hints (DESIGN section 6).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from scheduler.core.altered import altered
from scheduler.core.jobs import (
    Attempt,
    AttemptState,
    CommitRef,
    Desired,
    FailureCause,
    Job,
    JobState,
    Outcome,
    PauseCause,
    Phase,
)
from scheduler.core.lifecycle import attempt_moved, job_state, moved
from scheduler.core.orders import AttemptFacts, Observed

REQUEUE_CODES = frozenset({85, 75, 99})  #: "saved, requeue me": HTCondor's ERESTART, EX_TEMPFAIL, SGE
_AFTER_PAUSE = (
    frozenset({0, 1, 138, 140, 143}) | REQUEUE_CODES
)  #: what launchers exit with after a good pause
_PAUSE_SIGNALS = frozenset({10, 12, 15})

_SIGNALS = {
    2: "SIGINT",
    4: "SIGILL",
    6: "SIGABRT",
    7: "SIGBUS",
    8: "SIGFPE",
    9: "SIGKILL",
    11: "SIGSEGV",
    15: "SIGTERM",
}
"""What ends programs, as Linux numbers it."""

_SEEN = {
    Observed.ABSENT: AttemptState.ALLOCATED,
    Observed.STARTING: AttemptState.STARTING,
    Observed.RUNNING: AttemptState.RUNNING,
    Observed.SUSPENDED: AttemptState.SUSPENDED,
    Observed.SAVING: AttemptState.SAVING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How an attempt ended and why."""

    outcome: Outcome
    cause: FailureCause | PauseCause | None
    text: str


def observed_state(members: Sequence[AttemptFacts]) -> AttemptState:
    """The gang's state: saving if any saves, ended if all ended, else as far as the slowest member got."""
    seen = {m.observed for m in members}
    if seen == {Observed.ENDED}:
        return AttemptState.ENDED
    if Observed.SAVING in seen:
        return AttemptState.SAVING
    for behind in (Observed.ABSENT, Observed.STARTING):
        if behind in seen:
            return _SEEN[behind]
    living = seen - {Observed.ENDED}
    return AttemptState.SUSPENDED if living == {Observed.SUSPENDED} else AttemptState.RUNNING


def must_end(members: Sequence[AttemptFacts]) -> bool:
    """Whether the rest of a gang has to go, because a member ended otherwise than well or as it was asked to."""
    ended = [m for m in members if m.observed is Observed.ENDED]
    return len(ended) < len(members) and not all(_ended_well(m) for m in ended)


def is_left(members: Sequence[AttemptFacts]) -> bool:
    """Whether the rest of a gang waits for a member that saved and left: a guard acts alone when no orders reach it."""
    ended = [m for m in members if m.observed is Observed.ENDED]
    return len(ended) < len(members) and any(m.asked_to_exit for m in ended)


def _ended_well(member: AttemptFacts) -> bool:
    return member.exit_code == 0 or (member.asked_to_exit and _ended_by_pause(member))


def verdict(attempt: Attempt, job: Job, members: Sequence[AttemptFacts]) -> Verdict:
    """How an attempt whose members have all ended, or will never start, ended (DESIGN section 6)."""
    asked = any(m.asked_to_exit for m in members)
    if all(m.exit_code == 0 for m in members) and (not asked or any(m.says_done for m in members)):
        return Verdict(outcome=Outcome.SUCCEEDED, cause=None, text="all members exited 0")
    if unlaunched := [m for m in members if m.launch_error]:
        return _unlaunched(unlaunched)
    if job.desired is Desired.CANCEL:
        return Verdict(outcome=Outcome.CANCELLED, cause=None, text="cancelled")
    if attempt.cause is FailureCause.TIME_LIMIT:
        return Verdict(
            outcome=Outcome.FAILED, cause=attempt.cause, text=f"ran {job.spec.time_limit_s:.0f} s, its limit"
        )
    if all(m.observed is Observed.ABSENT for m in members):
        return Verdict(outcome=Outcome.PREEMPTED, cause=attempt.pause_cause, text="it had not begun")
    worst = _culprit(members)
    return _paused(attempt, members, worst, asked=asked) or _broken(worst)


def _unlaunched(members: Sequence[AttemptFacts]) -> Verdict:
    """None of the job's processes ran. It is no fault of the job where another try, or another node, will do."""
    worst = next((m for m in members if m.exit_code not in REQUEUE_CODES), None)
    if worst is None:
        text = members[0].launch_error or ""
        return Verdict(outcome=Outcome.PREEMPTED, cause=FailureCause.NODE_FAULT, text=text)
    return Verdict(outcome=Outcome.FAILED, cause=FailureCause.LAUNCH_FAILED, text=worst.launch_error or "")


def _paused(
    attempt: Attempt, members: Sequence[AttemptFacts], worst: AttemptFacts, *, asked: bool
) -> Verdict | None:
    """An end that was asked for, by us or by the job itself. It spends no retry."""
    if worst.oom_killed:
        return None
    if worst.killed or (asked and (_ended_by_pause(worst) or _never_began(worst))):
        return Verdict(
            outcome=Outcome.PREEMPTED, cause=attempt.pause_cause, text=_pause_text(attempt, members)
        )
    if worst.exit_code in REQUEUE_CODES:
        text = f"asked to be requeued (exit {worst.exit_code})"
        return Verdict(outcome=Outcome.PREEMPTED, cause=None, text=text)
    return None


def _broken(worst: AttemptFacts) -> Verdict:
    if worst.oom_killed:
        return _failed(FailureCause.OUT_OF_MEMORY, worst)
    if worst.exit_code is None and worst.signal is None:
        return Verdict(outcome=Outcome.LOST, cause=FailureCause.NODE_LOST, text="its supervisor vanished")
    return _failed(FailureCause.APP_ERROR, worst)


def _culprit(members: Sequence[AttemptFacts]) -> AttemptFacts:
    """The member whose end explains that of the gang: one that we did not kill, if there is any."""
    failed = [m for m in members if m.exit_code != 0 and m.observed is not Observed.ABSENT]
    return next((m for m in failed if not m.killed), (*failed, members[0])[0])


def _ended_by_pause(member: AttemptFacts) -> bool:
    return member.exit_code in _AFTER_PAUSE or member.signal in _PAUSE_SIGNALS


def _has_run(member: AttemptFacts) -> bool:
    """Whether a process of the job came up, now that it has ended: what could not be started is no such process."""
    return member.launch_error is None and not _never_began(member)


def _never_began(member: AttemptFacts) -> bool:
    """Told to leave while the job was looked for, or prepared: its first process was never started."""
    return member.exit_code is None and member.signal is None and member.resumed_step is None


def _pause_text(attempt: Attempt, members: Sequence[AttemptFacts]) -> str:
    if all(_never_began(m) for m in members):
        return "it had not begun"
    commit = newest_commit(members)
    start = attempt.resume_from.step if attempt.resume_from else 0
    is_alone = attempt.phase in (Phase.RUN, Phase.SAVE_EXIT) and attempt.pause_cause is None
    by = "its guard acted without a scheduler; " if is_alone and any(m.asked_to_exit for m in members) else ""
    if commit is not None and commit.step > start:
        return f"{by}saved at step {commit.step}"
    return f"{by}rolled back to step {commit.step if commit else 0}: it left no newer verified checkpoint"


def _failed(cause: FailureCause, member: AttemptFacts) -> Verdict:
    how = f"exit {member.exit_code}" if member.signal is None else f"signal {_named(member.signal)}"
    if cause is FailureCause.OUT_OF_MEMORY:
        how = f"it was killed for want of memory, {how}"
    return Verdict(outcome=Outcome.FAILED, cause=cause, text=how)


def _named(number: int) -> str:
    return f"{number} ({_SIGNALS[number]})" if number in _SIGNALS else str(number)


def newest_commit(members: Sequence[AttemptFacts]) -> CommitRef | None:
    """The newest commit that a supervisor verified."""
    found = [
        CommitRef(path=m.committed_path, step=m.committed_step)
        for m in members
        if m.committed_path is not None and m.committed_step is not None
    ]
    return max(found, key=lambda c: c.step) if found else None


def seen(attempt: Attempt, members: Sequence[AttemptFacts], at: datetime) -> Attempt:
    """The attempt after a look at its members; a late report never moves it back.

    One that came and went between two looks has run, at `at` at the latest.
    """
    state = attempt_moved(attempt.state, observed_state(members))
    steps = [m.step for m in members if m.step is not None]
    resumed = [m.resumed_step for m in members if m.resumed_step is not None]
    runs = state is AttemptState.RUNNING or (state is AttemptState.ENDED and any(map(_has_run, members)))
    running_at = attempt.running_at or (at if runs else None)
    last_step = max(steps, default=attempt.last_step)
    resumed_step = max(resumed, default=attempt.resumed_step)
    phase = Phase.KILL if must_end(members) else attempt.phase
    found = (state, running_at, last_step, resumed_step, phase)
    if found == (attempt.state, attempt.running_at, attempt.last_step, attempt.resumed_step, attempt.phase):
        return attempt
    return altered(
        attempt,
        state=state,
        running_at=running_at,
        last_step=last_step,
        resumed_step=resumed_step,
        phase=phase,
    )


def with_facts(job: Job, members: Sequence[AttemptFacts]) -> Job:
    """The job with what its members learned: newest verified commit, seconds of a save."""
    commit = newest_commit(members)
    saves = [m.save_s for m in members if m.save_s is not None]
    last_commit, save_s = commit or job.last_commit, max(saves, default=job.save_s)
    if (last_commit, save_s) == (job.last_commit, job.save_s):
        return job
    return altered(job, last_commit=last_commit, save_s=save_s)


def after_attempt(job: Job, found: Verdict, at: datetime, *, backoff_s: float) -> Job:
    """The job after its attempt ended. Preemption never spends the retry budget."""
    match found.outcome:
        case Outcome.SUCCEEDED:
            return moved(job, JobState.SUCCEEDED, at)
        case Outcome.CANCELLED:
            return moved(job, JobState.CANCELLED, at)
        case Outcome.PREEMPTED if found.cause is FailureCause.NODE_FAULT:
            return _later(job, at, backoff_s)
        case Outcome.PREEMPTED | Outcome.LOST:
            return _waiting(
                job, JobState.PAUSED if found.outcome is Outcome.PREEMPTED else JobState.PENDING, at
            )
        case Outcome.FAILED:
            return _after_failure(job, found, at, backoff_s)


def _waiting(job: Job, state: JobState, at: datetime) -> Job:
    if job.desired is Desired.CANCEL:
        return moved(job, JobState.CANCELLED, at)
    return moved(job, JobState.HELD if job.desired is Desired.HOLD else state, at)


def _after_failure(job: Job, found: Verdict, at: datetime, backoff_s: float) -> Job:
    failed = replace(job, failures=job.failures + 1)
    final = found.cause in (FailureCause.TIME_LIMIT, FailureCause.DEADLINE_MISSED)
    if final or failed.failures > job.spec.max_failures:
        return moved(failed, JobState.FAILED, at)
    return _later(failed, at, backoff_s)


def _later(job: Job, at: datetime, backoff_s: float) -> Job:
    return _waiting(replace(job, not_before_at=at + timedelta(seconds=backoff_s)), JobState.PENDING, at)


def shown(job: Job, attempt: Attempt, at: datetime) -> Job:
    """The job in the state that its living attempt gives it."""
    return moved(job, job_state(attempt.state, job.desired), at)
