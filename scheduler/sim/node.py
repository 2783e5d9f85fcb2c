"""A simulated node: its guard carries out orders in virtual time, its GPUs draw by the power model."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from scheduler.core.jobs import Phase
from scheduler.core.orders import (
    AttemptFacts,
    AttemptOrder,
    GpuReading,
    GuardReport,
    NodePower,
    Observed,
    Order,
)
from scheduler.sim.clock import us
from scheduler.sim.gang import Gang, Member
from scheduler.sim.guard import Leased

Gangs = Callable[[AttemptOrder], Gang]
"""The gang of an attempt, made where it is the first member that starts."""

_REMEMBERED = 256  #: readings of a node that may well be seen again


@lru_cache(maxsize=65536)
def _reading(gpu_id: str, draw_w: float, cap_w: float, processes: int) -> GpuReading:
    return GpuReading(gpu_id=gpu_id, draw_w=draw_w, cap_w=cap_w, processes=processes)


class SimNode(Leased):
    """One node. A member holds its GPUs until it has ended; then whoever waits for them starts."""

    def __init__(self, *args: Any, gangs: Gangs, **kwargs: Any) -> None:  # noqa: ANN401 - as of `Leased`
        super().__init__(*args, **kwargs)
        self.power = NodePower.ON
        self.members: dict[str, Member] = {}  #: by attempt
        self.busy_w = 0.0  #: of GPUs that compute
        self.rest_w = 0.0  #: of everything else
        self._gangs = gangs
        self._model = self.spec.gpus[0].power
        self._idle = tuple(
            _reading(g.gpu_id, self._model.idle_w, self._model.min_cap_w, 0) for g in self.spec.gpus
        )
        self._wants_standby = False
        self._has_absent = False
        self._due_us = -1  #: when it is down, or up
        self._is_measured = False
        self._read: dict[tuple[tuple[tuple[str, ...], float, float], ...], tuple[GpuReading, ...]] = {}
        self.measure()

    # -- what happens to it ----------------------------------------------------------------------------------------

    def take(self, order: Order) -> None:
        """An order arrives. What ended, and is not asked for any more, is forgotten."""
        super().take(order)
        if self._memory.order is order:
            over = [i for i, m in self.members.items() if not m.lives]
            named = {a.attempt_id for a in order.attempts} if over else ()
            for attempt_id in over:
                if attempt_id not in named:
                    del self.members[attempt_id]

    def follow(self) -> None:
        """Tell each member what it is to do, then start what can start, then see to the host."""
        stands = self.standing()
        self._fell(stands)
        ordered = {a.attempt_id: a for a in stands.attempts}
        for attempt_id, member in list(self.members.items()):
            if member.lives:
                self._tell(member, ordered.get(attempt_id))
        self._start(() if stands.in_fallback else stands.attempts)
        order = self._memory.order
        self._wants_standby = order is not None and order.standby  # nobody wakes it but who takes over
        self._see_to_host()

    def freed(self) -> None:
        """A member ended: whoever waits for its GPUs starts, and a node that is to sleep sleeps."""
        self.redrawn()
        if self._has_absent:
            stands = self.standing()
            self._start(() if stands.in_fallback else stands.attempts)
        self._see_to_host()

    def redrawn(self) -> None:
        """Its draw may be another now."""
        self._is_measured = False
        self._touched(self)

    def changed(self) -> None:
        """There is something new to report, and its draw may be another."""
        self._is_measured = False
        super().changed()

    def go_dark(self) -> None:
        """The host loses its power: no process is left."""
        self.is_dark, self.power, self._due_us = True, NodePower.STANDBY, -1
        for member in list(self.members.values()):
            member.gang.vanish(member)
        self.redrawn()

    def wake(self) -> None:
        """Power is back: the host boots, and its guard knows which attempts it had."""
        self.is_dark, self.power, self._wants_standby = False, NodePower.BOOTING, False
        self.reboot()
        self._later(self.spec.standby.boot_s if self.spec.standby else 0.0)

    # -- what is seen of it ----------------------------------------------------------------------------------------

    @property
    def is_powered(self) -> bool:
        """Whether its host is on, or on its way."""
        return self.power is not NodePower.STANDBY

    def measure(self) -> None:
        """Add up what it draws now."""
        if self._is_measured:
            return
        self._is_measured = True
        busy_w, held_w, free = 0.0, 0.0, len(self.spec.gpus)
        if not self.is_powered:
            standby = self.spec.standby
            self.busy_w, self.rest_w = 0.0, 0.0 if self.is_dark or standby is None else standby.draw_w
            return
        for member in self.members.values():
            if member.lives:
                count = len(member.gpu_ids)
                free -= count
                if member.gang.speed > 0:
                    busy_w += count * member.gpu_w
                else:
                    held_w += count * member.gpu_w
        self.busy_w, self.rest_w = busy_w, self.spec.base_w + held_w + free * self._model.idle_w

    def draw_w(self) -> float:
        """What it draws."""
        self.measure()
        return self.busy_w + self.rest_w

    def report(self) -> GuardReport:
        """Everything, truthfully."""
        return self._report(
            draw_w=self.draw_w(),
            gpus=self._readings() if self.is_powered else (),
            attempts=(*(m.facts() for m in self.members.values()), *self._absent()),
            power=self.power,
        )

    def _readings(self) -> tuple[GpuReading, ...]:
        living = tuple((m.gpu_ids, m.gpu_w, m.enforced_w) for m in self.members.values() if m.lives)
        if not living:
            return self._idle
        readings = self._read.get(living)
        if readings is None:
            held = {g: _reading(g, draw_w, cap_w, 1) for gpu_ids, draw_w, cap_w in living for g in gpu_ids}
            readings = tuple(held.get(r.gpu_id, r) for r in self._idle)
            if len(self._read) >= _REMEMBERED:
                self._read.clear()
            self._read[living] = readings
        return readings

    def _absent(self) -> list[AttemptFacts]:
        ordered = self._memory.order.attempts if self._memory.order else ()
        missing = [o.attempt_id for o in ordered if o.attempt_id not in self.members]
        return [AttemptFacts(attempt_id=a, observed=Observed.ABSENT) for a in missing]

    # -- inside ----------------------------------------------------------------------------------------------------

    @staticmethod
    def _tell(member: Member, order: AttemptOrder | None) -> None:
        if order is None:
            member.gang.tell(member, Phase.KILL, member.cap_w)
            return
        member.gang.give(member, order.launch.grace_s)
        member.gang.saves_every(order.save_every_s)
        member.gang.tell(member, order.phase, order.cap_w)

    def _start(self, orders: tuple[AttemptOrder, ...]) -> None:
        """Start what was never seen here, on GPUs that nobody holds."""
        new = [o for o in orders if o.attempt_id not in self.members and o.phase is Phase.RUN]
        self._has_absent = bool(new)
        if not new or self.power is not NodePower.ON:
            return
        held = {g for m in self.members.values() if m.lives for g in m.gpu_ids}
        for order in new:
            if held.isdisjoint(order.gpu_ids):
                held.update(order.gpu_ids)
                self.changed()
                member = self._gangs(order).join(self, order.gpu_ids, order.cap_w)
                member.grace_s = order.launch.grace_s
                member.gang.saves_every(order.save_every_s)
                self.members[order.attempt_id] = member
        self._has_absent = any(o.attempt_id not in self.members for o in new)

    def _see_to_host(self) -> None:
        """Go to standby when told to and nothing is left here; come back when told to."""
        if self.spec.standby is None or self.is_dark:
            return
        if self.power is NodePower.ON:
            leaves = self._wants_standby and not any(m.lives for m in self.members.values())
            if leaves and self._due_us < 0:
                self._later(self.spec.standby.down_s)
            elif not leaves:
                self._due_us = -1  # called back before it was down
        elif self.power is NodePower.STANDBY and not self._wants_standby:
            self._show(NodePower.BOOTING)
            self._later(self.spec.standby.boot_s)

    def _later(self, seconds: float) -> None:
        self._due_us = self.timeline.now_us + us(seconds)
        self.timeline.at(self._due_us, self._arrive, self._due_us)

    def _arrive(self, due_us: int) -> None:
        """It is down, or up."""
        if due_us != self._due_us:
            return
        self._due_us = -1
        self._show(NodePower.STANDBY if self.power is NodePower.ON else NodePower.ON)
        self.follow()

    def _show(self, power: NodePower) -> None:
        self.power = power
        self.changed()
