"""What a miner LAN consists of, machine by machine: the details that decisions do not need and people ask for.

Reports carry watts each second; an inventory is fetched when it has changed. Watts are those at the plug, rest
included, as a person would measure them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Condition(StrEnum):
    """What a machine does, as its guard judges by what it was told, what it says and what is measured."""

    RUNNING = "running"
    RAMPING = "ramping"  #: told to run or to change, not at its watts yet
    ASLEEP = "asleep"
    FAULTED = "faulted"  #: it answers, and does not do what it was told or should
    STALE = "stale"  #: it did not answer lately; its last word still counts
    LOST = "lost"  #: nobody hears of it: it counts at its nameplate until a meter says otherwise
    UNUSABLE = "unusable"  #: it cannot be told anything: bad credentials, a lock, another firmware, no miner


class Wish(StrEnum):
    """What a person wants of one machine."""

    INHERIT = "inherit"  #: as its fleet
    PAUSED = "paused"  #: asleep until a person says otherwise
    PROTECTED = "protected"  #: the last of its fleet to sleep; the limit goes before it all the same


class Ability(StrEnum):
    """What can be asked of a machine."""

    READ = "read"
    SLEEP = "sleep"
    WATTS = "watts"
    PERCENT = "percent"
    OUTLET = "outlet"  #: its outlet can be switched off where it does not obey


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedPool:
    """Where a machine mines to, for the record of its owner and the regulator. It is only ever read."""

    url: str
    user: str = ""
    is_active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineIdentity:
    """Which machine it is; "" = it does not tell. What changes here is logged."""

    serial: str = ""
    mac: str = ""
    make: str = ""
    model: str = ""
    firmware: str = ""
    firmware_version: str = ""
    pools: tuple[ObservedPool, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineDetail:
    """One machine of a miner group."""

    miner_id: str
    address: str
    condition: Condition
    identity: MachineIdentity = MachineIdentity()
    abilities: tuple[Ability, ...] = ()
    wish: Wish = Wish.INHERIT
    nameplate_w: float
    rest_w: float
    target_w: float  #: what it is to draw at most; its rest = it is to sleep
    draw_w: float  #: as read; its nameplate where nobody knows
    is_metered: bool = False  #: the draw is measured, not estimated by the machine
    in_doubt_w: float = 0.0  #: may still flow although it was told otherwise
    hashrate_th: float | None = None
    joule_per_th: float | None = None  #: of late, at steady work
    temperature_c: float | None = None  #: its hottest
    uptime_s: float | None = None
    cycles_today: int = 0  #: how often it was woken since midnight UTC
    trouble: str = ""  #: why it is faulted, unusable or in doubt, with the remedy
    seen_boottime_s: float | None = None  #: when it last answered; None = never


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """All machines of a group. `version` rises with each change of substance."""

    group_id: str
    version: int
    boottime_s: float
    machines: tuple[MachineDetail, ...] = ()
