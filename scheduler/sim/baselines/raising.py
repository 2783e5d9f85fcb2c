"""Raises of a baseline: who is wanted, then what of it the open orders leave room for already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from scheduler.core.jobs import Attempt, JobState, PauseCause, Phase
from scheduler.core.lifecycle import moved
from scheduler.core.plan import Plan
from scheduler.core.reasons import Event
from scheduler.core.room import Room as Nodes
from scheduler.sim.baselines.caps import Caps
from scheduler.sim.baselines.room import Room

_TEMPORARY = (PauseCause.POWER_WITHDRAWN, PauseCause.EMERGENCY_STOP)
"""What is held for these goes on by itself once there is power."""


class Raising:
    """The raises of one round."""

    def __init__(self, plan: Plan, nodes: Nodes, caps: Caps, limit_w: float) -> None:
        self._plan, self._caps, self._limit_w = plan, caps, limit_w
        self.room = Room(plan, nodes, caps, limit_w)

    def resume(self) -> None:
        """Held work first, the oldest job first."""
        held = [a for a in self._plan.in_phase(Phase.SUSPEND) if a.pause_cause in _TEMPORARY]
        for attempt in sorted(held, key=lambda a: self._plan.jobs[a.job_id].number):
            self.room.resume(attempt)

    def settle(self) -> float:
        """Give all their caps, lower ones at once; take back what does not fit yet. The site watts kept for that."""
        plan, wanted = self._plan, self.room.wanted
        fresh = {a.id for a in wanted}
        caps = self._caps.targets(plan, self._limit_w)
        for attempt in plan.running():
            cap_w = caps[attempt.id]
            if cap_w < attempt.cap_w or (attempt.id in fresh and cap_w != attempt.cap_w):
                plan.change(attempt, cap_w=cap_w)
        kept_w = self._take_back(wanted)
        for original in wanted:
            self._confirm(original)
        return kept_w + self._lift(caps)

    def _take_back(self, wanted: list[Attempt]) -> float:
        """The last wanted first, until the rest fits beside all open orders; `wanted` keeps those that do."""
        plan, before_w = self._plan, self._plan.nodes_w()
        while wanted and plan.exposed_w() > self._limit_w:
            original = wanted.pop()
            if original.phase is Phase.SUSPEND:
                plan.put(original)
            else:
                plan.forget(original)
        return before_w - plan.nodes_w()

    def _confirm(self, original: Attempt) -> None:
        plan, attempt = self._plan, self._plan.attempts[original.id]
        job = plan.jobs[attempt.job_id]
        if original.phase is Phase.SUSPEND:
            plan.change(attempt, pause_cause=None)
            plan.events.append(
                told(plan, attempt, "job.resumed", f"goes on at {attempt.cap_w:.0f} W per GPU")
            )
            return
        starting = moved(job, JobState.STARTING, plan.at)
        plan.jobs[job.id] = replace(starting, attempts=attempt.number, not_before_at=None)
        plan.events.append(told(plan, attempt, "job.starting", f"starts at {attempt.cap_w:.0f} W per GPU"))

    def _lift(self, caps: Mapping[str, float]) -> float:
        """Lift caps, the oldest job first, while all open orders leave room; the watts kept for the others."""
        plan = self._plan
        lower = [a for a in plan.running() if a.cap_w < caps[a.id]]
        kept_w = 0.0
        for attempt in sorted(lower, key=lambda a: plan.jobs[a.job_id].number):
            lifted = plan.change(attempt, cap_w=caps[attempt.id])
            if plan.exposed_w() > self._limit_w:
                kept_w += plan.freed_w(lifted, plan.model(attempt).charge_w(attempt.cap_w))
                plan.put(attempt)
        return kept_w


def told(plan: Plan, attempt: Attempt, kind: str, what: str) -> Event:
    """Something that a baseline did to an attempt."""
    return Event(
        at=plan.at,
        kind=kind,
        text=f"{attempt.job_id} {what}",
        job_id=attempt.job_id,
        attempt_id=attempt.id,
        data={"cap_w": attempt.cap_w, "gpus": attempt.gpu_count},
    )
