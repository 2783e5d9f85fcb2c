"""A machine of a LAN as people see it."""

from __future__ import annotations

from scheduler.core.inventory import (
    Ability,
    Condition,
    MachineDetail,
    MachineIdentity,
    ObservedPool,
)
from workers.fleet.config import LanConfig
from workers.fleet.firmware import Unusable
from workers.fleet.unit import Unit


def detail_of(unit: Unit, config: LanConfig) -> MachineDetail:
    """All that is known of it."""
    reading, said = unit.reading, unit.told.said
    temperatures_c = reading.temperatures_c if reading is not None else ()
    return MachineDetail(
        miner_id=unit.miner_id,
        address=unit.miner.address,
        condition=unit.condition,
        identity=_identity(unit),
        abilities=_abilities(unit),
        nameplate_w=unit.nameplate_w,
        rest_w=config.rest_w,
        target_w=unit.allowed_w,
        draw_w=unit.draw_w if unit.condition is not Condition.LOST else unit.counts_w,
        is_metered=_is_metered(unit),
        in_doubt_w=unit.in_doubt_w,
        hashrate_th=reading.hashrate_th if reading is not None else None,
        joule_per_th=unit.told.joule_per_th or None,
        temperature_c=max(temperatures_c, default=None),
        uptime_s=reading.uptime_s if reading is not None else None,
        cycles_today=unit.cycles_today,
        trouble=trouble_of(unit),
        seen_boottime_s=None if said is None else said.at_s,
    )


def stranger_of(name: str, found: Unusable, config: LanConfig) -> MachineDetail:
    """An address where something answers that cannot be used."""
    nameplate_w = config.max_w if found.is_miner else 0.0
    return MachineDetail(
        miner_id=name,
        address=name,
        condition=Condition.UNUSABLE,
        nameplate_w=nameplate_w,
        rest_w=config.rest_w if found.is_miner else 0.0,
        target_w=0.0,
        draw_w=nameplate_w,
        trouble=found.why,
    )


def trouble_of(unit: Unit) -> str:
    """Why it is not as it should be, with the remedy; "" = it is."""
    if unit.trouble:
        return unit.trouble
    if unit.is_fixed:
        return (
            f"{unit.miner.address}: is read only and counts at its {unit.nameplate_w:.0f} W: give its owner's "
            "credentials, or open its API, if its firmware takes orders; or name its outlet"
        )
    if unit.is_switched and unit.is_cut and unit.condition in (Condition.ASLEEP, Condition.RAMPING):
        return ""
    if unit.verdict is not None and unit.verdict.trouble:
        return unit.verdict.trouble
    if unit.condition is Condition.FAULTED:
        fault = unit.reading.fault if unit.reading is not None else ""
        return (
            f"{unit.miner.address}: {fault or 'does not hash although it was told to'}; look at the machine"
        )
    if unit.condition in (Condition.LOST, Condition.STALE):
        return unit.complaint or f"{unit.miner.address}: was not heard of yet"
    return ""


def _identity(unit: Unit) -> MachineIdentity:
    told, reading = unit.identity, unit.reading
    pools = reading.pools if reading is not None else ()
    return MachineIdentity(
        serial=told.serial,
        mac=told.mac,
        make=told.make,
        model=told.model,
        firmware=told.firmware,
        firmware_version=told.firmware_version,
        pools=tuple(ObservedPool(url=p.url, user=p.user, is_active=p.is_active) for p in pools),
    )


def _abilities(unit: Unit) -> tuple[Ability, ...]:
    can = unit.identity.capabilities
    has = {
        Ability.READ: True,
        Ability.SLEEP: can.pause,
        Ability.WATTS: can.watts is not None,
        Ability.PERCENT: can.percent is not None,
        Ability.OUTLET: unit.outlet is not None,
    }
    return tuple(ability for ability, there in has.items() if there)


def _is_metered(unit: Unit) -> bool:
    if unit.metered_w is not None:
        return True
    return unit.reading is not None and unit.reading.is_metered
