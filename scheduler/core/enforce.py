"""What a guard tells its devices and supervisors next. Pure: the guard carries it out and looks again.

Guarantees, for any order however wrong, and whatever the devices do:

- Nothing is *raised* (an attempt started or resumed, a cap or the miners' target increased) unless the charge
  after all raises of this step, with nothing counted as lowered that was not read back, is within the entitlement.
- What has to fall is told to fall at once. GPUs of attempts that do not run, and free ones, get the minimum cap.
- An attempt starts once, on GPUs without any other attempt or process, and never after the lease expired.
- Whoever was told to leave is never called back; whoever is not in the order that stands is ended.
- If what runs does not fit the entitlement, it is shed in the order of `scheduler.core.restraint`.

The guarantee for miners rests on a split of the target that, when the sum rises, lowers no miner.
"""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.core.jobs import Phase
from scheduler.core.lease import Standing
from scheduler.core.orders import AttemptOrder
from scheduler.core.presence import Present, Seen
from scheduler.core.restraint import EPSILON_W, Restraint, restrain

#: A draw this far over the entitlement is more than a sensor's noise: nothing is raised until it falls.
DRAW_SLACK = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseCommand:
    """What one present attempt is told, and why."""

    attempt_id: str
    phase: Phase
    reason: str
    save_every_s: float | None = None  #: as in its order
    grace_s: float | None = None  #: to save and exit, as in the order that stands; None = it is in none


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """The whole state that the guard brings about now. `caps_w` names each GPU of the group once."""

    phases: tuple[PhaseCommand, ...] = ()
    caps_w: tuple[tuple[str, float], ...] = ()
    miners_target_w: float = 0.0
    starts: tuple[AttemptOrder, ...] = ()
    over_w: float = 0.0  #: watts over the entitlement that nothing here can shed


def gist(standing: Standing, seen: Seen) -> tuple[object, ...]:
    """What `enforce` goes by: looks that agree in this get the same commands, whatever a GPU draws just then."""
    gpus = tuple((gpu.gpu_id, gpu.cap_w, gpu.processes > 0) for gpu in seen.gpus)
    others = (seen.spec, seen.miners, seen.attempts, seen.ended, seen.cap_floors_w, seen.filled)
    return standing, gpus, others, _is_over(seen, standing.entitlement_w)


def _is_over(seen: Seen, limit_w: float) -> bool:
    return seen.draw_w() > limit_w * (1 + DRAW_SLACK)


def enforce(standing: Standing, seen: Seen) -> Commands:
    """The next commands. Repeating it while nothing changes repeats them."""
    wanted = restrain(standing, seen)
    step = _Step(wanted, seen)
    step.raise_what_fits()
    starts = step.start_what_fits(_startable(standing, seen))
    orders = {o.attempt_id: o for o in standing.attempts}
    return Commands(
        phases=tuple(
            _command(wanted, a, step.phases[a.attempt_id], orders.get(a.attempt_id)) for a in seen.attempts
        ),
        caps_w=tuple(step.caps_w.items()),
        miners_target_w=step.miners_target_w(),
        starts=starts,
        over_w=wanted.over_w,
    )


def _command(wanted: Restraint, attempt: Present, phase: Phase, order: AttemptOrder | None) -> PhaseCommand:
    reason = wanted.reasons[attempt.attempt_id]
    if phase is not wanted.phases[attempt.attempt_id]:
        reason = "waiting until others have given back their watts"
    return PhaseCommand(
        attempt_id=attempt.attempt_id,
        phase=phase,
        reason=reason,
        save_every_s=order.save_every_s if order else None,
        grace_s=order.launch.grace_s if order else None,
    )


def _startable(standing: Standing, seen: Seen) -> list[AttemptOrder]:
    """Ordered to run, never seen here, on GPUs that nobody holds; the firmest and most important first."""
    if standing.in_fallback:
        return []
    present = {a.attempt_id for a in seen.attempts}
    jobs = {a.job_id for a in seen.attempts}
    ready = [
        order
        for order in standing.attempts
        if order.phase is Phase.RUN
        and order.attempt_id not in present | seen.ended
        and order.job_id not in jobs
        and all(seen.has(g) and not seen.is_busy(g) and g not in seen.filled for g in order.gpu_ids)
    ]
    return sorted(ready, key=lambda o: (o.tier, -o.priority, o.attempt_id))


class _Step:
    """Lowers at once, then raises one after another until the first that does not fit."""

    def __init__(self, wanted: Restraint, seen: Seen) -> None:
        self._wanted = wanted
        self._seen = seen
        self._room_w = wanted.limit_w - seen.charged_w()
        self._is_full = _is_over(seen, wanted.limit_w)
        self.phases = dict(wanted.phases)
        self.caps_w = {g.gpu_id: self._lowered_w(g.gpu_id) for g in seen.spec.gpus}

    def raise_what_fits(self) -> None:
        """Resume attempts and raise their caps, the firmest and most important first."""
        for attempt in sorted(self._seen.attempts, key=lambda a: (a.tier, -a.priority, a.attempt_id)):
            if self.phases[attempt.attempt_id] is not Phase.RUN:
                continue
            rises = {g: w for g in attempt.gpu_ids if (w := self._rise_w(g)) > 0}
            resumes = attempt.phase is Phase.SUSPEND
            if not (rises or resumes):
                continue
            if self._take(sum(self._cost_w(g) for g in rises)):
                self.caps_w |= {g: self._wanted.cap_w(g) for g in rises}
            elif resumes:
                self._keep_held(attempt)

    def start_what_fits(self, ready: list[AttemptOrder]) -> tuple[AttemptOrder, ...]:
        """Of `ready`, those that are started now; their GPUs get their caps in the same step."""
        starts: list[AttemptOrder] = []
        for order in ready:
            taken = {g for other in starts for g in other.gpu_ids}
            if taken & set(order.gpu_ids) or order.job_id in {other.job_id for other in starts}:
                continue
            caps_w = {g: self._seen.clamp_w(g, order.cap_w) for g in order.gpu_ids}
            if self._take(sum(self._start_cost_w(g, cap_w) for g, cap_w in caps_w.items())):
                starts.append(order)
                self.caps_w |= caps_w
        return tuple(starts)

    def miners_target_w(self) -> float:
        """The miners' target: lowered at once, raised as far as there is room."""
        now_w = sum(m.target_w for m in self._seen.miners)
        rise_w = self._wanted.miners_target_w - now_w
        if rise_w > 0:
            rise_w = 0.0 if self._is_full else max(0.0, min(rise_w, self._room_w))
        return now_w + rise_w

    def _take(self, cost_w: float) -> bool:
        """Whether `cost_w` more fits; once something did not, nothing after it is tried."""
        self._is_full = self._is_full or cost_w > self._room_w + EPSILON_W
        if not self._is_full:
            self._room_w -= cost_w
        return not self._is_full

    def _keep_held(self, attempt: Present) -> None:
        self.phases[attempt.attempt_id] = Phase.SUSPEND
        self.caps_w |= {g: self._seen.clamp_w(g, 0.0) for g in attempt.gpu_ids if self._seen.has(g)}

    def _lowered_w(self, gpu_id: str) -> float:
        return min(
            self._wanted.cap_w(gpu_id), max(self._seen.reading(gpu_id).cap_w, self._seen.clamp_w(gpu_id, 0.0))
        )

    def _rise_w(self, gpu_id: str) -> float:
        return self._wanted.cap_w(gpu_id) - self.caps_w[gpu_id] if self._seen.has(gpu_id) else 0.0

    def _cost_w(self, gpu_id: str) -> float:
        model = self._seen.model(gpu_id)
        return max(0.0, model.charge_w(self._wanted.cap_w(gpu_id)) - self._seen.gpu_charged_w(gpu_id))

    def _start_cost_w(self, gpu_id: str, cap_w: float) -> float:
        enforced_w = max(cap_w, self._seen.reading(gpu_id).cap_w)
        return max(0.0, self._seen.model(gpu_id).charge_w(enforced_w) - self._seen.gpu_charged_w(gpu_id))
