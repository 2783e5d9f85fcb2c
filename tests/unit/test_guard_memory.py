"""What a guard remembers on the disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from scheduler.core.lease import GuardMemory, Refusal
from scheduler.core.orders import Fence, Order
from workers.memory import DurableMemory

FRESH = GuardMemory(group_id="n1", boot_id="boot-1", idle_w=500.0)
ORDER = Order(
    group_id="n1",
    boot_id="boot-1",
    fence=Fence(epoch=3, seq=7),
    expires_boottime_s=100.0,
    entitlement_w=900.0,
    fallback=(),
)


def test_an_accepted_order_is_remembered(tmp_path: Path) -> None:
    """A new guard knows the order, and refuses it and all before it."""
    path = tmp_path / "memory.json"
    memory = DurableMemory(path, FRESH)
    assert memory.accept(ORDER, now_boottime_s=50.0) is None

    again = DurableMemory(path, FRESH)
    assert again.now == memory.now
    assert again.now.order == ORDER
    assert again.accept(ORDER, now_boottime_s=50.0) is Refusal.STALE


def test_a_refused_order_leaves_no_trace(tmp_path: Path) -> None:
    """Nothing is written for an order that does not count."""
    path = tmp_path / "memory.json"
    memory = DurableMemory(path, FRESH)

    assert memory.accept(ORDER, now_boottime_s=100.0) is Refusal.EXPIRED
    assert not path.exists()


def test_another_boot_forgets_the_order_and_keeps_the_fence(tmp_path: Path) -> None:
    """After a reboot the clock of the old order means nothing, but older leaders stay fenced off."""
    path = tmp_path / "memory.json"
    DurableMemory(path, FRESH).accept(ORDER, now_boottime_s=50.0)

    after = DurableMemory(path, replace(FRESH, boot_id="boot-2")).now
    assert after.order is None
    assert after.seen == ORDER.fence
    assert after.boot_id == "boot-2"


def test_a_changed_group_counts_its_idle_draw_anew(tmp_path: Path) -> None:
    """What the group draws at rest is what its configuration says now."""
    path = tmp_path / "memory.json"
    DurableMemory(path, FRESH).accept(ORDER, now_boottime_s=50.0)

    assert DurableMemory(path, replace(FRESH, idle_w=600.0)).now.idle_w == 600.0


def test_a_damaged_memory_is_set_aside_and_told(tmp_path: Path) -> None:
    """A file that makes no sense does not stop the guard: it starts without an order, which is the safe side."""
    path = tmp_path / "memory.json"
    path.write_text('{"group_id": 3')

    memory = DurableMemory(path, FRESH)
    assert memory.now == FRESH
    assert memory.damage is not None
    assert (tmp_path / "memory.damaged").read_text() == '{"group_id": 3'


def test_the_memory_of_another_group_is_refused(tmp_path: Path) -> None:
    """A directory that was copied from another group is an error that names both."""
    path = tmp_path / "memory.json"
    DurableMemory(path, FRESH).accept(ORDER, now_boottime_s=50.0)

    with pytest.raises(ValueError, match="belongs to group 'n1', not 'n2'"):
        DurableMemory(path, replace(FRESH, group_id="n2"))
