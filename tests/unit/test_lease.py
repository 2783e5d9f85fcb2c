"""What stands at a guard: the newest order it accepted, or, once that has expired, the fallback."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scheduler.core.jobs import Phase
from scheduler.core.lease import GuardMemory, Refusal, accept, after_boot, standing
from scheduler.core.orders import NO_FENCE, AttemptOrder, FallbackStep, Fence, Order
from tests.builders import launch

FRESH = GuardMemory(group_id="g", boot_id="boot-1", idle_w=100.0)


def attempt(name: str, *, tier: int = 4, phase: Phase = Phase.RUN) -> AttemptOrder:
    """One attempt on one GPU."""
    return AttemptOrder(
        attempt_id=name,
        job_id=name,
        number=1,
        phase=phase,
        gpu_ids=("0",),
        cap_w=400.0,
        tier=tier,
        launch=launch(),
    )


def order(seq: int = 1, *, epoch: int = 1, **changes: Any) -> Order:
    """An order until second 15 of the guard's clock."""
    plain = Order(
        group_id="g",
        boot_id="boot-1",
        fence=Fence(epoch=epoch, seq=seq),
        expires_boottime_s=15.0,
        entitlement_w=700.0,
        fallback=(FallbackStep(after_s=0.0, limit_w=400.0), FallbackStep(after_s=35.0, limit_w=150.0)),
        miners_target_w=50.0,
    )
    return replace(plain, **changes)


def with_order(*attempts: AttemptOrder) -> GuardMemory:
    """A guard that accepted one."""
    memory, refusal = accept(FRESH, order(attempts=attempts), now_boottime_s=0.0)
    assert refusal is None
    return memory


def test_an_order_is_remembered_with_its_number() -> None:
    """Both survive the guard."""
    memory, refusal = accept(FRESH, order(), now_boottime_s=0.0)

    assert refusal is None
    assert (memory.order, memory.seen) == (order(), Fence(epoch=1, seq=1))


@pytest.mark.parametrize(
    "changes, refusal",
    [
        ({"protocol": 2}, Refusal.PROTOCOL),
        ({"group_id": "h"}, Refusal.OTHER_GROUP),
        ({"boot_id": "boot-0"}, Refusal.OTHER_BOOT),
        ({"fence": Fence(epoch=2, seq=5)}, Refusal.STALE),
        ({"fence": Fence(epoch=2, seq=4)}, Refusal.STALE),
        ({"fence": Fence(epoch=1, seq=9)}, Refusal.STALE),
        ({"expires_boottime_s": 9.0}, Refusal.EXPIRED),
        ({"expires_boottime_s": 8.0}, Refusal.EXPIRED),
    ],
)
def test_what_is_not_for_this_guard_now_is_refused_and_changes_nothing(
    changes: dict[str, Any], refusal: Refusal
) -> None:
    """Another protocol, group or boot; a number not above the last; one whose time is over."""
    memory, _ = accept(FRESH, order(5, epoch=2), now_boottime_s=0.0)

    assert accept(
        memory, order(6, epoch=2, **{"expires_boottime_s": 30.0} | changes), now_boottime_s=9.0
    ) == (
        memory,
        refusal,
    )


@pytest.mark.parametrize("fence", [Fence(epoch=2, seq=6), Fence(epoch=3, seq=1)])
def test_a_higher_number_or_a_later_epoch_is_accepted(fence: Fence) -> None:
    """In this order of precedence: a new leader begins at 1."""
    memory, _ = accept(FRESH, order(5, epoch=2), now_boottime_s=0.0)

    assert accept(memory, replace(order(), fence=fence), now_boottime_s=9.0)[1] is None


def test_until_its_expiry_the_order_stands_to_the_letter() -> None:
    """Attempts, watts and the miners' target."""
    stands = standing(with_order(attempt("a")), now_boottime_s=14.999, save_after_s=5.0)

    assert (stands.in_fallback, stands.entitlement_w, stands.miners_target_w) == (False, 700.0, 50.0)
    assert stands.attempts == (attempt("a"),)


@pytest.mark.parametrize("now_s, expected_w", [(15.0, 400.0), (49.9, 400.0), (50.0, 150.0), (1e6, 150.0)])
def test_from_its_expiry_on_the_fallback_stands(now_s: float, expected_w: float) -> None:
    """Miners rest, watts follow the profile."""
    stands = standing(with_order(), now_boottime_s=now_s, save_after_s=5.0)

    assert (stands.in_fallback, stands.entitlement_w, stands.miners_target_w) == (True, expected_w, 0.0)


@pytest.mark.parametrize(
    "now_s, phase", [(15.0, Phase.SUSPEND), (19.9, Phase.SUSPEND), (20.0, Phase.SAVE_EXIT)]
)
def test_work_is_held_first_and_then_saved(now_s: float, phase: Phase) -> None:
    """With a reason that the job is told."""
    (fallen,) = standing(with_order(attempt("a")), now_boottime_s=now_s, save_after_s=5.0).attempts

    assert (fallen.phase, fallen.reason) == (phase, "no word from the scheduler: lease expired")


def test_firm_work_goes_on() -> None:
    """Tier 0 is admitted within the fallback."""
    stands = standing(with_order(attempt("a", tier=0)), now_boottime_s=99.0, save_after_s=5.0)

    assert stands.attempts == (attempt("a", tier=0),)


@pytest.mark.parametrize("phase", [Phase.SAVE_EXIT, Phase.KILL])
def test_who_was_told_to_leave_leaves(phase: Phase) -> None:
    """Silence is no reprieve."""
    leaving = attempt("a", phase=phase)

    assert standing(with_order(leaving), now_boottime_s=15.0, save_after_s=5.0).attempts == (leaving,)


def test_a_guard_without_an_order_rests() -> None:
    """It may draw what it draws idle."""
    stands = standing(FRESH, now_boottime_s=0.0, save_after_s=5.0)

    assert (stands.in_fallback, stands.entitlement_w, stands.attempts) == (True, 100.0, ())
    assert FRESH.seen == NO_FENCE


def test_an_order_without_a_fallback_rests_after_it() -> None:
    """Nothing was allowed, so nothing is."""
    memory = replace(with_order(), order=order(fallback=()))

    assert standing(memory, now_boottime_s=15.0, save_after_s=5.0).entitlement_w == 100.0


def test_a_reboot_forgets_the_order_and_keeps_the_fence() -> None:
    """The clock began anew; who may give orders did not."""
    memory = after_boot(with_order(attempt("a")), "boot-2")

    assert (memory.order, memory.seen, memory.boot_id) == (None, Fence(epoch=1, seq=1), "boot-2")
    assert after_boot(memory, "boot-2") is memory
    assert accept(memory, order(1, boot_id="boot-2"), now_boottime_s=0.0)[1] is Refusal.STALE
