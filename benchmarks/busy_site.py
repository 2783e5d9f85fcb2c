"""A site for benchmarks, as its scheduler knows it: nodes of 8 GPUs, all busy with one-GPU jobs, and a long queue.

Time does not pass by itself here, and no guard is real: each accepts what it is sent and reports what it should.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from scheduler.core.decide import Decision
from scheduler.core.entitlement import charged_w, idle_w, nameplate_w
from scheduler.core.envelope import Envelope, Segment
from scheduler.core.jobs import Attempt, AttemptState, Job, JobSpec, JobState, Launch, Phase, Placement
from scheduler.core.ledger import Account, OpenOrder
from scheduler.core.orders import (
    AttemptFacts,
    Draft,
    FallbackStep,
    Fence,
    GpuReading,
    GpuSlot,
    GroupKind,
    GroupSpec,
    GuardReport,
    Observed,
)
from scheduler.core.power import A100_SXM
from scheduler.core.snapshot import Group, SitePolicy, Snapshot
from scheduler.view import View

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
GPUS = 8
BASE_W = 600.0
FENCE = Fence(epoch=1, seq=1)
_LAUNCH = Launch(command=("python",), working_dir="/w", checkpoint_dir="/c", output_dir="/o", log_path="/l")
_SPEC = JobSpec(name="bench", launch=_LAUNCH)
_SLOTS = tuple(GpuSlot(gpu_id=str(g), model=A100_SXM.name) for g in range(GPUS))
_SUBMITTED_AT = AT - timedelta(seconds=100)


class BusySite:
    """The scheduler's view of the site, and those who change it."""

    def __init__(self, nodes: int, queued: int) -> None:
        self.at = AT
        self._numbers = 0
        policy = SitePolicy(name="bench", firm_w=_site_w(nodes, A100_SXM.tdp_w), margin=0.0)
        self._nodes = [f"node-{n}" for n in range(nodes)]
        specs = {gid: _spec(gid) for gid in self._nodes}
        self.view = View(policy, specs, epoch=1, at=AT - timedelta(hours=1))
        attempts = {gid: _attempts(gid) for gid in self._nodes}
        self.view.attempts = {a.id: a for members in attempts.values() for a in members}
        running = [self._job(a.job_id, JobState.RUNNING) for a in self.view.attempts.values()]
        self.view.jobs = {j.id: j for j in running} | {j.id: j for j in self._queued(queued)}
        self.view.groups = {gid: _group(spec, attempts[gid]) for gid, spec in specs.items()}
        self.limit(A100_SXM.tdp_w)

    def limit(self, gpu_w: float) -> None:
        """The grid gives each GPU so much from now on."""
        segment = Segment(starts_at=AT - timedelta(hours=1), limit_w=_site_w(len(self._nodes), gpu_w))
        self.view.envelopes["grid"] = Envelope(
            source="grid", issued_at=self.at, read_at=self.at, reaction_s=30, segments=(segment,)
        )

    def go_on(self, seconds: float) -> None:
        """Time passes."""
        self.at += timedelta(seconds=seconds)

    def snapshot(self) -> Snapshot:
        """What a decision is made from."""
        return self.view.snapshot(self.at)

    def arrive(self, jobs: int) -> None:
        """So many jobs are submitted."""
        self.view.jobs.update({j.id: j for j in self._queued(jobs)})

    def report(self, nodes: int | None = None) -> None:
        """So many guards report, all of them without a number: that all is as it was ordered."""
        for gid in self._nodes[:nodes]:
            self.view.take_report(self._report(gid), at=self.at, heard_s=0.0)

    def carry_out(self, decision: Decision) -> None:
        """As the loop does: count the orders, make the decision the present, and hear that it was followed."""
        for gid, draft in decision.drafts.items():
            order = OpenOrder(
                fence=self.view.next_fence(gid),
                entitlement_w=draft.entitlement_w,
                fallback=draft.fallback,
                expires_at=draft.expires_at,
            )
            self.view.opened(gid, order)
        self.view.apply(decision, self.at)
        for gid, draft in decision.drafts.items():
            self.view.went_out(gid, draft, self.at)
            self.view.take_report(self._report(gid), at=self.at, heard_s=0.0)

    def _queued(self, jobs: int) -> Iterable[Job]:
        return (self._job(f"bench-q{self._numbers}", JobState.PENDING) for _ in range(jobs))

    def _job(self, job_id: str, state: JobState) -> Job:
        self._numbers += 1
        return Job(
            id=job_id,
            number=self._numbers,
            spec=_SPEC,
            submitted_at=_SUBMITTED_AT,
            state=state,
            since_at=_SUBMITTED_AT,
            attempts=int(state is JobState.RUNNING),
        )

    def _report(self, group_id: str) -> GuardReport:
        group = self.view.groups[group_id]
        orders: Mapping[Fence, OpenOrder] = {o.fence: o for o in group.account.open}
        order = orders[group.account.sent]
        phases = _phases(group.ordered)
        since_s = (self.at - AT).total_seconds()
        return GuardReport(
            spec=group.spec,
            boot_id="boot",
            boottime_s=since_s,
            version=1,
            accepted=order.fence,
            expires_boottime_s=since_s + (order.expires_at - self.at).total_seconds(),
            entitlement_w=order.entitlement_w,
            fallback=order.fallback,
            in_fallback=False,
            draw_w=group.draw_w,
            gpus=group.gpus,
            attempts=tuple(
                replace(f, observed=Observed.SUSPENDED) if phases.get(f.attempt_id) is Phase.SUSPEND else f
                for f in group.facts
            ),
        )


def _phases(draft: Draft | None) -> Mapping[str, Phase]:
    return {} if draft is None else {a.attempt_id: a.phase for a in draft.attempts}


def _site_w(nodes: int, gpu_w: float) -> float:
    return SitePolicy(name="bench", firm_w=0).overhead * nodes * (BASE_W + GPUS * gpu_w) + 1.0


def _spec(group_id: str) -> GroupSpec:
    return GroupSpec(group_id=group_id, kind=GroupKind.NODE, base_w=BASE_W, gpus=_SLOTS, simulated=True)


def _attempts(node_id: str) -> list[Attempt]:
    return [
        Attempt(
            id=f"bench-{node_id}-{gpu}.1",
            job_id=f"bench-{node_id}-{gpu}",
            number=1,
            state=AttemptState.RUNNING,
            since_at=AT - timedelta(seconds=90),
            placements=(Placement(node_id=node_id, gpu_ids=(str(gpu),)),),
            cap_w=A100_SXM.tdp_w,
            created_at=AT - timedelta(seconds=90),
            running_at=AT - timedelta(seconds=80),
            last_step=7,
            resumed_step=0,
        )
        for gpu in range(GPUS)
    ]


def _group(spec: GroupSpec, attempts: Iterable[Attempt]) -> Group:
    """As it was heard of an instant before this leader took over."""
    readings = tuple(
        GpuReading(gpu_id=str(g), draw_w=380.0, cap_w=A100_SXM.tdp_w, processes=1) for g in range(GPUS)
    )
    order = OpenOrder(
        fence=FENCE,
        entitlement_w=nameplate_w(spec),
        fallback=(FallbackStep(after_s=0.0, limit_w=BASE_W + GPUS * A100_SXM.held_w()),),
        expires_at=AT + timedelta(seconds=10),
    )
    account = Account(
        group_id=spec.group_id,
        idle_w=idle_w(spec),
        nameplate_w=nameplate_w(spec),
        known=True,
        acked=FENCE,
        sent=FENCE,
        charged_w=charged_w(spec, readings),
        charged_at=AT,
        open=(order,),
    )
    facts = tuple(
        AttemptFacts(attempt_id=a.id, observed=Observed.RUNNING, step=7, resumed_step=0) for a in attempts
    )
    return Group(
        spec=spec, account=account, reported_at=AT, draw_w=account.charged_w, gpus=readings, facts=facts
    )
