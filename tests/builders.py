"""Sites in a few words: `site(firm_w=6000).node("a", gpus=4).job("j", gpus=4).limit_w(9000)`.

A builder makes snapshots; `World` also plays the guards that obey, so that a test can tick through a story.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from scheduler.core.arrays import settle
from scheduler.core.decide import Decision, Policy, PowerAware
from scheduler.core.entitlement import charged_w, fallback_profile, has_miners, idle_w, nameplate_w
from scheduler.core.envelope import Envelope, Foreseen, Quantile, Segment
from scheduler.core.jobs import (
    Attempt,
    AttemptState,
    CommitRef,
    Desired,
    Job,
    JobSpec,
    JobState,
    Launch,
    Phase,
    Placement,
)
from scheduler.core.ledger import Account, OpenOrder, reported, sent
from scheduler.core.lifecycle import is_final
from scheduler.core.orders import (
    AttemptFacts,
    Draft,
    Fence,
    GpuReading,
    GpuSlot,
    GroupKind,
    GroupSpec,
    MinerReading,
    Observed,
    Standby,
)
from scheduler.core.power import A100_SXM, PowerLimits
from scheduler.core.projects import Used
from scheduler.core.snapshot import Group, MeterReading, SitePolicy, Snapshot, with_faults

T0 = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)


def launch(**changes: Any) -> Launch:
    """A launch that nobody will run."""
    plain = Launch(
        command=("true",),
        working_dir="/",
        checkpoint_dir="/c",
        output_dir="/o",
        log_path="/l",
        checkpoint_interval_s=5.0,
    )
    return replace(plain, **changes)


class SiteBuilder:
    """Collects a site; `snapshot()` gives it as of `T0` plus what has passed."""

    def __init__(self, **policy: Any) -> None:
        defaults = {"firm_w": 5000.0, "margin": 0.0, "raise_delay_s": 0.0, "restart_s": 2.0, "overhead": 1.0}
        self.site = SitePolicy(name="s", **(defaults | policy))
        self.at = T0
        self.groups: dict[str, Group] = {}
        self.jobs: dict[str, Job] = {}
        self.attempts: dict[str, Attempt] = {}
        self.settled: dict[str, JobState] = {}
        self.envelopes: tuple[Envelope, ...] = ()
        self.last_cut_at: datetime | None = None
        self.raises_allowed = True
        self.meter: MeterReading | None = None
        self.used: Used | None = None
        self.policy: Policy = PowerAware()

    # -- the site --------------------------------------------------------------------------------------------------

    def node(
        self,
        name: str = "node-1",
        *,
        gpus: int = 4,
        base_w: float = 600.0,
        standby_w: float | None = None,
        limits: PowerLimits | None = None,
        **topology: str,
    ) -> Self:
        """A reachable node of A100s with nothing on it; one that draws `standby_w` in standby, if it can go there.

        `rack="r1"` says where it is.
        """
        slots = tuple(GpuSlot(gpu_id=str(i), model=A100_SXM.name, limits=limits) for i in range(gpus))
        standby = None if standby_w is None else Standby(draw_w=standby_w, down_s=30.0, boot_s=120.0)
        spec = GroupSpec(
            group_id=name,
            kind=GroupKind.NODE,
            base_w=base_w,
            gpus=slots,
            standby=standby,
            topology=tuple(topology.items()),
        )
        return self._group(spec)

    def miners(self, name: str = "miners", *, max_w: float = 4000.0) -> Self:
        """A reachable miner group at rest."""
        return self._group(GroupSpec(group_id=name, kind=GroupKind.MINERS, base_w=0.0, miners_max_w=max_w))

    def _group(self, spec: GroupSpec) -> Self:
        account = Account(
            group_id=spec.group_id, idle_w=idle_w(spec), nameplate_w=nameplate_w(spec), known=True
        )
        gpus = tuple(GpuReading(gpu_id=g.gpu_id, draw_w=55.0, cap_w=100.0, processes=0) for g in spec.gpus)
        self.groups[spec.group_id] = Group(
            spec=spec, account=replace(account, charged_w=idle_w(spec)), reported_at=self.at, gpus=gpus
        )
        return self

    def limit_w(
        self, limit_w: float, *, reaction_s: float = 30.0, source: str = "grid", **changes: Any
    ) -> Self:
        """One source's limit from now on, in place of its last one."""
        envelope = Envelope(
            source=source,
            issued_at=self.at,
            read_at=self.at,
            reaction_s=reaction_s,
            segments=(Segment(starts_at=self.at, limit_w=limit_w, provenance="test"),),
        )
        others = tuple(e for e in self.envelopes if e.source != source)
        self.envelopes = (*others, replace(envelope, **changes))
        return self

    def falls_to_w(self, limit_w: float, *, in_s: float) -> Self:
        """A step of the first source that is known now."""
        first = self.envelopes[0]
        step = Segment(starts_at=self.at + timedelta(seconds=in_s), limit_w=limit_w)
        self.envelopes = (replace(first, segments=(*first.segments, step)), *self.envelopes[1:])
        return self

    def foresees(self, *steps: tuple[float, dict[float, float]]) -> Self:
        """The forecast of the first source: so many seconds from now on, these watts by the shares of quantiles."""
        first = self.envelopes[0]
        forecast = tuple(
            Foreseen(
                starts_at=self.at + timedelta(seconds=in_s),
                quantiles=tuple(Quantile(share=q, limit_w=w) for q, w in sorted(watts.items())),
            )
            for in_s, watts in steps
        )
        self.envelopes = (replace(first, forecast=forecast), *self.envelopes[1:])
        return self

    # -- the work ----------------------------------------------------------------------------------------------------

    def wants(self, name: str, desired: Desired) -> Self:
        """Somebody wants something of a job."""
        self.jobs[name] = replace(self.jobs[name], desired=desired)
        return self

    def job(self, name: str = "j", *, state: JobState = JobState.PENDING, **spec: Any) -> Self:
        """A job that waits (or is in `state`), submitted after all before it."""
        number = len(self.jobs) + 1
        changes = {
            k: spec.pop(k) for k in ("desired", "failures", "last_commit", "not_before_at") if k in spec
        }
        made = JobSpec(name=name, launch=spec.pop("launch", launch()), **spec)
        self.jobs[name] = Job(
            id=name,
            number=number,
            spec=made,
            submitted_at=self.at + timedelta(microseconds=number),
            state=state,
            since_at=self.at,
            **changes,
        )
        return self

    def running(self, name: str, on: str, *, gpus: int = 4, cap_w: float = 400.0, **spec: Any) -> Self:
        """A job that runs on the first free GPUs of a node, ordered, acknowledged and read back."""
        self.job(name, state=JobState.RUNNING, gpus=gpus, **spec)
        self.jobs[name] = replace(self.jobs[name], attempts=1)
        taken = {
            g for a in self.attempts.values() for p in a.placements if p.node_id == on for g in p.gpu_ids
        }
        free = [g.gpu_id for g in self.groups[on].spec.gpus if g.gpu_id not in taken][:gpus]
        self.attempts[f"{name}.1"] = Attempt(
            id=f"{name}.1",
            job_id=name,
            number=1,
            state=AttemptState.RUNNING,
            since_at=self.at,
            placements=(Placement(node_id=on, gpu_ids=tuple(free)),),
            cap_w=cap_w,
            created_at=self.at,
            running_at=self.at,
        )
        obey(self, on)
        return self

    def snapshot(self) -> Snapshot:
        """All of it, as now known."""
        return Snapshot(
            at=self.at,
            site=self.site,
            envelopes=self.envelopes,
            meter=self.meter,
            groups=dict(self.groups),
            jobs=dict(self.jobs),
            attempts=dict(self.attempts),
            settled=dict(self.settled),
            epoch=1,
            led_since_at=T0,
            last_cut_at=self.last_cut_at,
            raises_allowed=self.raises_allowed,
            used=self.used,
        )

    def under(self, policy: Policy) -> Self:
        """The policy that decides from now on, in place of Barq's own."""
        self.policy = policy
        return self

    # -- stories -----------------------------------------------------------------------------------------------------

    def does(self, *, obeyed: bool = True) -> list[str]:
        """What one more decision does, in words: all of it, and nothing else."""
        before = self.snapshot()
        return actions(before, self.decided(obeyed=obeyed))

    def settles(self, rounds: int = 6) -> Self:
        """Decide and obey until nothing changes any more. Fails if that takes longer."""
        for _ in range(rounds):
            if not self.does():
                return self
        raise AssertionError(f"still changing after {rounds} rounds: {self.does()}")

    def passes(self, seconds: float) -> Self:
        """Let time pass; guards and sources stay fresh."""
        self.at += timedelta(seconds=seconds)
        self.groups = {gid: replace(g, reported_at=self.at) for gid, g in self.groups.items()}
        self.envelopes = tuple(replace(e, read_at=self.at) for e in self.envelopes)
        return self

    def decided(self, *, obeyed: bool = True) -> Decision:
        """Decide, make it the present, and (unless told otherwise) have every guard obey and report at once."""
        decision = self.policy.decide(self.snapshot())
        self.apply(decision)
        if obeyed:
            for gid in self.groups:
                obey(self, gid)
        return decision

    def apply(self, decision: Decision) -> None:
        """Record a decision and send its orders."""
        self.jobs |= decision.jobs
        self.groups |= with_faults(self.groups, decision.faulted)
        for job in [j for j in self.jobs.values() if is_final(j.state)]:
            settle(self.settled, self.jobs.pop(job.id))
        for attempt in decision.attempts.values():
            if attempt.state is AttemptState.ENDED or attempt.id not in self.attempts:
                for gid in {p.node_id for p in attempt.placements} & self.groups.keys():
                    self.groups[gid] = replace(self.groups[gid], stirred_at=self.at)
            self.attempts[attempt.id] = attempt
        self.attempts = {k: a for k, a in self.attempts.items() if a.state is not AttemptState.ENDED}
        self.last_cut_at = self.at if decision.cut_work else self.last_cut_at
        for gid, draft in decision.drafts.items():
            self.send(gid, draft)

    def send(self, gid: str, draft: Draft) -> None:
        """An order goes out and is counted as open."""
        group = self.groups[gid]
        fence = Fence(epoch=1, seq=group.account.sent.seq + 1)
        order = OpenOrder(
            fence=fence,
            entitlement_w=draft.entitlement_w,
            fallback=draft.fallback,
            expires_at=draft.expires_at,
        )
        self.groups[gid] = replace(
            group, account=sent(group.account, order), miners_target_w=draft.miners_target_w
        )

    def facts(self, attempt_id: str, on: str, **facts: Any) -> Self:
        """What a guard reports of an attempt, in place of what it reported before."""
        group = self.groups[on]
        told = AttemptFacts(attempt_id=attempt_id, **facts)
        others = tuple(f for f in group.facts if f.attempt_id != attempt_id)
        self.groups[on] = replace(group, facts=(*others, told))
        return self


_SEEN = {Phase.RUN: Observed.RUNNING, Phase.SUSPEND: Observed.SUSPENDED, Phase.SAVE_EXIT: Observed.ENDED}


def obey(world: SiteBuilder, gid: str) -> None:
    """A guard accepts its newest order and brings it about: caps, processes, facts."""
    group = world.groups[gid]
    members = [a for a in world.attempts.values() if any(p.node_id == gid for p in a.placements)]
    holder = {g: a for a in members for p in a.placements if p.node_id == gid for g in p.gpu_ids}
    gpus = tuple(_reading(g.gpu_id, holder.get(g.gpu_id)) for g in group.spec.gpus)
    miners: tuple[MinerReading, ...] = ()
    if has_miners(group.spec):
        thrift, target_w = group.miners[0].joule_per_th if group.miners else 0.0, group.miners_target_w
        miners = (MinerReading(miner_id="m", target_w=target_w, draw_w=target_w, joule_per_th=thrift),)
    account = _with_order(world, group, members)
    world.groups[gid] = replace(
        group,
        gpus=gpus,
        miners=miners,
        facts=tuple(_facts(a, world) for a in members),
        draw_w=charged_w(group.spec, gpus, miners),
        account=reported(
            account, fence=account.sent, charged_w=charged_w(group.spec, gpus, miners), at=world.at
        ),
    )


def _with_order(world: SiteBuilder, group: Group, members: list[Attempt]) -> Account:
    """Groups that were built already running have an order to show for it."""
    if group.account.open:
        return group.account
    tiers = {a.job_id: world.jobs[a.job_id].spec.flex for a in members}
    profile = fallback_profile(group.spec, members, tiers, save_after_s=5.0, grace_s=30.0)
    order = OpenOrder(
        fence=Fence(epoch=1, seq=1),
        entitlement_w=charged_w(group.spec, [_reading(g.gpu_id, None) for g in group.spec.gpus]),
        fallback=profile,
        expires_at=world.at + timedelta(seconds=world.site.lease_s),
    )
    return sent(group.account, order)


def _reading(gpu_id: str, holder: Attempt | None) -> GpuReading:
    if holder is None or holder.phase in (Phase.SAVE_EXIT, Phase.KILL):
        return GpuReading(gpu_id=gpu_id, draw_w=A100_SXM.idle_w, cap_w=A100_SXM.min_cap_w, processes=0)
    cap_w = holder.cap_w if holder.phase is Phase.RUN else A100_SXM.min_cap_w
    return GpuReading(gpu_id=gpu_id, draw_w=A100_SXM.busy_w(cap_w), cap_w=cap_w, processes=1)


def _facts(attempt: Attempt, world: SiteBuilder) -> AttemptFacts:
    seen = _SEEN.get(attempt.phase, Observed.ENDED)
    if seen is not Observed.ENDED:
        return AttemptFacts(attempt_id=attempt.id, observed=seen, step=10)
    saved = attempt.phase is Phase.SAVE_EXIT
    return AttemptFacts(
        attempt_id=attempt.id,
        observed=seen,
        step=10,
        committed_step=10 if saved else None,
        committed_path="/c/step-10" if saved else None,
        asked_to_exit=saved,
        killed=not saved,
        exit_code=85 if saved else None,
        signal=None if saved else 9,
    )


def actions(before: Snapshot, decision: Decision) -> list[str]:
    """A decision as sorted words: start, resume, cap, suspend, save, kill, end, mine."""
    words = [w for a in decision.attempts.values() if (w := _action(before.attempts.get(a.id), a))]
    for gid, draft in decision.drafts.items():
        if abs(draft.miners_target_w - before.groups[gid].miners_target_w) > 0.5:
            words.append(f"mine {draft.miners_target_w:.0f} W on {gid}")
    return sorted(words)


def _action(old: Attempt | None, new: Attempt) -> str:
    nodes = "+".join(p.node_id for p in new.placements)
    match new:
        case Attempt(state=AttemptState.ENDED):
            return f"end {new.job_id}: {new.outcome}"
        case Attempt() if old is None:
            return f"start {new.job_id} on {nodes} at {new.cap_w:.0f} W"
        case Attempt(phase=Phase.RUN) if old.phase is Phase.SUSPEND:
            return f"resume {new.job_id} at {new.cap_w:.0f} W"
        case Attempt(phase=phase) if phase is not old.phase:
            return f"{_VERBS[phase]} {new.job_id}"
        case Attempt() if new.cap_w != old.cap_w:
            return f"cap {new.job_id} at {new.cap_w:.0f} W"
    return ""


_VERBS = {Phase.SUSPEND: "suspend", Phase.SAVE_EXIT: "save", Phase.KILL: "kill"}


def site(**policy: Any) -> SiteBuilder:
    """Start a site. Defaults: firm 5 kW, no overhead, no margin, no dwell time."""
    return SiteBuilder(**policy)


def commit(step: int) -> CommitRef:
    """A verified commit."""
    return CommitRef(path=f"/c/step-{step}", step=step)


__all__ = ["T0", "Desired", "JobState", "SiteBuilder", "actions", "commit", "launch", "obey", "site"]
