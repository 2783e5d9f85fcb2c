"""Barq's own decisions on a virtual clock, with guards that obey at once: `ClosedLoop` is a `Run`.

The core decides by the curve of the GPU type that the nodes name; what the jobs really draw, and how far they come,
follows each one's own curve. The limit is known from the start, as that of an event which was announced the day before.
Between two instants at which anything can change, the books are renewed every few minutes, and leases are as long as
that takes: here no guard fails, so that none ever runs out.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from scheduler.core.decide import Decision, decide
from scheduler.core.entitlement import charged_w, idle_w, nameplate_w
from scheduler.core.envelope import Envelope, Segment
from scheduler.core.jobs import Attempt, AttemptState, Job, JobSpec, JobState, Launch
from scheduler.core.ledger import Account, OpenOrder, pruned, reported, sent
from scheduler.core.orders import Draft, Fence, GpuReading, GpuSlot, GroupKind, GroupSpec, Observed
from scheduler.core.power import GPU_MODELS, GpuModel, site_w
from scheduler.core.snapshot import Group, SitePolicy, Snapshot
from scheduler.sim.outcome import Interval, RunOutcome
from scheduler.sim.phoenix.event import PhoenixSite
from scheduler.sim.phoenix.work import changes_at, facts, held, observed, works
from scheduler.sim.workload import PowerTrace, SimJob

BEGAN_AT = datetime(2025, 5, 4, 12, 0, tzinfo=UTC)
_SOON, _LATE = (
    timedelta(seconds=10),
    timedelta(minutes=5),
)  #: to the next look: the longer, the longer all is quiet
_LEASE_S = 330.0
_AN_INSTANT = timedelta(microseconds=1)
_LAUNCH = Launch(
    command=("train",),
    working_dir="/work",
    checkpoint_dir="/commits",
    output_dir="/outputs",
    log_path="/log",
    checkpoint_interval_s=1800.0,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedLoop:
    """A `Run` over `decide` itself. `curves` has the true curve of each job by its id; others are as the GPU type."""

    curves: Mapping[str, GpuModel] = field(default_factory=dict)

    def __call__(
        self, jobs: Sequence[SimJob], power: PowerTrace, site: PhoenixSite, *, window_s: float
    ) -> RunOutcome:
        """Play the window. Raises ValueError for a job that would end within it, or that does not fill whole nodes."""
        started_s = time.perf_counter()
        cluster = _Cluster(jobs, self.curves, power, site, window_s)
        while cluster.at < cluster.ends_at:
            cluster.decides()
            cluster.passes()
        return RunOutcome(
            policy="barq",
            jobs_name="phoenix",
            power_name=power.name,
            seed=0,
            window_s=window_s,
            reaction_s=site.reaction_s,
            intervals=tuple(cluster.intervals),
            jobs=tuple(cluster.works[job.id].outcome() for job in jobs),
            wall_s=time.perf_counter() - started_s,
        )


class _Cluster:
    """The site while it is played."""

    def __init__(
        self,
        jobs: Sequence[SimJob],
        curves: Mapping[str, GpuModel],
        power: PowerTrace,
        site: PhoenixSite,
        window_s: float,
    ) -> None:
        self.at, self.ends_at = BEGAN_AT, BEGAN_AT + timedelta(seconds=window_s)
        self.site = site
        self.policy = _policy(site)
        self.limit = _envelope(power, site)
        self.model = GPU_MODELS[site.gpu_model]
        self.works = works(tuple(jobs), curves, self.model, BEGAN_AT)
        self.jobs = {j.id: _job(j, n, site, window_s) for n, j in enumerate(jobs, start=1)}
        self.attempts: dict[str, Attempt] = {}
        self.groups = {g.spec.group_id: g for g in _nodes(site)}
        self.last_cut_at: datetime | None = None
        self.wake_at: datetime | None = None
        self.changed_at = self.at  #: when a decision last changed anything
        self.intervals: list[Interval] = []
        self._readings: dict[
            str, tuple[object, tuple[GpuReading, ...], float]
        ] = {}  #: by node, with their cause

    def decides(self) -> None:
        """One round: decide, record, send; every guard obeys and reports."""
        self.limit = replace(self.limit, read_at=self.at)
        self.groups = {gid: replace(g, reported_at=self.at) for gid, g in self.groups.items()}
        self._report()
        decision = decide(self._snapshot())
        before = self._ordered()
        self._record(decision)
        self.changed_at = self.at if self._ordered() != before else self.changed_at
        for gid, draft in decision.drafts.items():
            self.groups[gid] = replace(self.groups[gid], account=self._sent(self.groups[gid].account, draft))
        self._report()
        self.wake_at = decision.wake_at

    def passes(self) -> None:
        """Time goes on to the next instant at which anything may change."""
        until = min(t for t in self._coming() if t > self.at)
        seconds = (until - self.at).total_seconds()
        self._note_interval(until)
        for attempt in self.attempts.values():
            self.works[attempt.job_id].goes_on(attempt, seconds, until, self.site)
        self.at = until

    def _snapshot(self) -> Snapshot:
        return Snapshot(
            at=self.at,
            site=self.policy,
            envelopes=(self.limit,),
            groups=self.groups,
            jobs=self.jobs,
            attempts=self.attempts,
            epoch=1,
            led_since_at=BEGAN_AT,
            last_cut_at=self.last_cut_at,
        )

    def _ordered(self) -> set[tuple[object, ...]]:
        return {(a.id, a.state, a.phase, a.cap_w) for a in self.attempts.values()}

    def _record(self, decision: Decision) -> None:
        self.jobs = self.jobs | dict(decision.jobs)
        merged = self.attempts | dict(decision.attempts)
        self.attempts = {k: a for k, a in merged.items() if a.state is not AttemptState.ENDED}
        for attempt in self.attempts.values():
            self.works[attempt.job_id].told(attempt)
        self.last_cut_at = self.at if decision.cut_work else self.last_cut_at

    def _sent(self, account: Account, draft: Draft) -> Account:
        fence = Fence(epoch=1, seq=account.sent.seq + 1)
        order = OpenOrder(
            fence=fence,
            entitlement_w=draft.entitlement_w,
            fallback=draft.fallback,
            expires_at=draft.expires_at,
        )
        return pruned(sent(account, order), self.at, fall_s=self.policy.fall_s)

    def _report(self) -> None:
        """What all guards see now."""
        now = self.at + _AN_INSTANT
        told = {a.id: facts(a, self.works[a.job_id], now, self.site) for a in self.attempts.values()}
        members: dict[str, list[Attempt]] = {gid: [] for gid in self.groups}
        for attempt in self.attempts.values():
            for placement in attempt.placements:
                members[placement.node_id].append(attempt)
        for gid, here in members.items():
            group = self.groups[gid]
            gpus, charge_w = self._read(group.spec, here, now)
            self.groups[gid] = replace(
                group,
                gpus=gpus,
                facts=tuple(told[a.id] for a in here),
                draw_w=group.spec.base_w + sum(g.draw_w for g in gpus),
                account=reported(group.account, fence=group.account.sent, charged_w=charge_w, at=self.at),
            )

    def _read(
        self, spec: GroupSpec, here: Sequence[Attempt], now: datetime
    ) -> tuple[tuple[GpuReading, ...], float]:
        """The GPUs of a node as read back, and what they may draw by that. Nobody's GPU is idle, at the least cap."""
        free = held(None, self.model, now, self.site)
        states = {a.id: held((a, self.works[a.job_id]), self.model, now, self.site) for a in here}
        key = tuple(states.items())
        known = self._readings.get(spec.group_id)
        if known is None or known[0] != key:
            owner = {
                g: a.id for a in here for p in a.placements if p.node_id == spec.group_id for g in p.gpu_ids
            }
            states_here = ((g.gpu_id, states.get(owner.get(g.gpu_id, ""), free)) for g in spec.gpus)
            gpus = tuple(GpuReading(gpu_id=g, draw_w=d, cap_w=c, processes=n) for g, (d, c, n) in states_here)
            known = self._readings[spec.group_id] = (key, gpus, charged_w(spec, gpus))
        return known[1], known[2]

    def _coming(self) -> list[datetime]:
        steps = [s.starts_at for s in self.limit.segments]
        changes = [t for a in self.attempts.values() for t in changes_at(a, self.site)]
        known = [] if self.wake_at is None else [self.wake_at]
        again_at = self.at + min(max(self.at - self.changed_at, _SOON), _LATE)
        return [again_at, self.ends_at, *steps, *changes, *known]

    def _note_interval(self, until: datetime) -> None:
        """What holds from now until then."""
        site, total = self.site, self.site.nodes * self.site.gpus_per_node
        placed = [(a, self.works[a.job_id].gpu_w(a, until, site)) for a in self.attempts.values()]
        ran = [(a, w) for a, w in placed if observed(a, until, site) is Observed.RUNNING]
        ai_w = site.overhead * sum(a.gpu_count * w for a, w in ran)
        gpus_w = sum(a.gpu_count * w for a, w in placed)
        gpus_w += (total - sum(a.gpu_count for a, _ in placed)) * self.model.idle_w
        all_w = site_w(
            it_w=site.nodes * site.node_base_w + gpus_w,
            miners_w=0.0,
            overhead=site.overhead,
            auxiliary_w=site.auxiliary_w,
        )
        segment = self.limit.limit_at(self.at)
        self.intervals.append(
            Interval(
                starts_s=(self.at - BEGAN_AT).total_seconds(),
                limit_w=segment.limit_w if segment else site.firm_w,
                site_w=all_w,
                ai_w=ai_w,
                idle_w=all_w - ai_w,
                miners_w={},
                waiting_gpus=sum(
                    w.job.gpus for j, w in self.works.items() if j not in {a.job_id for a, _ in placed}
                ),
                running_gpus=sum(a.gpu_count for a, _ in ran),
                powered_nodes=site.nodes,
            )
        )


def _policy(site: PhoenixSite) -> SitePolicy:
    return SitePolicy(
        name="phoenix",
        firm_w=site.firm_w,
        overhead=site.overhead,
        auxiliary_w=site.auxiliary_w,
        margin=site.margin,
        lease_s=_LEASE_S,
        reaction_s=site.reaction_s,
        restart_s=site.restart_s,
    )


def _envelope(power: PowerTrace, site: PhoenixSite) -> Envelope:
    return Envelope(
        source="grid",
        issued_at=BEGAN_AT,
        read_at=BEGAN_AT,
        reaction_s=site.reaction_s,
        segments=tuple(
            Segment(starts_at=BEGAN_AT + timedelta(seconds=s), limit_w=w, provenance=power.name)
            for s, w in power.steps
        ),
    )


def _nodes(site: PhoenixSite) -> list[Group]:
    slots = tuple(GpuSlot(gpu_id=str(i), model=site.gpu_model) for i in range(site.gpus_per_node))
    specs = [
        GroupSpec(
            group_id=f"node-{n:03d}", kind=GroupKind.NODE, base_w=site.node_base_w, gpus=slots, simulated=True
        )
        for n in range(1, site.nodes + 1)
    ]
    return [Group(spec=spec, account=_account(spec), reported_at=BEGAN_AT) for spec in specs]


def _account(spec: GroupSpec) -> Account:
    return Account(
        group_id=spec.group_id,
        idle_w=idle_w(spec),
        nameplate_w=nameplate_w(spec),
        known=True,
        charged_w=idle_w(spec),
    )


def _job(job: SimJob, number: int, site: PhoenixSite, window_s: float) -> Job:
    if job.work_s <= window_s:
        raise ValueError(f"job {job.id}: work_s {job.work_s:g} ends within {window_s:g} s; give it more work")
    per_node = min(job.gpus, site.gpus_per_node)
    if job.arrives_s > 0 or job.gpus % per_node:
        raise ValueError(
            f"job {job.id}: only jobs on whole nodes that are there from the start can be played"
        )
    spec = JobSpec(
        name=job.id,
        launch=_LAUNCH,
        gpus=per_node,
        nodes=job.gpus // per_node,
        priority=job.priority,
        flex=job.flex,
        project=job.project,
    )
    return Job(
        id=job.id,
        number=number,
        spec=spec,
        submitted_at=BEGAN_AT,
        state=JobState.PENDING,
        since_at=BEGAN_AT,
    )
