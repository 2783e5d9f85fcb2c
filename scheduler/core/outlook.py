"""When each waiting job may start, as far as anybody can know: its position, what it lacks, and a range.

The early end of the range: running jobs run to the time limits that they state, the limit follows what its sources
announce and the median of what they foresee, and whoever is ahead takes nothing. The late end: all who are ahead start
first, one after the other, and run to their time limits too, under a low quantile of what is foreseen. What nobody
stated, announced or foresaw is not guessed: that end, or the whole range, is then None.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush

from scheduler.core.attained import moves_up_at
from scheduler.core.foresight import KEPT_TIER, LOW, MEDIAN, basis, has_forecast, kept_w, word
from scheduler.core.jobs import Attempt, Job
from scheduler.core.placement import may_use
from scheduler.core.plan import Plan
from scheduler.core.queueing import Queue, Shape
from scheduler.core.reasons import Code, Reason
from scheduler.core.room import Room, takes_work, unheld
from scheduler.core.snapshot import SitePolicy, Snapshot
from scheduler.core.supply import Supply, ends_at, left_s
from scheduler.core.topology import within
from scheduler.core.windows import pays_off_s

_RELEASED = (
    "the watts that it needs are confirmed free, at the latest when the orders that grant them run out"
)
_BARRED = {
    Code.HELD: "no estimate: a person holds it",
    Code.DEPENDENCY: "no estimate: it waits for another job, and nobody knows when that one succeeds",
    Code.NEVER_FITS: "no estimate: it can never start on this site as it is",
    Code.BEGIN_TIME: "not before the time that it names; what is free then is not known",
    Code.RETRY_BACKOFF: "not before its next try; what is free then is not known",
}
_NO_POWER = "no estimate: neither what sources announce nor the time limits of running jobs give it its watts"
_NO_FORESEEN_POWER = _NO_POWER.replace("announce", "announce and foresee")
_NO_QUOTA = "no estimate: it waits for its project's quota, and nobody knows when others give some back"
_ANNOUNCED = "the limit does what its sources announce"
_FORESEEN = (
    f"{_ANNOUNCED} and foresee ({word(MEDIAN)} for the earliest start, {word(LOW)} for the latest; what must "
    f"not be cut waits for the {word(LOW)})"
)
_TO_THEIR_LIMITS = "running jobs use their whole time limits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A range for the start of a job; None = nobody can tell. `assumption` says in words what it rests on."""

    earliest_at: datetime | None = None
    latest_at: datetime | None = None
    assumption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """What a waiting job has before it. Position 1 is next; None = it does not queue yet (held, begins later)."""

    position: int | None
    waiting: int  #: jobs that queue, in all
    ahead_gpus: int | None  #: that those ahead of it ask for
    lacks_gpus: int
    lacks_w: float  #: at the site meter
    start: Start
    judged_on: str | None = None  #: on which quantiles its start is judged; None = nothing is foreseen
    overtaken_until: datetime | None = (
        None  #: until then who had little service goes first, even who comes later; None = nobody does for that
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A job's place in the queue, and what those ahead of it ask for."""

    index: int
    kind: Shape
    ahead_gpus: int
    ahead_w: float


class Outlook:
    """What can be told of the jobs that wait in one snapshot, taken after what was decided from it.

    Made once for all of them: the cost is that of sorting the queue.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        plan = self._plan = Plan(snapshot)
        self._queue = Queue()
        self._queue.sync(self._plan, snapshot.settled)
        self._room = Room(self._plan)
        self._free_at, self._unstated_gpus = _free_at(self._plan, self._room)
        self._places = _places(self._plan, self._queue)
        self._beyond = _beyond(self._plan, self._queue)
        self._latest = _latest(self._plan, self._places, self._free_at)
        gpus = sum(len(plan.groups[n].spec.gpus) for n in self._free_at)
        rises_w = [plan.start_w(job) / max(1, job.spec.total_gpus) for job in self._firsts()]
        self._foreseen = has_forecast(snapshot.envelopes)
        self._supply = Supply(snapshot, plan, share=MEDIAN, gpus=gpus, rises_w=rises_w)
        self._low = self._supply
        if self._foreseen:
            self._low = Supply(snapshot, plan, share=LOW, gpus=gpus, rises_w=rises_w)
        self._power_at: dict[Shape, datetime | None] = {}
        self._gpus_at: dict[Shape, datetime | None] = {}

    def _firsts(self) -> list[Job]:
        """The first job of each shape."""
        return [self._plan.jobs[entries[0].job_id] for entries in self._queue.ready.values()]

    def of(self, job_id: str, reason: Reason | None = None) -> Prospect | None:
        """What a job has before it, given why it waits if that is known; None for one that does not wait."""
        place, barred = self._places.get(job_id), self._queue.barred.get(job_id)
        if place is None and barred is None:
            return None
        lacks_gpus, lacks_w = _lacks(barred or reason)
        job = self._plan.jobs[job_id]
        return Prospect(
            position=None if place is None else place.index + 1,
            waiting=len(self._places),
            ahead_gpus=None if place is None else place.ahead_gpus,
            lacks_gpus=lacks_gpus,
            lacks_w=lacks_w,
            start=_of_barred(barred) if place is None else self._start(job_id, place, reason),
            judged_on=basis(self._snapshot.envelopes, job.spec.flex),
            overtaken_until=None if place is None else moves_up_at(job, self._plan.at, self._plan.site),
        )

    def placed(self, job_id: str) -> tuple[Job, Attempt | None, SitePolicy] | None:
        """A job, its living attempt, and the site that judges them; None for one that is not there."""
        job = self._plan.jobs.get(job_id)
        return None if job is None else (job, self._plan.of(job_id), self._plan.site)

    def _start(self, job_id: str, place: _Place, reason: Reason | None) -> Start:
        snapshot, job = self._snapshot, self._plan.jobs[job_id]
        if snapshot.stop is not None:
            return Start(
                assumption="no estimate: the site is under an emergency stop until a person releases it"
            )
        if not snapshot.raises_allowed:
            return Start(
                assumption="no estimate: nothing is raised until the site's records and guards answer"
            )
        if job_id in self._beyond and (array := job.spec.array) is not None:
            most = f"at most {array.most} of array {array.id} hold GPUs at once"
            return Start(assumption=f"no estimate: {most}, and others of it come before")
        if reason is not None and reason.code == Code.QUOTA_EXCEEDED:
            return Start(assumption=_NO_QUOTA)
        gpus_at = self._when_gpus(job, place.kind)
        if gpus_at is None:
            return Start(assumption=self._without_gpus(job))
        earliest_at = self._when_power(job, place.kind, from_at=max(gpus_at, self._dwells_until()))
        if earliest_at is None:
            return Start(assumption=_NO_FORESEEN_POWER if self._foreseen else _NO_POWER)
        latest_at = self._when_all(job_id, job, place, earliest_at)
        rests_on_ends = gpus_at > snapshot.at or self._supply.freed_w(earliest_at) > 0
        return self._told(job, earliest_at, latest_at, reason, rests_on_ends=rests_on_ends)

    def _told(
        self,
        job: Job,
        earliest_at: datetime,
        latest_at: datetime | None,
        reason: Reason | None,
        *,
        rests_on_ends: bool,
    ) -> Start:
        """The range in words, without what the reason at hand shows to be wrong."""
        at, site, code = self._plan.at, self._plan.site, reason.code if reason else ""
        if reason is not None and _is_releasing(reason):
            released_at = at + timedelta(seconds=site.lease_s + site.fall_s)
            return Start(
                earliest_at=earliest_at, latest_at=max(earliest_at, released_at), assumption=_RELEASED
            )
        if code == Code.POWER_UNAVAILABLE and earliest_at <= at:
            return Start(
                assumption="no estimate: it lacks firm power, and nobody knows when others give some back"
            )
        if reason is not None and latest_at is not None and latest_at <= at:
            latest_at = None  # by numbers it fits now, and yet it waits: these numbers do not say until when
        limit = _FORESEEN if self._foreseen else _ANNOUNCED
        early = f"{_TO_THEIR_LIMITS}, {limit}" if rests_on_ends else limit
        others = " and nobody who had little service" if moves_up_at(job, at, site) else ""
        assumption = f"{early}, and nobody more important{others} comes"
        if latest_at is None:
            assumption += "; the latest start cannot be told"
        elif latest_at > earliest_at:
            assumption += "; at the latest all ahead start first and use theirs, wherever their GPUs are"
        return Start(earliest_at=earliest_at, latest_at=latest_at, assumption=assumption)

    # -- GPUs ------------------------------------------------------------------------------------------------------

    def _when_gpus(self, job: Job, kind: Shape) -> datetime | None:
        """When a job's GPUs are free if nobody ahead takes them. The same for all of its shape."""
        if kind not in self._gpus_at:
            self._gpus_at[kind] = self._fits_at(job)
        return self._gpus_at[kind]

    def _fits_at(self, job: Job) -> datetime | None:
        nodes = [n for n in self._free_at if may_use(job, n, self._plan)]
        known = (self._fits_on_at(job, some) for some in within(job, nodes, self._plan))
        return min((at for at in known if at is not None), default=None)

    def _fits_on_at(self, job: Job, nodes: list[str]) -> datetime | None:
        spec, now = job.spec, self._plan.at
        if spec.scatter:
            return _nth(sorted(t for n in nodes for t in self._free_at[n]), spec.total_gpus, now)
        members = [_nth(self._free_at[n], spec.gpus, now) for n in nodes]
        return _nth(sorted(t for t in members if t is not None), spec.nodes, now)

    def _without_gpus(self, job: Job) -> str:
        if self._unstated_gpus:
            return f"no estimate: running jobs on {self._unstated_gpus} GPUs state no time limit"
        return f"no estimate: no nodes that are heard of and take work have {job.spec.total_gpus} GPUs for it"

    # -- power -----------------------------------------------------------------------------------------------------

    def _when_power(self, job: Job, kind: Shape, *, from_at: datetime) -> datetime | None:
        """The first known instant from which its watts are there for long enough to pay off."""
        if kind not in self._power_at:
            lasts_s = pays_off_s(self._plan, job)
            found = self._supply.first(self._needed_w(job), lasts_s=lasts_s, from_at=from_at)
            if found is not None and self._foreseen and job.spec.flex <= KEPT_TIER:
                needed_w = kept_w(self._plan) + self._plan.start_w(job)
                found = self._low.first(needed_w, lasts_s=lasts_s, from_at=found)
            self._power_at[kind] = found
        return self._power_at[kind]

    def _when_all(self, job_id: str, job: Job, place: _Place, earliest_at: datetime) -> datetime | None:
        """When it starts at the latest: after all who are ahead, and with watts for all of them, for good."""
        gpus_at = self._latest.get(job_id)
        everything_w = self._plan.at_knees_w(job.spec.flex) + self._supply.rest_w
        power_at = self._low.lasting(min(self._needed_w(job) + place.ahead_w, everything_w))
        return None if gpus_at is None or power_at is None else max(gpus_at, power_at, earliest_at)

    def _needed_w(self, job: Job) -> float:
        return self._plan.at_knees_w(job.spec.flex) + self._plan.start_w(job)

    def _dwells_until(self) -> datetime:
        cut_at, at = self._snapshot.last_cut_at, self._snapshot.at
        return at if cut_at is None else max(at, cut_at + timedelta(seconds=self._plan.site.raise_delay_s))


def _places(plan: Plan, queue: Queue) -> dict[str, _Place]:
    """The queue in its own order: who borrows last, then priority, turn, who had less service, who came first."""
    needed, last = {}, {}
    quotas = plan.tenants.quotas()
    for kind, entries in queue.ready.items():
        job = plan.jobs[entries[0].job_id]
        needed[kind] = job.spec.total_gpus, plan.start_w(job)
        last[kind] = quotas is not None and quotas.borrows(plan.tenants.of(job), job.spec.total_gpus)
    waiting = [
        (last[kind], e.rank, queue.turn(kind), e, kind)
        for kind, entries in queue.ready.items()
        for e in entries
    ]
    order = sorted(waiting, key=lambda one: one[:4])  # shapes hold None beside text, and are not compared
    places: dict[str, _Place] = {}
    gpus, watts = 0, 0.0
    for index, (*_, entry, kind) in enumerate(order):
        places[entry.job_id] = _Place(index=index, kind=kind, ahead_gpus=gpus, ahead_w=watts)
        gpus, watts = gpus + needed[kind][0], watts + needed[kind][1]
    return places


def _beyond(plan: Plan, queue: Queue) -> set[str]:
    """Those that can start only once others of their arrays, waiting ones too, have let go."""
    found: set[str] = set()
    for entries in queue.ready.values():
        first = plan.jobs[entries[0].job_id]
        found.update(entry.job_id for entry in entries[plan.arrays.may_start(first, len(entries)) :])
    return found


def _free_at(plan: Plan, room: Room) -> tuple[dict[str, list[datetime]], int]:
    """When each GPU of the nodes that take work is free, soonest first; and how many are held without a limit."""
    found = {node_id: [plan.at] * len(gpus) for node_id, gpus in room.free.items()}
    for node_id in plan.faults.out(plan.at) & plan.groups.keys():  # those come back by themselves
        group = plan.groups[node_id]
        if takes_work(group) and group.is_heard(plan.at, plan.site) and not plan.is_standby(node_id):
            free = unheld(plan, group)
            found[node_id] = [plan.faults.known[node_id].until_at] * len(free)
    unstated = 0
    for attempt in plan.attempts.values():
        free_at = ends_at(plan, attempt)
        for placement in attempt.placements:
            if placement.node_id not in found:
                continue
            if free_at is None:
                unstated += len(placement.gpu_ids)
            else:
                found[placement.node_id] += [free_at] * len(placement.gpu_ids)
    return {node_id: sorted(times) for node_id, times in found.items()}, unstated


def _latest(plan: Plan, places: dict[str, _Place], free_at: dict[str, list[datetime]]) -> dict[str, datetime]:
    """When each starts if all start in order and run to their limits; without those of whom that is not known.

    GPUs are counted wherever they are.
    """
    coming = [(t, 1) for times in free_at.values() for t in times]
    heapify(coming)
    found: dict[str, datetime] = {}
    free, at = 0, plan.at
    for job_id in places:
        job = plan.jobs[job_id]
        while free < job.spec.total_gpus and coming:
            released_at, gpus = heappop(coming)
            free, at = free + gpus, max(at, released_at)
        if free < job.spec.total_gpus:
            break  # nor can anybody behind it be told
        found[job_id] = at
        free -= job.spec.total_gpus
        may_run_s = left_s(job)
        if may_run_s is not None:
            heappush(coming, (at + timedelta(seconds=may_run_s), job.spec.total_gpus))
    return found


def _nth(times: list[datetime], count: int, now: datetime) -> datetime | None:
    """The instant at which `count` of these have come; None = they never do. None at all are there now."""
    if count == 0:
        return now
    return times[count - 1] if len(times) >= count else None


def _lacks(reason: Reason | None) -> tuple[int, float]:
    """GPUs and watts that a reason says are missing."""
    numbers = reason.numbers if reason else {}
    gpus = numbers.get("needed_gpus", 0.0) - numbers.get("free_gpus", 0.0)
    watts = numbers.get("needed_w", 0.0) - max(0.0, numbers.get("free_w", 0.0))
    return max(0, int(gpus)), max(0.0, watts)


def _is_releasing(reason: Reason) -> bool:
    """Whether all that is missing is the word that its watts are free."""
    return reason.code == Code.WAITING_FOR_PREEMPTED_JOBS and "needed_w" in reason.numbers


def _of_barred(reason: Reason | None) -> Start:
    if reason is None:
        return Start(assumption="no estimate")
    told = _BARRED.get(Code(reason.code), "no estimate: it does not queue")
    return Start(earliest_at=reason.expected_at, assumption=told)
