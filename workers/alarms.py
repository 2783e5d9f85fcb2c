"""What a person should know of a group, each in one sentence that changes only when the fact does."""

from __future__ import annotations

from collections.abc import Iterable

from scheduler.core.orders import GpuReading, GroupSpec, MinerReading
from scheduler.core.presence import Seen
from workers.local_attempt import LocalAttempt

#: A miner this long over its target does not follow it, s.
MINER_PATIENCE_S = 30.0
_MINER_SLACK = 0.05
_OVER_W = 1.0


class MinerWatch:
    """Which miners draw more than they were told, for longer than a ramp takes."""

    def __init__(self) -> None:
        self._over_since_s: dict[str, float] = {}

    def look(self, miners: Iterable[MinerReading], now_s: float) -> list[str]:
        """An alarm for each that is over its target too long."""
        over = [m for m in miners if m.draw_w > m.target_w * (1 + _MINER_SLACK) + _OVER_W]
        self._over_since_s = {m.miner_id: self._over_since_s.get(m.miner_id, now_s) for m in over}
        return [
            f"miner {name} has drawn more than its target for over {MINER_PATIENCE_S:g} s; cut its supply"
            for name, since_s in self._over_since_s.items()
            if now_s - since_s > MINER_PATIENCE_S
        ]


def gpu_alarms(spec: GroupSpec, readings: Iterable[GpuReading]) -> list[str]:
    """Alarms about single GPUs that count as more than they should need to."""
    lost = [
        f"GPU {r.gpu_id} does not answer; it counts as busy at its last cap, {r.cap_w:.0f} W: look at dmesg for Xid, "
        "then reset it or restart the machine"
        for r in readings
        if r.lost
    ]
    fixed = [g for g in spec.gpus if g.limits is not None and not g.limits.may_cap]
    if not fixed:
        return lost
    fixed_w = sum(g.power.tdp_w for g in fixed)
    return [
        *lost,
        f"{len(fixed)} GPUs cannot be capped here and count at {fixed_w:.0f} W at work; see `barq doctor` for why",
    ]


def group_alarms(seen: Seen, over_w: float) -> list[str]:
    """Alarms about the devices of a group."""
    alarms = []
    if over_w > _OVER_W:
        alarms.append(f"{over_w:.0f} W over what this group may draw, with everything shed that can be")
    read = {gpu.gpu_id for gpu in seen.gpus}
    for slot in seen.spec.gpus:
        if slot.gpu_id not in read:
            alarms.append(f"GPU {slot.gpu_id} does not answer; it counts as uncapped and busy")
        elif seen.reading(slot.gpu_id).processes and not seen.holders(slot.gpu_id):
            alarms.append(
                f"GPU {slot.gpu_id} has processes that belong to no attempt{_pids(seen.reading(slot.gpu_id))}; end them"
            )
        if slot.gpu_id in seen.cap_floors_w:
            alarms.append(
                f"GPU {slot.gpu_id} does not take a cap below {seen.cap_floors_w[slot.gpu_id]:.0f} W; it counts at that"
            )
    return alarms


def _pids(reading: GpuReading) -> str:
    """Which they are, where the device tells."""
    if reading.sensors is None or not reading.sensors.pids:
        return ""
    return f" (PID {', '.join(map(str, reading.sensors.pids))})"


def attempt_alarms(attempts: Iterable[LocalAttempt]) -> list[str]:
    """What is odd about jobs."""
    return [f"{a.order.attempt_id}: {note}" for a in attempts for note in a.known.notes]
