"""The emergency stop at a guard: latched, kept, and given up only by name."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from scheduler.core.estop import EmergencyStop
from scheduler.core.jobs import Phase
from scheduler.core.lease import GuardMemory, accept, after_boot, latched, standing
from scheduler.core.orders import AttemptOrder, FallbackStep, Fence, Order
from tests.builders import launch
from workers.memory import DurableMemory
from workers.wire import decode, encode

AT = datetime(2026, 3, 1, 12, 0, 3, tzinfo=UTC)
STOP = EmergencyStop(id="s1", reason="smoke in hall 2", by="ada", at=AT)
LATER = replace(STOP, id="s2", reason="smoke again")
FRESH = GuardMemory(group_id="g", boot_id="boot-1", idle_w=100.0)


def attempt(name: str, *, tier: int = 4) -> AttemptOrder:
    """One attempt that is ordered to run."""
    return AttemptOrder(
        attempt_id=name, job_id=name, number=1, phase=Phase.RUN, gpu_ids=("0",), cap_w=400.0, tier=tier,
        launch=launch(),
    )  # fmt: skip


def order(seq: int, **changes: Any) -> Order:
    """An order that stands for long."""
    plain = Order(
        group_id="g",
        boot_id="boot-1",
        fence=Fence(epoch=1, seq=seq),
        expires_boottime_s=1000.0,
        entitlement_w=700.0,
        fallback=(FallbackStep(after_s=0.0, limit_w=400.0), FallbackStep(after_s=35.0, limit_w=150.0)),
        attempts=(attempt("flex"), attempt("firm", tier=0)),
        miners_target_w=50.0,
    )
    return replace(plain, **changes)


def accepted(memory: GuardMemory, new: Order, *, at_s: float = 10.0) -> GuardMemory:
    """The memory with an order that must be accepted."""
    after, refusal = accept(memory, new, now_boottime_s=at_s)
    assert refusal is None
    return after


@pytest.mark.parametrize(
    "after_s,limit_w,flexible",
    [(0.0, 400.0, Phase.SUSPEND), (5.0, 400.0, Phase.SAVE_EXIT), (35.0, 150.0, Phase.SAVE_EXIT)],
)
def test_a_stop_has_the_effect_of_a_lost_lease(after_s: float, limit_w: float, flexible: Phase) -> None:
    """At once, though the order stands: miners off, flexible work held and then saved, firm work goes on."""
    memory = latched(accepted(FRESH, order(1)), STOP, now_boottime_s=20.0)

    stands = standing(memory, now_boottime_s=20.0 + after_s, save_after_s=5.0)

    flex, firm = stands.attempts
    assert (stands.in_fallback, stands.entitlement_w, stands.miners_target_w) == (True, limit_w, 0.0)
    assert (flex.phase, firm) == (flexible, attempt("firm", tier=0))
    assert flex.reason == "emergency stop by ada: smoke in hall 2"


def test_orders_are_accepted_and_not_acted_on() -> None:
    """The leader goes on being heard; what it orders has to wait."""
    memory = accepted(latched(accepted(FRESH, order(1)), STOP, now_boottime_s=20.0), order(2), at_s=30.0)

    assert (memory.seen.seq, memory.stop, memory.stopped_boottime_s) == (2, STOP, 20.0)
    assert standing(memory, now_boottime_s=31.0, save_after_s=5.0).in_fallback


def test_an_order_latches_once() -> None:
    """The stop in it counts from the first time; one that is held already is kept."""
    memory = accepted(accepted(FRESH, order(1, stop=STOP), at_s=10.0), order(2, stop=LATER), at_s=12.0)

    assert (memory.stop, memory.stopped_boottime_s) == (STOP, 10.0)


def test_only_its_own_release_ends_it() -> None:
    """Neither an order without a stop, nor the release of another one, nor a late order."""
    memory = latched(FRESH, STOP, now_boottime_s=5.0)
    memory = accepted(memory, order(3))
    memory = accepted(memory, order(4, released_stop="s0"))
    memory, refusal = accept(memory, order(2, released_stop="s1"), now_boottime_s=10.0)
    assert refusal is not None
    assert memory.stop == STOP

    memory = accepted(memory, order(5, released_stop="s1"))
    assert memory.stop is None
    assert not standing(memory, now_boottime_s=11.0, save_after_s=5.0).in_fallback


def test_a_release_does_not_end_a_stop_that_was_made_after() -> None:
    """Somebody stopped this very guard while the release of an earlier stop was on its way."""
    memory = latched(latched(FRESH, STOP, now_boottime_s=5.0), LATER, now_boottime_s=8.0)

    memory = accepted(memory, order(1, released_stop="s1"))

    assert (memory.stop, memory.stopped_boottime_s) == (LATER, 5.0)


def test_a_release_and_another_stop_leave_no_gap() -> None:
    """One order may carry both."""
    memory = accepted(latched(FRESH, STOP, now_boottime_s=5.0), order(1, released_stop="s1", stop=LATER))

    assert memory.stop == LATER
    assert standing(memory, now_boottime_s=10.0, save_after_s=5.0).in_fallback


def test_it_survives_a_reboot() -> None:
    """Nothing starts after it, and what is held saves at once."""
    memory = after_boot(latched(accepted(FRESH, order(1)), STOP, now_boottime_s=500.0), "boot-2")
    memory = accepted(memory, order(2, boot_id="boot-2"), at_s=30.0)

    stands = standing(memory, now_boottime_s=30.0, save_after_s=5.0)

    assert memory.stop == STOP
    assert stands.in_fallback
    assert stands.attempts[0].phase is Phase.SAVE_EXIT


def test_it_is_on_the_disk_before_anything_is_done(tmp_path: Path) -> None:
    """A guard that starts again is still stopped; its order and its fence are as they were."""
    path = tmp_path / "memory.json"
    memory = DurableMemory(path, FRESH)
    memory.accept(order(1), now_boottime_s=1.0)
    memory.latch(STOP, now_boottime_s=2.0)

    assert DurableMemory(path, FRESH).now == memory.now
    assert memory.now.stop == STOP


def test_it_holds_even_if_it_cannot_be_written(tmp_path: Path) -> None:
    """A full disk is told, and does not keep anybody from stopping."""
    memory = DurableMemory(tmp_path / "gone" / "memory.json", FRESH)

    with pytest.raises(OSError, match="gone"):
        memory.latch(STOP, now_boottime_s=2.0)

    assert memory.now.stop == STOP


def test_a_memory_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    """Guards that never heard of stops hold none."""
    path = tmp_path / "memory.json"
    path.write_bytes(b'{"group_id": "g", "boot_id": "boot-1", "idle_w": 1.0, "seen": {"epoch": 1, "seq": 1}}')

    assert DurableMemory(path, FRESH).now.stop is None


def test_orders_without_a_stop_are_read() -> None:
    """The protocol is as it was: what is not said means none."""
    plain = encode(order(1)).replace(b',"stop":null,"released_stop":""', b"")

    assert decode(Order, plain) == order(1)
