"""One machine that may be switched off while it is not needed: what is to be done with it, and what is said for it.

Pure but for what it remembers: times are arguments, in seconds of one clock that never jumps. A machine that is off has
no guard, so its berth speaks in its place, and says only what its controller showed: `standby` while that says off,
else `booting`, at which a machine counts at its full idle draw and gets no work. Whatever is in doubt counts as on.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import Final

from scheduler.connections.bmc_options import StandbySettings
from scheduler.connections.redfish_documents import HostState
from scheduler.core.entitlement import idle_w
from scheduler.core.orders import GuardReport, NodePower, Observed, Order

HEARD_S: Final = 5.0  #: a guard that spoke within this is there
SEEN_S: Final = 20.0  #: a state that was read within this is so
CONTRADICTS_S: Final = 15.0  #: off by its controller for so long, and its guard speaks: they are two machines
FIRST_RETRY_S: Final = 10.0
LAST_RETRY_S: Final = 300.0
CUT_GRACE_S: Final = 30.0  #: to be off after its power was cut, before that is an alarm
LATE_BOOTS: Final = 2.0  #: so many boot times without a word of the guard are an alarm


class Stage(StrEnum):
    """Where a machine is on its way."""

    AWAKE = "awake"  #: its guard speaks for itself
    LEAVING = "leaving"  #: told to shut down
    OFF = "off"
    WAKING = "waking"  #: on, or told to be; its guard was not heard yet


class Step(StrEnum):
    """What its controller is to be told now."""

    SHUT_DOWN = "shut down"
    CUT = "cut the power"
    TURN_ON = "turn on"


class Berth:
    """A machine, its guard's last word, the newest order for it, and what its controller shows."""

    def __init__(self, settings: StandbySettings, *, last: GuardReport | None = None, now_s: float) -> None:
        """`last` is what its guard said before it was switched off by an earlier scheduler."""
        self._settings = settings
        self.stage = Stage.AWAKE if last is None else Stage.OFF
        self.last = last
        self.barred = ""  #: why it is never switched off again
        self._last_s = self._stage_s = now_s  #: of the last report, and since when it is at this stage
        self._order: Order | None = None
        self._wanted_s: float | None = None  #: since when it is to be in standby
        self._seen: HostState | None = None
        self._seen_s = float("-inf")
        self._off_s: float | None = None  #: since when its controller says that it is off
        self._told_s = float("-inf")
        self._retry_s = FIRST_RETRY_S
        self._cut_s: float | None = None
        self._is_told = False  #: and it was accepted, at this stage
        self._changes = 0
        self._spoken_from_s = now_s  #: when its guard said `last`
        #: A scheduler that ended may have told it to shut down just now: its guard counts once that had its time.
        self._heeds_s = float("-inf") if last is None else now_s + settings.down_s

    # -- what happens ----------------------------------------------------------------------------------------------

    def take(self, order: Order, now_s: float) -> bool:
        """An order for it. Whether it is answered for here: its guard is not to act on any."""
        self._order = order
        self._wanted_s = (self._wanted_s or now_s) if order.standby else None
        if self.stage is not Stage.AWAKE:
            self._changes += 1
        return self.stage is not Stage.AWAKE

    def hear(self, report: GuardReport, now_s: float) -> GuardReport | None:
        """Its guard spoke. What is handed on: nothing while the berth speaks for it."""
        told = replace(report, spec=replace(report.spec, standby=self._settings.standby()))
        if self.stage is Stage.WAKING and self._is_on(now_s) and now_s >= self._heeds_s:
            self._go(Stage.AWAKE, now_s)
        elif self._contradicts(now_s):
            self.barred = (
                f"the controller of {report.spec.group_id} says that it is off, and its guard speaks: url names "
                "another machine, which was switched on again; correct bmcs"
            )
            self._go(Stage.AWAKE, now_s)
        if self.stage is Stage.AWAKE:
            self.last, self._last_s = told, now_s
            return replace(told, alarms=(*told.alarms, self.barred)) if self.barred else told
        self._last_s = now_s if self.stage is Stage.LEAVING else self._last_s
        return None

    def see(self, state: HostState, now_s: float) -> None:
        """Its controller shows this."""
        self._off_s = (
            None if state is not HostState.OFF else (self._off_s if self._off_s is not None else now_s)
        )
        if state is not self._seen:
            self._changes += 1
        if state is HostState.OFF:
            self._heeds_s = float("-inf")
        self._seen, self._seen_s = state, now_s
        if state is HostState.OFF and self.stage is Stage.LEAVING:
            self._go(Stage.OFF, now_s)
        elif state is HostState.ON and self.stage is Stage.OFF:
            self._go(Stage.WAKING, now_s)  # by somebody's hand, or by a button

    def told(self, step: Step, now_s: float, *, accepted: bool) -> None:
        """Its controller was told, or could not be."""
        self._is_told |= accepted
        self._retry_s = (
            min(LAST_RETRY_S, 2 * self._retry_s) if self._told_s >= self._stage_s else FIRST_RETRY_S
        )
        self._told_s = now_s
        if step is Step.CUT and self._cut_s is None:
            self._cut_s = now_s

    # -- what follows ----------------------------------------------------------------------------------------------

    def may_leave(self, now_s: float) -> bool:
        """Whether it may be switched off now: it is to be, its guard agreed to the newest order, nothing is left."""
        last, order = self.last, self._order
        if self.stage is not Stage.AWAKE or last is None or order is None or self.barred:
            return False
        is_wanted = self._wanted_s is not None and now_s - self._wanted_s >= self._settings.after_s
        is_agreed = last.accepted == order.fence and not last.in_fallback and not order.attempts
        is_stopped = last.stop is not None or order.stop is not None
        is_heard = now_s - self._last_s <= HEARD_S
        return is_wanted and is_agreed and _is_empty(last) and not is_stopped and is_heard

    def leave(self, now_s: float) -> None:
        """From now on its guard is spoken for, and acts on no order any more."""
        self._go(Stage.LEAVING, now_s)

    def step(self, now_s: float) -> Step | None:
        """What its controller is to be told now, None while nothing is."""
        if self._told_s >= self._stage_s and now_s - self._told_s < self._retry_s:
            return None
        match self.stage:
            case Stage.LEAVING:
                return self._to_leave(now_s)
            case Stage.OFF if self._is_wanted_on() and self._is_off(now_s):
                self._go(Stage.WAKING, now_s)
                return Step.TURN_ON
            case Stage.WAKING if self._is_off(now_s):
                return Step.TURN_ON
            case Stage.AWAKE if self.barred and self._is_off(now_s):
                return Step.TURN_ON
            case _:
                return None

    def speaks(self, now_s: float) -> GuardReport | None:
        """What is said in its guard's place, None while that speaks for itself."""
        if self.stage is Stage.AWAKE or self.last is None:
            return None
        standby, order, last = self._settings.standby(), self._order, self.last
        is_off = self.stage is Stage.OFF and self._is_off(now_s)
        report = replace(
            last,
            boottime_s=last.boottime_s + max(0.0, now_s - self._spoken_from_s),
            version=last.version + 1 + self._changes,
            in_fallback=False,
            draw_w=standby.draw_w if is_off else idle_w(last.spec),
            gpus=() if is_off else last.gpus,
            attempts=(),
            alarms=self._alarms(now_s),
            power=NodePower.STANDBY if is_off else NodePower.BOOTING,
        )
        if order is None:
            return report
        return replace(
            report,
            accepted=order.fence,
            expires_boottime_s=order.expires_boottime_s,
            entitlement_w=order.entitlement_w,
            fallback=order.fallback,
        )

    # -- inside ----------------------------------------------------------------------------------------------------

    def _go(self, stage: Stage, now_s: float) -> None:
        if self.stage is Stage.AWAKE:
            self._spoken_from_s = self._last_s
        self.stage, self._stage_s = stage, now_s
        self._retry_s, self._cut_s, self._is_told = FIRST_RETRY_S, None, False
        self._changes += 1

    def _to_leave(self, now_s: float) -> Step | None:
        """Gently, then by force; called back, it is left alone, for its system may refuse to go."""
        waited_s = now_s - self._stage_s
        if waited_s <= self._settings.down_s:
            return None if self._is_told else Step.SHUT_DOWN
        if self._is_wanted_on() and now_s - self._last_s <= HEARD_S:
            self._go(Stage.AWAKE, now_s)
            return None
        return Step.CUT

    def _is_wanted_on(self) -> bool:
        return self._order is not None and not self._order.standby

    def _is_on(self, now_s: float) -> bool:
        return self._seen is HostState.ON and now_s - self._seen_s <= SEEN_S

    def _is_off(self, now_s: float) -> bool:
        return self._seen is HostState.OFF and now_s - self._seen_s <= SEEN_S

    def _contradicts(self, now_s: float) -> bool:
        is_long = self._off_s is not None and now_s - self._off_s > CONTRADICTS_S
        return self.stage is Stage.OFF and is_long and self._is_off(now_s)

    def _alarms(self, now_s: float) -> tuple[str, ...]:
        """Why a machine that should be off, or up, counts as on and gets no work."""
        name = "" if self.last is None else self.last.spec.group_id
        if self.stage is Stage.LEAVING and self._cut_s is not None and now_s - self._cut_s > CUT_GRACE_S:
            return (f"{name} was switched off and is not: it counts as on; see its controller",)
        if self.stage is Stage.OFF and now_s - max(self._seen_s, self._stage_s) > SEEN_S:
            return (f"the controller of {name} does not answer: the machine counts as on, and gets no work",)
        if self.stage is Stage.WAKING and now_s - self._stage_s > LATE_BOOTS * self._settings.boot_s:
            return (
                f"{name} was switched on and its guard is not heard: see whether it boots, and starts Barq",
            )
        return ()


def _is_empty(report: GuardReport) -> bool:
    """Whether nothing is left on a node: no attempt, no process on any GPU, and all of them answer."""
    is_left = any(facts.observed is not Observed.ENDED for facts in report.attempts)
    are_free = all(gpu.processes == 0 and not gpu.lost for gpu in report.gpus)
    return (
        not is_left and are_free and {g.gpu_id for g in report.spec.gpus} == {g.gpu_id for g in report.gpus}
    )
