"""Attempts and jobs that one rule or another looks at alone, each in a list of its own, so that nobody looks at all."""

from __future__ import annotations

from collections import Counter

from scheduler.core.alarms import Alarms
from scheduler.core.arrays import Arrays
from scheduler.core.faults import Faults
from scheduler.core.jobs import Attempt, AttemptState, Job
from scheduler.core.saving import Tempo, tempo
from scheduler.core.snapshot import Snapshot
from scheduler.core.tenants import Tenants


class Listed:
    """Kept up by a plan, one attempt and one job at a time."""

    def __init__(self) -> None:
        self.starting: set[str] = set()  #: attempts whose processes come up
        self.coming: set[str] = set()  #: attempts that did not take a step yet, those among them
        self.timed: set[str] = set()  #: attempts of jobs with a time limit
        self.elastic: set[str] = set()  #: attempts on fewer nodes than their jobs would take
        self.lapsing = Alarms()  #: groups whose order is soon over, and may be prolonged by some
        self.tuned: set[str] = set()  #: attempts of jobs that leave it to Barq how often they save
        self.deaf: set[str] = set()  #: groups that are heard and take no orders
        self.cordoned: set[str] = set()  #: groups on which nobody wants new work
        self.faults = Faults()
        self._tempo: Tempo | None = None
        self.deadlines = Alarms()  #: of the jobs that have not missed theirs
        self.arrays = Arrays()
        self.priorities = Counter[int]()  #: how many jobs have each; some may be none's by now
        self.tenants = Tenants()

    def tempo(self, snapshot: Snapshot) -> Tempo:
        """How often jobs save that leave it to Barq; nothing is worked out while there is none."""
        if not self.tuned:
            return Tempo(record=snapshot.record, since_at=snapshot.at)
        if self._tempo is None or not self._tempo.holds(snapshot):
            self._tempo = tempo(snapshot)
        return self._tempo

    def _list_job(self, job_id: str, known: Job | None, job: Job | None) -> None:
        """A job is new, another than it was, or gone."""
        if job is None or job.spec.deadline_at is None or job.missed_at is not None:
            self.deadlines.drop(job_id)
        else:
            self.deadlines.set(job_id, job.spec.deadline_at)
        if known is not None:
            self.arrays.leave(known)
            self.priorities[known.spec.priority] -= 1
        if job is not None:
            self.arrays.enter(job)
            self.priorities[job.spec.priority] += 1

    def _list(self, attempt: Attempt, job: Job) -> None:
        """An attempt is new, or held elsewhere or otherwise than before."""
        self._list_start(attempt)
        if job.spec.time_limit_s is not None:
            self.timed.add(attempt.id)
        if job.spec.launch.checkpoint_auto:
            self.tuned.add(attempt.id)
        can_grow = len(attempt.placements) < job.spec.most_nodes
        (self.elastic.add if can_grow else self.elastic.discard)(attempt.id)
        self.tenants.put(attempt, job.spec.project)
        self.arrays.hold(attempt, job)

    def _list_start(self, attempt: Attempt) -> None:
        """How far it has come up."""
        (self.starting.add if attempt.state is AttemptState.STARTING else self.starting.discard)(attempt.id)
        (self.coming.add if attempt.running_at is None else self.coming.discard)(attempt.id)

    def _unlist(self, attempt: Attempt) -> None:
        """An attempt is gone."""
        for known in (self.starting, self.coming, self.timed, self.elastic, self.tuned):
            known.discard(attempt.id)
        self.tenants.take(attempt.id)
        self.arrays.let_go(attempt)
