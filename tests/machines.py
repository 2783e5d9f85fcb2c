"""Machines of a miner group, as a guard tells of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from scheduler.core.inventory import (
    Ability,
    Condition,
    Inventory,
    MachineDetail,
    MachineIdentity,
    ObservedPool,
)

POOL = ObservedPool(url="stratum+tcp://pool.example:3333", user="acme.rig7")


def identity(number: int = 1, **changes: Any) -> MachineIdentity:
    """An S19 that tells all of itself."""
    plain = MachineIdentity(
        serial=f"SN{number}",
        mac=f"02:00:00:00:00:{number:02x}",
        make="Antminer",
        model="S19j Pro",
        firmware="Braiins OS",
        firmware_version="25.07",
        pools=(POOL,),
    )
    return replace(plain, **changes)


def machine(number: int = 1, **changes: Any) -> MachineDetail:
    """One that runs at its nameplate."""
    plain = MachineDetail(
        miner_id=f"acme-{number}",
        address=f"10.0.0.{number}",
        condition=Condition.RUNNING,
        identity=identity(number),
        abilities=(Ability.READ, Ability.SLEEP, Ability.WATTS),
        nameplate_w=3250.0,
        rest_w=25.0,
        target_w=3250.0,
        draw_w=3200.0,
        hashrate_th=104.0,
        joule_per_th=30.8,
        temperature_c=71.0,
        uptime_s=4000.0,
        seen_boottime_s=100.0,
    )
    return replace(plain, **changes)


def inventory(*machines: MachineDetail, **changes: Any) -> Inventory:
    """A group named acme of these machines."""
    plain = Inventory(group_id="acme", version=7, boottime_s=100.0, machines=machines)
    return replace(plain, **changes)
