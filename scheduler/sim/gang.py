"""One attempt as it runs: its members on their nodes, in lockstep.

A gang computes only while all its members run, at the speed of the lowest cap. Nothing is done between two changes:
progress, commits and energy of the span before are added up at each.
"""

from __future__ import annotations

from collections.abc import Callable

from scheduler.core.jobs import Phase
from scheduler.core.orders import AttemptFacts, Observed
from scheduler.core.power import GpuModel
from scheduler.core.presence import LEAVING
from scheduler.sim.clock import NEVER_US, US, Timeline, us
from scheduler.sim.commits import Commits
from scheduler.sim.host import Host
from scheduler.sim.site import Pace
from scheduler.sim.told import Told
from scheduler.sim.work import Doing, JobRun, not_running

SAVED = 85  #: "saved, requeue me"
_BROKEN = 1


class Member:
    """The processes of a gang on one node."""

    __slots__ = (
        "_facts",
        "_told",
        "asked_to_exit",
        "attempt_id",
        "cap_w",
        "due_us",
        "enforced_w",
        "exit_code",
        "gang",
        "gpu_ids",
        "gpu_w",
        "grace_s",
        "host",
        "killed",
        "observed",
        "phase",
        "since_us",
    )

    def __init__(self, gang: Gang, host: Host, gpu_ids: tuple[str, ...], cap_w: float, now_us: int) -> None:
        self.gang = gang
        self.host = host
        self.attempt_id = gang.attempt_id
        self.gpu_ids = gpu_ids
        self.cap_w = cap_w  #: as ordered
        self.enforced_w = cap_w  #: of each of its GPUs: the ordered one while it runs, else the lowest
        self.gpu_w = 0.0  #: what each of its GPUs draws
        self.grace_s = gang.pace.grace_s
        self.phase = Phase.RUN
        self.observed = Observed.STARTING
        self.since_us = now_us  #: of what is observed
        self.due_us = -1  #: when it suspends, resumes or has saved; an event of another instant is none
        self.exit_code: int | None = None
        self.asked_to_exit = False
        self.killed = False
        self._told: Told | None = None
        self._facts = AttemptFacts(attempt_id=self.attempt_id, observed=self.observed)

    @property
    def lives(self) -> bool:
        """Whether it has processes."""
        return self.observed is not Observed.ENDED

    def facts(self) -> AttemptFacts:
        """What its supervisor tells of it: the same object as long as that is the same."""
        run, gang = self.gang.run, self.gang
        told = Told(
            attempt_id=self.attempt_id,
            observed=self.observed,
            step=int(run.progress_s),
            committed_step=int(run.committed_s),
            resumed_step=gang.resumed_step if gang.is_ready else None,
            save_s=gang.pace.save_s,
            asked_to_exit=self.asked_to_exit,
            killed=self.killed,
            exit_code=self.exit_code,
        )
        if told != self._told:
            self._told, self._facts = told, told.as_facts()
        return self._facts


class Gang:
    """All members of one attempt. Made when the first one starts."""

    __slots__ = (
        "attempt_id",
        "commits",
        "done_us",
        "expects_commit",
        "fails",
        "is_over",
        "is_paused",
        "is_ready",
        "is_restart",
        "members",
        "model",
        "overhead",
        "pace",
        "queued_us",
        "resumed_step",
        "run",
        "settled_us",
        "size",
        "speed",
        "timeline",
        "watts",
    )

    def __init__(
        self,
        run: JobRun,
        attempt_id: str,
        *,
        size: int,
        pace: Pace,
        model: GpuModel,
        overhead: float,
        timeline: Timeline,
    ) -> None:
        self.run = run
        self.attempt_id = attempt_id
        self.size = size
        self.pace = pace
        self.model = model
        self.overhead = overhead
        self.timeline = timeline
        self.members: list[Member] = []
        self.is_ready = False
        self.is_over = False
        self.is_paused = False
        self.is_restart = run.was_ready
        self.speed = 0.0  #: progress per second now
        self.watts = 0.0  #: at the site meter, while it computes
        self.settled_us = timeline.now_us
        self.commits = Commits(every_us=us(pace.checkpoint_interval_s), takes_us=us(pace.checkpoint_s))
        self.done_us = NEVER_US
        self.queued_us = NEVER_US  #: when it is looked at next, whether it is done by then or not
        self.expects_commit = False  #: the first that there ever was of the job
        self.fails: Callable[[], bool] = lambda: False  #: whether a save comes to nothing
        run.progress_s = run.committed_s
        self.resumed_step = int(run.committed_s)
        if run.started_us is None:
            run.started_us = timeline.now_us

    # -- what happens to it ----------------------------------------------------------------------------------------

    def join(self, host: Host, gpu_ids: tuple[str, ...], cap_w: float) -> Member:
        """A member starts. Once all are there they load, together."""
        now_us = self.timeline.now_us
        member = Member(self, host, gpu_ids, cap_w, now_us)
        self.members.append(member)
        if len(self.members) == self.size:
            load_s = self.pace.restore_s if self.is_restart else self.pace.start_s
            if load_s > 0:
                self.timeline.at(now_us + us(load_s), self._loaded, None)
            else:
                self._loaded(None)
        self._refresh()
        return member

    def tell(self, member: Member, phase: Phase, cap_w: float) -> None:
        """What a member is to do from now on. Who was told to leave is never called back."""
        if not member.lives:
            return
        if member.phase in LEAVING and phase is not Phase.KILL:
            phase = member.phase
        if phase is member.phase and cap_w == member.cap_w:
            return
        self.settle()
        member.cap_w = cap_w
        member.host.changed()
        if phase is not member.phase:
            self._turn(member, phase)
        if not self.is_over:
            self._refresh()

    def give(self, member: Member, grace_s: float) -> None:
        """A member has so long from now on to save and exit; who saves already is given no more than he was."""
        if member.observed is not Observed.SAVING:
            member.grace_s = grace_s
            return
        whole_s = (self.timeline.now_us - member.since_us) / US + grace_s
        if whole_s < member.grace_s:
            member.grace_s = whole_s
            if whole_s < self.pace.save_s:
                self._later(member, grace_s)

    def saves_every(self, interval_s: float | None) -> None:
        """How much it computes between two commits from now on; None = as it began."""
        every_us = us(self.pace.checkpoint_interval_s if interval_s is None else interval_s)
        if every_us != self.commits.every_us and not self.is_over:
            self.settle()
            self.commits.every_us = every_us
            self._refresh()

    def vanish(self, member: Member) -> None:
        """Its node is gone, and its processes with it."""
        if member.lives:
            self.settle()
            self._paused()
            self._end(member)
            if not self.is_over:
                self._refresh()

    def settle(self) -> None:
        """Add up what was done since the last change."""
        now_us, run = self.timeline.now_us, self.run
        span_us = now_us - self.settled_us
        self.settled_us = now_us
        if span_us <= 0 or self.speed <= 0:
            return
        run.energy_j += self.watts * span_us / US
        done_us, stalled_us, committed_us = self.commits.passes(span_us)
        if committed_us is not None:
            run.committed_s = run.progress_s + self.speed * committed_us / US
        run.progress_s += self.speed * done_us / US
        if stalled_us:
            run.lose(run.job.gpus * stalled_us / US)

    def close_books(self) -> None:
        """The window ends: add up what is not over."""
        if self.is_over:
            return
        self.settle()
        for member in self.members:
            self._lose_time(member)
        self.run.shows(Doing.WAIT, self.timeline.now_us)

    # -- steps -----------------------------------------------------------------------------------------------------

    def _loaded(self, _: object) -> None:
        if self.is_over or self.is_ready:
            return
        self.settle()
        self.is_ready = self.run.was_ready = True
        for member in self.members:
            if member.observed is Observed.STARTING:
                self._observe(member, Observed.RUNNING if member.phase is Phase.RUN else Observed.SUSPENDED)
        self._refresh()

    def _turn(self, member: Member, phase: Phase) -> None:
        """A member is ordered into another phase."""
        member.phase, member.due_us = phase, -1
        if phase is Phase.RUN:
            self.is_paused = any(m.phase is not Phase.RUN for m in self.members)
            self._later(member, self.pace.resume_s if member.observed is Observed.SUSPENDED else 0.0)
            return
        self._paused()
        if phase is Phase.KILL:
            self._kill(member)
        elif phase is Phase.SUSPEND:
            self._later(member, self.pace.suspend_s)
        elif self.is_ready:
            member.asked_to_exit = True
            self._observe(member, Observed.SAVING)
            self._later(member, min(self.pace.save_s, member.grace_s))
        else:  # it has nothing to save that is not saved
            member.asked_to_exit, member.exit_code = True, SAVED
            self._end(member)

    def _paused(self) -> None:
        """It is kept from computing: one pause, whatever follows, until all run again."""
        if not self.is_paused:
            self.is_paused = True
            self.run.pauses += 1

    def _later(self, member: Member, seconds: float) -> None:
        """What the phase of a member leads to comes about so much later."""
        member.due_us = self.timeline.now_us + us(seconds)
        if seconds > 0:
            self.timeline.at(member.due_us, self._arrive, member)
        else:
            self._reach(member)

    def _arrive(self, member: Member) -> None:
        if member.lives and member.due_us == self.timeline.now_us:
            self.settle()
            self._reach(member)
            if not self.is_over:
                self._refresh()

    def _reach(self, member: Member) -> None:
        match member.phase:
            case Phase.RUN if self.is_ready:
                self._observe(member, Observed.RUNNING)
            case Phase.SUSPEND if self.is_ready:
                self._observe(member, Observed.SUSPENDED)
            case Phase.SAVE_EXIT if self.pace.save_s <= member.grace_s:
                member.exit_code = _BROKEN if self.fails() else SAVED
                self._end(member)
            case Phase.SAVE_EXIT:
                self._kill(member)

    def _kill(self, member: Member) -> None:
        member.killed = True
        self._end(member)

    def _observe(self, member: Member, observed: Observed) -> None:
        if member.observed is observed:
            return
        self._lose_time(member)
        member.observed, member.since_us = observed, self.timeline.now_us
        member.host.changed()

    def _lose_time(self, member: Member) -> None:
        """Saving, and loading once more, hold GPUs for nothing."""
        loads_again = self.is_restart and member.observed is Observed.STARTING
        if loads_again or member.observed is Observed.SAVING:
            self.run.lose(len(member.gpu_ids) * (self.timeline.now_us - member.since_us) / US)

    def _end(self, member: Member) -> None:
        self._observe(member, Observed.ENDED)
        if not any(m.lives for m in self.members):
            self._close()
        member.host.freed()

    def _close(self) -> None:
        """Nobody is left: what was saved by all stays, the rest is lost."""
        run = self.run
        self.is_over, self.speed, self.watts = True, 0.0, 0.0
        codes = {m.exit_code for m in self.members}
        if self.is_ready and len(self.members) == self.size and codes <= {0, SAVED}:
            run.committed_s = run.progress_s
        if not codes <= {0, SAVED}:
            run.kills += 1
        run.lose((run.progress_s - run.committed_s) * run.job.gpus)
        run.progress_s = run.committed_s
        if codes == {0}:
            run.finished_us = self.timeline.now_us
        run.shows(Doing.DONE if codes == {0} else Doing.WAIT, self.timeline.now_us)

    def _finish(self, due_us: int) -> None:
        if due_us != self.queued_us:
            return
        self.queued_us = NEVER_US
        if self.is_over:
            return
        if due_us < self.done_us:
            self._look_at(self.done_us)
            return
        self.settle()
        self.run.progress_s = self.run.job.work_s
        for member in self.members:
            member.exit_code = 0
            self._end(member)

    def _refresh(self) -> None:
        """Its speed and watts from now on, and when it will be done."""
        members, model = self.members, self.model
        computes, drawn_w = self.is_ready, 0.0
        for member in members:
            member.enforced_w = member.cap_w if member.phase is Phase.RUN else model.min_cap_w
            computes = computes and member.observed is Observed.RUNNING
        for member in members:
            member.gpu_w = model.busy_w(member.enforced_w) if computes else model.idle_w + model.context_w
            drawn_w += len(member.gpu_ids) * member.gpu_w
        self.speed = speed = model.speed(min([m.enforced_w for m in members])) if computes else 0.0
        self.watts = self.overhead * drawn_w if computes else 0.0
        seen = [m.observed for m in members]
        what = Doing.RUN if speed > 0 else not_running(seen, again=self.is_restart)
        self.run.shows(what, self.timeline.now_us)
        for member in members:
            member.host.redrawn()
        if computes:
            left_us = -int(-max(0.0, self.run.job.work_s - self.run.progress_s) / speed * US // 1)
            self.done_us = self.timeline.now_us + self.commits.lasts_us(left_us)
            self._look_at(self.done_us)
            if self.run.committed_s <= 0.0 and not self.expects_commit:
                self.expects_commit = True
                self.timeline.at(self.timeline.now_us + self.commits.next_us(), self._tell_commit, None)
        else:
            self.done_us = NEVER_US

    def _tell_commit(self, _: object) -> None:
        """Its nodes tell of the first commit: only who has one is ever asked to make room for others."""
        self.expects_commit = False
        if self.is_over:
            return
        self.settle()
        if self.run.committed_s > 0.0:
            for member in self.members:
                member.host.changed()
        else:
            self._refresh()

    def _look_at(self, at_us: int) -> None:
        """Look whether it is done, unless that happens sooner anyhow: most changes of caps only put the end off."""
        if at_us < self.queued_us:
            self.queued_us = at_us
            self.timeline.at(at_us, self._finish, at_us)
