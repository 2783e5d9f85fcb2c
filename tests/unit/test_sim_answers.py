"""Which answers to orders wake the simulated loop: a second in which nothing can follow is left out."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta

import pytest

from scheduler.core.decide import Decision, PowerAware
from scheduler.core.envelope import Limit
from scheduler.core.jobs import Job
from scheduler.core.ledger import OpenOrder, reported, sent
from scheduler.core.orders import (
    AttemptFacts,
    FallbackStep,
    Fence,
    GpuReading,
    GuardReport,
    NodePower,
    Observed,
)
from scheduler.core.snapshot import Group
from scheduler.heard import as_heard, unheard_of
from scheduler.sim.answers import is_awaited, is_progress
from scheduler.sim.engine import ANSWERED_US, Case, Engine
from scheduler.sim.outcome import RunOutcome
from tests.builders import T0
from tests.simulated import HOUR_S, SITE, busy_day

LIMIT = Limit(limit_w=9000.0, source="grid", provenance="", reaction_s=30.0)
CONTENT = Decision(limit=LIMIT, awaits_room=False, awaits_watts=False, awaits_word=False, awaits_start=False)
SPEC = SITE.specs()["node-1"]


def order(seq: int, entitlement_w: float, *rests_w: float) -> OpenOrder:
    """One that stands."""
    fallback = tuple(FallbackStep(after_s=60.0 * i, limit_w=w) for i, w in enumerate(rests_w or (1400.0,)))
    return OpenOrder(
        fence=Fence(epoch=1, seq=seq),
        entitlement_w=entitlement_w,
        fallback=fallback,
        expires_at=T0 + timedelta(seconds=60),
    )


def told(*orders: OpenOrder) -> Group:
    """A node that took the first of these orders, and is told the others now."""
    group = unheard_of(SPEC)
    account = sent(group.account, orders[0])
    account = reported(account, fence=orders[0].fence, charged_w=1400.0, at=T0)
    for newer in orders[1:]:
        account = sent(account, newer)
    return replace(group, account=account, reported_at=T0)


def answer(group: Group, **changes: object) -> GuardReport:
    """Its word that it took the newest, and nothing else."""
    said = {
        "spec": group.spec,
        "boot_id": "b",
        "boottime_s": 1.0,
        "version": 2,
        "accepted": group.account.sent,
        "expires_boottime_s": 60.0,
        "entitlement_w": 2000.0,
        "fallback": (),
        "in_fallback": False,
        "draw_w": 1400.0,
    }
    return GuardReport(**(said | changes))  # type: ignore[arg-type]


def seen(observed: dict[str, Observed]) -> tuple[AttemptFacts, ...]:
    """What a guard tells of its attempts."""
    return tuple(AttemptFacts(attempt_id=key, observed=what) for key, what in observed.items())


def wakes(group: Group, said: GuardReport, decision: Decision = CONTENT) -> bool:
    """Whether the loop looks again."""
    heard = as_heard(group, said, T0, cordoned=group.cordoned)
    return is_awaited(said, group, heard, decision, T0, fall_s=0.0)


def test_an_answer_that_only_says_yes_wakes_nobody() -> None:
    """Nothing waits, nothing else is told."""
    group = told(order(1, 2000.0), order(2, 2500.0))

    assert not wakes(group, answer(group))


def test_whoever_waits_for_the_word_itself_is_woken() -> None:
    """As the end of work that never began."""
    group = told(order(1, 2000.0), order(2, 2500.0))

    assert wakes(group, answer(group), replace(CONTENT, awaits_word=True))


def test_an_order_that_was_not_taken_goes_out_again() -> None:
    """By a tick."""
    group = told(order(1, 2000.0), order(2, 2500.0))

    assert wakes(group, answer(group, accepted=Fence(epoch=1, seq=1)))


def test_news_of_the_host_wakes() -> None:
    """As from any report."""
    group = told(order(1, 2000.0), order(2, 2500.0))

    assert wakes(group, answer(group, power=NodePower.BOOTING))


@pytest.mark.parametrize(
    "before, after",
    [
        ({"a.1": Observed.RUNNING}, {"a.1": Observed.SUSPENDED}),
        ({"a.1": Observed.SUSPENDED}, {"a.1": Observed.RUNNING}),
        ({"a.1": Observed.STARTING}, {"a.1": Observed.ENDED}),
        ({"a.1": Observed.RUNNING}, {}),
    ],
)
def test_news_of_work_wakes(before: dict[str, Observed], after: dict[str, Observed]) -> None:
    """That it holds, goes on, ended, or is not spoken of any more."""
    group = replace(told(order(1, 2000.0), order(2, 2500.0)), facts=seen(before))

    assert wakes(group, answer(group, attempts=seen(after)))


@pytest.mark.parametrize("before", [{}, {"a.1": Observed.STARTING}, {"b.1": Observed.ENDED}])
@pytest.mark.parametrize("now", [Observed.STARTING, Observed.RUNNING])
def test_work_that_comes_up_wakes_whoever_waits_for_that(before: dict[str, Observed], now: Observed) -> None:
    """As where few may start at once. Nobody else: when it began is known at the next look, too."""
    group = replace(told(order(1, 2000.0), order(2, 2500.0)), facts=seen(before))
    said = answer(group, attempts=seen({"a.1": now}))

    assert wakes(group, said, replace(CONTENT, awaits_start=True)) is (now is not before.get("a.1"))
    assert not wakes(group, said)


def test_a_gpu_that_was_left_wakes() -> None:
    """Who lacks GPUs may take it."""
    group = told(order(1, 2000.0), order(2, 2500.0))
    busy = GpuReading(gpu_id="0", draw_w=60.0, cap_w=100.0, processes=1)
    group = replace(group, gpus=(busy,))

    assert wakes(group, answer(group, gpus=(replace(busy, processes=0),)))
    assert not wakes(group, answer(group, gpus=(busy,)))


def test_room_wakes_whoever_waits_for_it() -> None:
    """The books have it once an earlier, higher order is fenced off."""
    group = told(order(1, 3000.0), order(2, 2000.0))

    assert wakes(group, answer(group), replace(CONTENT, awaits_room=True))
    assert not wakes(group, answer(group))
    raised = told(order(1, 2000.0), order(2, 3000.0))
    assert not wakes(raised, answer(raised), replace(CONTENT, awaits_room=True))


def test_what_a_plan_counts_in_any_case_wakes_whoever_could_take_it() -> None:
    """A plan counts a group at what it comes down to by itself: once that falls, others get it."""
    at_rest = told(order(1, 3000.0, 2500.0, 1400.0), order(2, 2000.0, 1900.0))
    firm = told(order(1, 3000.0, 1900.0), order(2, 2500.0, 1400.0))

    for group in (at_rest, firm):
        assert wakes(group, answer(group), replace(CONTENT, awaits_watts=True))
        assert not wakes(group, answer(group))


class AllWakes(Engine):
    """A loop that looks a second after each answer, and after each arrival, as the service does."""

    def _answered(self, answers: Collection[GuardReport]) -> None:
        self.wake(ANSWERED_US)

    def _would_wait(self, job: Job) -> bool:
        return False


@pytest.mark.parametrize("seed", [2, 5])
def test_to_leave_out_what_nobody_waits_for_changes_nothing_that_counts(seed: int) -> None:
    """Fewer rounds, the same work done."""
    seldom, often = ran(Engine, seed), ran(AllWakes, seed)

    assert seldom[1] < often[1]
    for one, other in zip(seldom[0].jobs, often[0].jobs, strict=True):
        assert one.kept_gpu_s == pytest.approx(other.kept_gpu_s, rel=0.01, abs=60.0)


def ran(kind: type[Engine], seed: int) -> tuple[RunOutcome, int]:
    """A few busy hours: what came of them, in how many rounds."""
    jobs, trace = busy_day(seed, hours=4, jobs_per_hour=30)
    engine = kind(Case(jobs=jobs, power=trace, site=SITE, policy=PowerAware(), window_s=4 * HOUR_S))
    return asyncio.run(engine.run()), engine.ticks


def test_a_commit_and_steps_are_progress_and_no_more() -> None:
    """The next round is early enough for them; whatever else is told is not."""
    was = AttemptFacts(attempt_id="j.1", observed=Observed.RUNNING, step=10)
    group = replace(told(order(1, 2000.0)), facts=(was,), gpus=answer(told(order(1, 2000.0))).gpus)
    report = answer(group, attempts=(replace(was, step=90, committed_step=80, committed_path="/sim/80"),))

    assert is_progress(report, group)
    assert not is_progress(replace(report, attempts=()), group)
    assert not is_progress(replace(report, power=NodePower.BOOTING), group)
    assert not is_progress(replace(report, in_fallback=True), group)
    for changed in ({"observed": Observed.ENDED}, {"attempt_id": "k.1"}, {"exit_code": 1}):
        assert not is_progress(replace(report, attempts=(replace(was, **changed),)), group)
    busy = (GpuReading(gpu_id="0", draw_w=300.0, cap_w=400.0, processes=1), *report.gpus[1:])
    assert not is_progress(replace(report, gpus=busy), group)
