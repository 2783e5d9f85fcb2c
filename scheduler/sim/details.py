"""The machines of a simulated miner group, one by one, as a real guard would tell of them."""

from __future__ import annotations

from scheduler.core.fleets import AWAKE_W
from scheduler.core.inventory import Ability, Condition, Inventory, MachineDetail, MachineIdentity
from scheduler.core.orders import GuardReport, MinerReading
from scheduler.equipment import Miners

_SETTLED_W = 0.5


def inventory_of(report: GuardReport, miners: Miners) -> Inventory:
    """What the guard of these miners would answer now. Miners that are simulated as one are told as one."""
    count = len(report.miners)
    rest_w, nameplate_w = miners.count * miners.rest_w / count, miners.count * miners.max_w / count
    details = [_detail(m, report.boottime_s, rest_w=rest_w, nameplate_w=nameplate_w) for m in report.miners]
    return Inventory(
        group_id=report.spec.group_id,
        version=report.inventory_version,
        boottime_s=report.boottime_s,
        machines=tuple(details),
    )


def _detail(miner: MinerReading, boottime_s: float, *, rest_w: float, nameplate_w: float) -> MachineDetail:
    return MachineDetail(
        miner_id=miner.miner_id,
        address=f"simulated:{miner.miner_id}",
        condition=_condition(miner),
        identity=MachineIdentity(serial=miner.miner_id, make="simulated", model="simulated"),
        abilities=(Ability.READ, Ability.SLEEP, Ability.WATTS),
        wish=miner.wish,
        nameplate_w=nameplate_w,
        rest_w=rest_w,
        target_w=miner.target_w + rest_w,
        draw_w=miner.draw_w + rest_w,
        joule_per_th=miner.joule_per_th or None,
        seen_boottime_s=boottime_s,
    )


def _condition(miner: MinerReading) -> Condition:
    if abs(miner.draw_w - miner.target_w) > _SETTLED_W:
        return Condition.RAMPING
    return Condition.RUNNING if miner.target_w > AWAKE_W else Condition.ASLEEP
