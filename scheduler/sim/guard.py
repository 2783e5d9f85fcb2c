"""What all simulated guards have in common: the real lease, a version that rises with each change, and reports."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from scheduler.core.entitlement import idle_w
from scheduler.core.lease import GuardMemory, Standing, accept, after_boot, standing
from scheduler.core.orders import (
    NO_FENCE,
    AttemptFacts,
    GpuReading,
    GroupKind,
    GroupSpec,
    GuardReport,
    MinerReading,
    MinerWishes,
    NodePower,
    Order,
)
from scheduler.sim.clock import US, Timeline, us

_AFTER_EXPIRY_US = 1


class Leased(ABC):
    """A simulated guard: the half that keeps orders and their leases. What they lead to is `follow`'s business."""

    def __init__(
        self,
        spec: GroupSpec,
        timeline: Timeline,
        *,
        save_after_s: float,
        touched: Callable[[Leased], None],
        until_us: int,
    ) -> None:
        self.spec = spec
        self.timeline = timeline
        self.version = 1
        self.told_version = 0  #: of the last report
        self.risen = 0  #: how often a draw came up to its target, which is no news but in an inventory
        self.is_dark = False  #: without power: it neither hears nor speaks
        self._boots = 1
        self._save_after_s = save_after_s
        self._touched = touched
        self._until_us = until_us  #: what is due later is of no interest
        self._in_fallback = False
        self._memory = GuardMemory(
            group_id=spec.group_id, boot_id=f"{spec.group_id}-boot-1", idle_w=idle_w(spec)
        )

    def take(self, order: Order) -> None:
        """An order arrives: it stands from now on, unless it is late, or for an earlier boot."""
        self._memory, refusal = accept(self._memory, order, now_boottime_s=self.timeline.monotonic_s())
        if refusal is None:
            self._watch_lease(order)
            self.follow()

    def standing(self) -> Standing:
        """What the lease allows now."""
        return standing(
            self._memory, now_boottime_s=self.timeline.monotonic_s(), save_after_s=self._save_after_s
        )

    def wishes(self) -> MinerWishes:
        """What people want of single machines, by the newest order."""
        order = self._memory.order
        return () if order is None else order.miner_wishes

    def entitled_w(self) -> float:
        """What the group may draw now: a lease that lapses at this very instant still stands."""
        a_moment_ago_s = self.timeline.monotonic_s() - 2 * _AFTER_EXPIRY_US / US
        stood = standing(self._memory, now_boottime_s=a_moment_ago_s, save_after_s=self._save_after_s)
        return max(stood.entitlement_w, self.standing().entitlement_w)

    @abstractmethod
    def follow(self) -> None:
        """Bring about what stands now."""

    @abstractmethod
    def report(self) -> GuardReport:
        """Everything, truthfully."""

    @abstractmethod
    def draw_w(self) -> float:
        """What the group draws."""

    @abstractmethod
    def go_dark(self) -> None:
        """Power is lost: nothing is drawn, nothing heard, nothing said."""

    @abstractmethod
    def wake(self) -> None:
        """Power is back."""

    def changed(self) -> None:
        """There is something new to report."""
        self.version += 1
        self._touched(self)

    def reboot(self) -> None:
        """A new boot: the order of the one before is forgotten, its fence is not."""
        self._boots += 1
        self._memory = after_boot(self._memory, f"{self.spec.group_id}-boot-{self._boots}")
        self._in_fallback = False
        self.changed()

    def _watch_lease(self, order: Order) -> None:
        """Look again when the order lapses, and when held work has to leave, unless a later one stands by then."""
        for late_s in (0.0, self._save_after_s):
            at_us = us(order.expires_boottime_s + late_s) + _AFTER_EXPIRY_US
            if at_us < self._until_us:
                self.timeline.at(at_us, self._lapsed, order)

    def _lapsed(self, order: Order) -> None:
        if order is self._memory.order and not self.is_dark:
            self.follow()

    def _fell(self, stands: Standing) -> None:
        """Note whether the lease has lapsed."""
        fallen = stands.in_fallback and self._memory.seen != NO_FENCE
        if fallen is not self._in_fallback:
            self._in_fallback = fallen
            self.changed()

    def _report(
        self,
        *,
        draw_w: float,
        gpus: tuple[GpuReading, ...] = (),
        miners: tuple[MinerReading, ...] = (),
        attempts: tuple[AttemptFacts, ...] = (),
        power: NodePower = NodePower.ON,
    ) -> GuardReport:
        memory, order = self._memory, self._memory.order
        self.told_version = self.version
        return GuardReport(
            spec=self.spec,
            boot_id=memory.boot_id,
            boottime_s=self.timeline.monotonic_s(),
            version=self.version,
            accepted=memory.seen,
            expires_boottime_s=order.expires_boottime_s if order else 0.0,
            entitlement_w=order.entitlement_w if order else memory.idle_w,
            fallback=order.fallback if order else (),
            in_fallback=self._in_fallback,
            draw_w=draw_w,
            gpus=gpus,
            miners=miners,
            attempts=attempts,
            stop=memory.stop,
            power=power,
            inventory_version=self.version + self.risen if self.spec.kind is GroupKind.MINERS else 0,
        )
