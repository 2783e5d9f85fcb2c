"""Which driver speaks with which firmware, and which firmware answers at an address: the one place that knows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from scheduler.core.lan import Place
from workers.fleet.config import Firmware, LanConfig, Secret
from workers.miners import braiins, cgminer, line, luxos, whatsminer_v2, whatsminer_v3
from workers.miners.port import Identity, Miner, MinerError, Refused, Unreachable, Wrong

CONNECT_S: Final = 1.5
PORTS: Final[Mapping[Firmware, int]] = {
    Firmware.WHATSMINER_V3: whatsminer_v3.PORT,
    Firmware.LUXOS: line.PORT,
    Firmware.WHATSMINER_V2: line.PORT,
    Firmware.BRAIINS: braiins.PORT,
    Firmware.CGMINER: line.PORT,  # last: most others speak its API as well
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A machine that was recognised, with its open driver."""

    firmware: Firmware
    identity: Identity
    miner: Miner


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """Something answers, and cannot be used."""

    why: str
    is_miner: bool  #: it may be a machine that draws its watts
    is_final: bool = False  #: no other firmware need be tried: this one refuses
    firmware: Firmware | None = None  #: whose API answers, where it refuses


def driver(firmware: Firmware, place: Place, config: LanConfig) -> Miner:
    """The driver for a machine. Raises Refused if its credentials cannot be read."""
    host, port = place.host, place.port or PORTS[firmware]
    credentials = config.credentials.get(firmware, Secret()).read()
    match firmware:
        case Firmware.BRAIINS:
            return braiins.Braiins(host, port=port, credentials=credentials)
        case Firmware.LUXOS:
            return luxos.Luxos(host, port=port)
        case Firmware.WHATSMINER_V2:
            return whatsminer_v2.WhatsminerV2(host, port=port, credentials=credentials)
        case Firmware.WHATSMINER_V3:
            return whatsminer_v3.WhatsminerV3(host, port=port, credentials=credentials)
        case Firmware.CGMINER:
            return cgminer.Cgminer(host, port=port)


async def recognise(place: Place, config: LanConfig) -> Found | Unusable | None:
    """What is there; None = nobody answers. A firmware that the site file names is not looked for, but insisted on."""
    candidates = [config.firmware] if config.firmware is not None else [*PORTS]
    ports = {place.port or PORTS[f] for f in candidates}
    answers = await asyncio.gather(*(_is_open(place.host, port) for port in ports))
    is_open = dict(zip(ports, answers, strict=True))
    open_to = [f for f in candidates if is_open[place.port or PORTS[f]]]
    refused: list[Unusable] = []
    for firmware in open_to:
        found = await _try(firmware, place, config)
        if isinstance(found, Found) or found.is_final:
            return found
        refused.append(found)
    return next((r for r in refused if r.is_miner), refused[-1]) if refused else None


async def _try(firmware: Firmware, place: Place, config: LanConfig) -> Found | Unusable:
    miner: Miner | None = None
    try:
        miner = driver(firmware, place, config)
        identity = await miner.identify()
    except MinerError as error:
        if miner is not None:
            await miner.close()
        return Unusable(
            why=f"{firmware}: {error}",
            is_miner=not isinstance(error, Wrong | Unreachable),
            is_final=isinstance(error, Refused),
            firmware=firmware if isinstance(error, Refused) else None,
        )
    return Found(firmware=firmware, identity=identity, miner=miner)


async def _is_open(host: str, port: int) -> bool:
    writer: asyncio.StreamWriter | None = None
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(host, port)
    if writer is not None:
        writer.close()
    return writer is not None
