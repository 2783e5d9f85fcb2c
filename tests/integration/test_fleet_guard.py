"""A guard process with a LAN of real firmware: orders in watts become machines, and its inventory tells them."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

from scheduler.core.inventory import Condition, Inventory
from scheduler.core.machines import MachineKind
from scheduler.core.orders import GroupKind, GroupSpec
from tests.guarding import GuardedNode
from tests.miners.lan import Site, lan
from tests.miners.luxos import LuxosEmulator
from tests.miners.whatsminer_v3 import WhatsminerV3Emulator
from tests.waiting import wait_for
from workers.wire import decode

REST_W, ABOVE_W = 25.0, 3375.0
COUNT = 3


@dataclass(frozen=True, kw_only=True)
class InventoryAnswer:
    """What a guard answers to a question for its inventory."""

    inventory: Inventory


def inventory(guard: GuardedNode) -> Inventory:
    """Its machines now."""
    return decode(InventoryAnswer, guard.ask(b'{"op":"inventory"}')).inventory


def conditions(guard: GuardedNode) -> list[Condition]:
    """What they do, sorted."""
    return sorted(m.condition for m in inventory(guard).machines)


def test_a_guard_wakes_machines_one_by_one_and_puts_all_to_sleep_at_once(tmp_path: Path) -> None:
    """At its pace up, at once down; and a guard that ends leaves them as they are."""
    with lan() as net:
        for make in (LuxosEmulator, LuxosEmulator, WhatsminerV3Emulator):
            net.add(make)
        site = Site(net, tmp_path, wake_every_s=1.0)
        site.miners.close()
        spec = GroupSpec(
            group_id="hall",
            kind=GroupKind.MINERS,
            base_w=COUNT * REST_W,
            miners_max_w=COUNT * ABOVE_W,
            machine=MachineKind(max_w=int(ABOVE_W), min_on_s=0.0, min_off_s=0.0),
        )
        guard = GuardedNode(tmp_path, spec=spec, lan=site.config)
        try:
            guard.start()
            wait_for(lambda: conditions(guard) == [Condition.ASLEEP] * COUNT, timeout_s=60, what="all sleep")
            before = inventory(guard).version
            guard.order(entitlement_w=COUNT * REST_W + 2 * ABOVE_W, miners_target_w=2 * ABOVE_W)
            two = [Condition.ASLEEP, Condition.RUNNING, Condition.RUNNING]
            wait_for(lambda: conditions(guard) == two, timeout_s=60, what="two run")
            assert inventory(guard).version > before
            woken_s = sorted(m.switched_boottime_s or 0.0 for m in guard.report().miners if m.target_w)
            assert woken_s[1] - woken_s[0] >= 1.0

            guard.end(signal.SIGTERM)
            assert sum(not machine.plant.asleep for machine in net.machines) == 2
            guard.start()
            wait_for(lambda: conditions(guard) == two, timeout_s=60, what="two still run")
            guard.order(entitlement_w=COUNT * REST_W)
            wait_for(lambda: conditions(guard) == [Condition.ASLEEP] * COUNT, timeout_s=60, what="all sleep")
        finally:
            guard.close()
