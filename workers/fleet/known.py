"""What is remembered of a LAN's machines over restarts of the guard: who they are, and what they were told."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from barq.contract import write_atomically
from scheduler.core.obedience import Record, Said
from workers.clock import boot_id
from workers.fleet.config import Firmware
from workers.miners.port import Identity, MinerState
from workers.wire import WireError, decode, encode

T = TypeVar("T")

log = logging.getLogger("barq.fleet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A machine that was recognised."""

    firmware: Firmware
    identity: Identity
    nameplate_w: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a machine was told, and its last word. Times are CLOCK_BOOTTIME."""

    wanted_w: float = 0.0  #: above its rest
    told_at_s: float = 0.0  #: when it was first told that
    switched_at_s: float | None = None  #: when it was last told to run or to sleep
    day: int = 0  #: of the cycles: UTC days since 1970
    cycles: int = 0
    joule_per_th: float = 0.0
    state: MinerState | None = None
    said: Said | None = None
    record: Record = field(default_factory=Record)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What all machines were told. Times of another boot mean nothing."""

    boot_id: str
    machines: Mapping[str, Told]


def who(identity: Identity) -> tuple[str, ...]:
    """What makes it this machine and no other."""
    return identity.serial, identity.mac, identity.make, identity.model, identity.firmware


class Notebook:
    """The two files: one changes when a machine is found, the other with every order."""

    def __init__(self, directory: Path) -> None:
        self._machines = directory / "machines.json"
        self._told = directory / "told.json"

    def machines(self) -> dict[str, Known]:
        """The machines that were recognised, by id; what makes no sense is looked for anew."""
        return _read(dict[str, Known], self._machines, {})

    def told(self, now_s: float) -> dict[str, Told]:
        """What they were told; after a reboot of this host, how often they were cycled and whose outlet is off."""
        ledger = _read(Ledger, self._told, Ledger(boot_id=boot_id(), machines={}))
        rebooted = ledger.boot_id != boot_id()
        return {name: _resumed(told, now_s, rebooted=rebooted) for name, told in ledger.machines.items()}

    def keep_machines(self, machines: Mapping[str, Known]) -> None:
        """Raises OSError."""
        write_atomically(self._machines, encode(machines), durable=True)

    def keep_told(self, told: Mapping[str, Told]) -> None:
        """Raises OSError."""
        write_atomically(self._told, encode(Ledger(boot_id=boot_id(), machines=told)), durable=False)


def _resumed(told: Told, now_s: float, *, rebooted: bool) -> Told:
    record = told.record.resumed(now_s, has_rebooted=rebooted)
    if rebooted:
        return Told(day=told.day, cycles=told.cycles, joule_per_th=told.joule_per_th, record=record)
    return Told(
        wanted_w=told.wanted_w,
        told_at_s=told.told_at_s,
        switched_at_s=told.switched_at_s,
        day=told.day,
        cycles=told.cycles,
        joule_per_th=told.joule_per_th,
        state=told.state,
        said=told.said,
        record=record,
    )


def _read(kind: type[T], path: Path, fresh: T) -> T:
    try:
        return decode(kind, path.read_bytes())
    except FileNotFoundError:
        return fresh
    except WireError as error:
        log.warning("%s makes no sense; the machines are looked for anew: %s", path, error)
        return fresh
