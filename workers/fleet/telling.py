"""How a machine is brought to what it was told: the calls, in the order that keeps its watts down."""

from __future__ import annotations

import logging
import math
from contextlib import suppress

from workers.clock import boottime_s
from workers.fleet.unit import Unit
from workers.miners.port import MinerState, Refused

log = logging.getLogger("barq.fleet")


async def tell(unit: Unit) -> None:
    """Tell a machine what it is to do. Raises MinerError."""
    if not unit.is_to_work:
        await unit.miner.sleep()
    elif unit.told.state in (MinerState.RUNNING, MinerState.RAMPING):
        await _trim(unit)
    else:
        if unit.quick_watts is not None and unit.needs_target:
            with suppress(Refused):  # some take a target only while they run: they get it then
                await unit.miner.set_target_w(unit.allowed_w)
        await unit.miner.wake()


async def _trim(unit: Unit) -> None:
    """Within seconds, where it can be; one that cannot was told its whole nameplate."""
    try:
        if unit.identity.capabilities.percent is not None:
            percent = 100 if unit.is_whole else math.floor(unit.allowed_w * 100 / unit.nameplate_w)
            await unit.miner.set_percent(percent)
        elif unit.quick_watts is not None:
            await unit.miner.set_target_w(unit.allowed_w)
    except Refused as error:
        log.warning("miner %s takes no trim: %s", unit.miner_id, error)
        unit.spoil(boottime_s())
