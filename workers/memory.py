"""What a guard must not forget: its newest order, the highest fence, an emergency stop.

They are on the disk *before* it acts on them.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from barq.contract import write_in_turn
from scheduler.core.estop import EmergencyStop
from scheduler.core.lease import GuardMemory, Refusal, accept, after_boot, latched
from scheduler.core.orders import Order
from workers.wire import WireError, decode, encode

log = logging.getLogger("barq.guard")


class DurableMemory:
    """A guard's memory and its file."""

    def __init__(self, path: Path, fresh: GuardMemory) -> None:
        """Remember what `path` holds; `fresh` is the memory of a guard that never ran, in this boot. Raises OSError.

        The order of an earlier boot is forgotten, its fence is not. A file that makes no sense is set aside.
        """
        self._path = path
        self.damage: str | None = None  #: why the file was set aside
        self.now = after_boot(self._load(fresh), fresh.boot_id)

    def accept(self, order: Order, *, now_boottime_s: float) -> Refusal | None:
        """Make `order` the one that stands. On return it is on the disk, or refused, or OSError was raised."""
        remembered, refusal = accept(self.now, order, now_boottime_s=now_boottime_s)
        if refusal is None:
            write_in_turn(self._path, encode(remembered), durable=True)
            self.now = remembered
        return refusal

    def latch(self, stop: EmergencyStop, *, now_boottime_s: float) -> None:
        """Keep an emergency stop until an order releases it. It holds on return even if OSError is raised."""
        self.now = latched(self.now, stop, now_boottime_s=now_boottime_s)
        write_in_turn(self._path, encode(self.now), durable=True)

    def _load(self, fresh: GuardMemory) -> GuardMemory:
        try:
            known = decode(GuardMemory, self._path.read_bytes())
        except FileNotFoundError:
            return fresh
        except WireError as error:
            aside = self._path.with_suffix(".damaged")
            self._path.replace(aside)
            self.damage = f"the guard's memory made no sense and was set aside as {aside.name}: {error}"
            log.exception("starting without an order: %s", self.damage)
            return fresh
        if known.group_id != fresh.group_id:
            raise ValueError(
                f"{self._path} belongs to group {known.group_id!r}, not {fresh.group_id!r}; move it away"
            )
        return replace(known, idle_w=fresh.idle_w)
