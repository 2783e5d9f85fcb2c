"""What a guard may do right now: the pure half of the lease (DESIGN section 4).

A guard remembers the newest order it accepted. Until that expires, the order's content stands. After expiry the
fallback stands: jobs of tier 0 go on, everything else is suspended at once and then saved and ended.
The guard persists its memory *before* it acts on it.

An emergency stop that the guard latched has the effect of an expired lease, from the moment of the latch: orders are
accepted, so that the leader goes on being heard, and not acted on beyond their fallback. Only an order that names the
latched stop as released ends it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from scheduler.core.altered import altered, swift
from scheduler.core.estop import EmergencyStop
from scheduler.core.jobs import Phase
from scheduler.core.orders import NO_FENCE, PROTOCOL, AttemptOrder, FallbackStep, Fence, Order


class Refusal(StrEnum):
    """Why an order was not accepted."""

    PROTOCOL = "protocol"
    OTHER_GROUP = "other_group"
    OTHER_BOOT = "other_boot"
    STALE = "stale"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardMemory:
    """What a guard must not forget over its own restarts."""

    group_id: str
    boot_id: str
    idle_w: float  #: draw of the group with nothing on it: the fallback of a guard that never got an order
    order: Order | None = None
    seen: Fence = NO_FENCE  #: the highest fence accepted, kept over a reboot
    stop: EmergencyStop | None = None  #: latched, kept over a reboot
    stopped_boottime_s: float = 0.0  #: since when; 0 after a reboot


def after_boot(memory: GuardMemory, boot_id: str) -> GuardMemory:
    """Forget the order of an earlier boot (its clock means nothing now); keep the fence and the stop."""
    if memory.boot_id == boot_id:
        return memory
    return replace(memory, boot_id=boot_id, order=None, stopped_boottime_s=0.0)


def latched(memory: GuardMemory, stop: EmergencyStop, *, now_boottime_s: float) -> GuardMemory:
    """The memory after an emergency stop. The newest one is kept: a release of an earlier one does not end it."""
    since_s = now_boottime_s if memory.stop is None else memory.stopped_boottime_s
    return replace(memory, stop=stop, stopped_boottime_s=since_s)


def accept(memory: GuardMemory, order: Order, *, now_boottime_s: float) -> tuple[GuardMemory, Refusal | None]:
    """The memory after an order arrived, and why it was refused if it was. A refused order changes nothing."""
    refusal = _refuse(memory, order, now_boottime_s)
    if refusal is not None:
        return memory, refusal
    return _with_stop(altered(memory, order=order, seen=order.fence), order, now_boottime_s), None


def _with_stop(memory: GuardMemory, order: Order, now_boottime_s: float) -> GuardMemory:
    """The memory with the order's word on emergency stops: its own latch goes only by name."""
    held = memory.stop if memory.stop is None or memory.stop.id != order.released_stop else None
    if held is not None:
        return memory
    if order.stop is None:
        was_stopped = memory.stop is not None or memory.stopped_boottime_s != 0.0
        return altered(memory, stop=None, stopped_boottime_s=0.0) if was_stopped else memory
    return latched(memory, order.stop, now_boottime_s=now_boottime_s)


def _refuse(memory: GuardMemory, order: Order, now_boottime_s: float) -> Refusal | None:
    if order.protocol != PROTOCOL:
        return Refusal.PROTOCOL
    if order.group_id != memory.group_id:
        return Refusal.OTHER_GROUP
    if order.boot_id != memory.boot_id:
        return Refusal.OTHER_BOOT
    if order.fence <= memory.seen:
        return Refusal.STALE
    if order.expires_boottime_s <= now_boottime_s:
        return Refusal.EXPIRED
    return None


@swift
@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What stands at an instant: the desired attempts, the watts allowed, the miners' target."""

    in_fallback: bool
    entitlement_w: float
    attempts: tuple[AttemptOrder, ...]
    miners_target_w: float


def standing(memory: GuardMemory, *, now_boottime_s: float, save_after_s: float) -> Standing:
    """What the guard must bring about now. `save_after_s` past expiry, held jobs are told to save and exit."""
    order = memory.order
    if order is None:
        return Standing(in_fallback=True, entitlement_w=memory.idle_w, attempts=(), miners_target_w=0.0)
    late_s = now_boottime_s - order.expires_boottime_s
    why = "no word from the scheduler: lease expired"
    if memory.stop is not None:
        late_s = max(late_s, now_boottime_s - memory.stopped_boottime_s, 0.0)
        why = f"emergency stop by {memory.stop.by}: {memory.stop.reason}"
    if late_s < 0:
        return Standing(
            in_fallback=False,
            entitlement_w=order.entitlement_w,
            attempts=order.attempts,
            miners_target_w=order.miners_target_w,
        )
    return Standing(
        in_fallback=True,
        entitlement_w=fallback_w(order.fallback, late_s, otherwise_w=memory.idle_w),
        attempts=tuple(_fallen(a, save=late_s >= save_after_s, why=why) for a in order.attempts),
        miners_target_w=0.0,
    )


def fallback_w(profile: tuple[FallbackStep, ...], late_s: float, *, otherwise_w: float) -> float:
    """Watts allowed `late_s` seconds past the expiry."""
    passed = [step.limit_w for step in profile if step.after_s <= late_s]
    return min(passed) if passed else otherwise_w


def _fallen(attempt: AttemptOrder, *, save: bool, why: str) -> AttemptOrder:
    if attempt.tier == 0 or attempt.phase in (Phase.SAVE_EXIT, Phase.KILL):
        return attempt
    phase = Phase.SAVE_EXIT if save else Phase.SUSPEND
    return replace(attempt, phase=phase, reason=why)
