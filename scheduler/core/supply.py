"""The watts that are to come: what sources announce or foresee, and what running jobs give back at their limits."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate

from scheduler.core.envelope import changes
from scheduler.core.foresight import planned, turns
from scheduler.core.grace import out_at
from scheduler.core.jobs import Attempt, Job, Phase
from scheduler.core.plan import EPSILON_W, Plan, limit_now, usable_w
from scheduler.core.presence import LEAVING
from scheduler.core.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """From here on so much may be entitled, until the next known change."""

    at: datetime
    usable_w: float


class Supply:
    """When there is power for so much more. Site watts, all work at its knees: caps are lowered before anybody waits.

    `share` is the quantile that is planned on where sources foresee the limit; `gpus` are all that take work; `rises_w`
    what one draws more than idle under each of the shapes that wait.
    """

    def __init__(
        self, snapshot: Snapshot, plan: Plan, *, share: float, gpus: int, rises_w: Sequence[float]
    ) -> None:
        self._steps = _steps(snapshot, share)
        running = {a.id: rise_w(plan, a) for a in plan.running()}
        ends = sorted(
            (t, w) for k, w in running.items() if (t := ends_at(plan, plan.attempts[k])) is not None
        )
        self._ends_at = [t for t, _ in ends]
        self._freed_w = [0.0, *accumulate(w for _, w in ends)]
        most_w = max([*rises_w, *(w / plan.attempts[k].gpu_count for k, w in running.items())], default=0.0)
        self.rest_w = max(
            0.0, gpus * most_w - sum(running.values())
        )  #: if all GPUs computed, beyond who does

    def freed_w(self, at: datetime) -> float:
        """What running jobs have given back by then, if they use their whole time limits."""
        return self._freed_w[bisect_right(self._ends_at, at)]

    def first(self, needed_w: float, *, lasts_s: float, from_at: datetime) -> datetime | None:
        """The first known instant from `from_at` on with `needed_w`, less what was given back, for `lasts_s`."""
        known = {s.at for s in self._steps} | set(self._ends_at)
        for at in [from_at, *sorted(t for t in known if t > from_at)]:
            least_w = min(s.usable_w for s in self._within(at, at + timedelta(seconds=lasts_s)))
            if needed_w - self.freed_w(at) <= least_w + EPSILON_W:
                return at
        return None

    def lasting(self, needed_w: float) -> datetime | None:
        """The instant from which the limit is never known to be below `needed_w`."""
        found: datetime | None = None
        for step in reversed(self._steps):
            if needed_w > step.usable_w + EPSILON_W:
                break
            found = step.at
        return found

    def _within(self, begins_at: datetime, ends_at: datetime) -> list[_Step]:
        """The step in force at the beginning, and those before the end."""
        first = bisect_right(self._steps, begins_at, key=lambda s: s.at) - 1
        return [s for s in self._steps[max(0, first) :] if s.at < ends_at or s.at <= begins_at]


def ends_at(plan: Plan, attempt: Attempt) -> datetime | None:
    """When an attempt gives its GPUs back at the latest; None = nobody has said."""
    if attempt.phase in LEAVING:
        return max(plan.at, out_at(plan, attempt))
    may_run_s = left_s(plan.jobs[attempt.job_id])
    if may_run_s is None or attempt.phase is not Phase.RUN:
        return None
    return max(plan.at, (attempt.running_at or plan.at) + timedelta(seconds=may_run_s))


def left_s(job: Job) -> float | None:
    """How long a job may still run from a start; None = as long as it likes."""
    limit_s = job.spec.time_limit_s
    return None if limit_s is None else max(0.0, limit_s - job.ran_s)


def rise_w(plan: Plan, attempt: Attempt) -> float:
    """Site watts that it draws more than its GPUs did idle, as it counts in `Plan.at_knees_w`."""
    model, kind = plan.model(attempt), plan.kind_of(attempt)
    cap_w = min(attempt.cap_w, plan.knee_w(attempt))
    if kind is not None and attempt.cap_w >= kind.floor_w and not plan.zones.limited:
        cap_w = kind.knee_w
    return max(0.0, plan.site.overhead * attempt.gpu_count * (model.charge_w(cap_w) - model.idle_w))


def _steps(snapshot: Snapshot, share: float) -> list[_Step]:
    """What may be entitled from now on, as far as is announced or foreseen."""
    at, site, envelopes = snapshot.at, snapshot.site, snapshot.envelopes
    until = at + timedelta(seconds=site.horizon_s)

    def planned_w(t: datetime) -> float:
        return usable_w(snapshot, planned(envelopes, t, share, now=at, firm_w=site.firm_w)[0])

    first_w = min(usable_w(snapshot, limit_now(snapshot)), planned_w(at))
    known = {*changes(envelopes, after=at, until=until), *turns(envelopes, after=at, until=until)}
    return [_Step(at=at, usable_w=first_w), *(_Step(at=t, usable_w=planned_w(t)) for t in sorted(known))]
