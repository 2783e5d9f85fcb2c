"""When a report is news: its version rises at once with what matters, and now and then with what merely drifts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from operator import attrgetter
from typing import Final, TypeVar

from scheduler.core.orders import AttemptFacts, GpuReading, GuardReport, MinerReading, Observed
from workers.courtesy import Courtesy

T = TypeVar("T")

DRIFT_EVERY_S = 1.0
#: A change of the draw by more than this is news at once.
JUMP_W = 10.0
JUMP_SHARE = 0.02
_ON_THE_WAY: Final = frozenset({Observed.STARTING, Observed.RUNNING, Observed.SAVING})
#: A miner without what drifts: a copy of each of a thousand would take its time.
_STEADY: Final = attrgetter(*(f.name for f in fields(MinerReading) if f.name != "draw_w"))


class Reporter:
    """The newest report, and those who wait for the next.

    Whoever asks is told what is observed now; only news wakes those who wait, and raises the version. That jobs come
    up or leave is told with what follows it while others on this host have to wait for a processor: those jobs do, too.
    """

    def __init__(self, new_courtesy: Callable[[], Courtesy] = Courtesy) -> None:
        """Versions go on rising over the guard's own restarts: they begin at the wall clock's milliseconds."""
        self._version = time.time_ns() // 1_000_000
        self._report: GuardReport | None = None
        self._told: GuardReport | None = None  #: as it was when it last was news: drift adds up from there
        self._told_at_s = 0.0
        self._news = asyncio.Event()
        self._new_courtesy = new_courtesy
        self._courtesy: Courtesy | None = None  #: while there is something that can wait

    @property
    def report(self) -> GuardReport:
        """The newest report. Raises LookupError before the first."""
        if self._report is None:
            raise LookupError("nothing was observed yet")
        return self._report

    @property
    def version(self) -> int:
        """The version of the newest report; the next one's is higher."""
        return self._version

    def update(self, observed: GuardReport) -> None:
        """Take in what is observed now, whatever its version says."""
        now_s = time.monotonic()
        if self._is_news(observed, now_s) and not self._waits(observed, now_s):
            self._version += 1
            self._told, self._told_at_s, self._courtesy = observed, now_s, None
            self._news.set()
            self._news = asyncio.Event()
        self._report = replace(observed, version=self._version)

    async def after(self, version: int, *, timeout_s: float) -> GuardReport:
        """The newest report, as soon as it is newer than `version`, or after `timeout_s`."""
        deadline_s = time.monotonic() + timeout_s
        while self.report.version <= version and (left_s := deadline_s - time.monotonic()) > 0:
            try:
                await asyncio.wait_for(self._news.wait(), left_s)
            except TimeoutError:
                break
        return self.report

    def _waits(self, observed: GuardReport, now_s: float) -> bool:
        """Whether these news are told later, with more of their kind."""
        if self._told is None or not _are_on_their_way(observed, self._told):
            return False
        if self._courtesy is None:
            self._courtesy = self._new_courtesy()
        return self._courtesy.waits(now_s)

    def _is_news(self, observed: GuardReport, now_s: float) -> bool:
        told = self._told
        if told is None or _is_other(observed, told):
            return True
        if abs(observed.draw_w - told.draw_w) > max(JUMP_W, JUMP_SHARE * told.draw_w):
            return True
        return now_s - self._told_at_s >= DRIFT_EVERY_S and _drift(observed) != _drift(told)


def _is_other(a: GuardReport, b: GuardReport) -> bool:
    """Whether they differ in more than what drifts: draws, steps, and the clock."""
    return (
        _frame(a) != _frame(b)
        or _differ(a.gpus, b.gpus, _without_draw)
        or _differ(a.miners, b.miners, _STEADY)
        or _differ(a.attempts, b.attempts, lambda facts: replace(facts, step=None))
    )


def _are_on_their_way(now: GuardReport, before: GuardReport) -> bool:
    """Whether no more has happened than that attempts began to run, or to leave, and draw as they do.

    Nobody waits for word of that: what counts is what they draw when told to hold, and that they are gone.
    """
    are_moving = any(facts.observed is Observed.STARTING for facts in before.attempts) or any(
        facts.observed is Observed.SAVING for facts in now.attempts
    )
    return (
        are_moving
        and _frame(now) == _frame(before)
        and not _differ(now.gpus, before.gpus, _without_use)
        and not _differ(now.miners, before.miners, _STEADY)
        and not _differ(now.attempts, before.attempts, _without_way)
    )


def _without_way(facts: AttemptFacts) -> AttemptFacts:
    if facts.observed not in _ON_THE_WAY:
        return facts
    return replace(
        facts,
        observed=Observed.RUNNING,
        step=None,
        resumed_step=None,
        save_s=None,
        pause_seq=0,
        asked_to_exit=False,
        doing="",
    )


def _without_use(gpu: GpuReading) -> GpuReading:
    return replace(_without_draw(gpu), processes=0)


def _frame(report: GuardReport) -> GuardReport:
    return replace(
        report, version=0, boottime_s=0.0, draw_w=0.0, guessed_w=0.0, gpus=(), miners=(), attempts=()
    )


def _differ(these: Sequence[T], those: Sequence[T], substance: Callable[[T], object]) -> bool:
    """Whether they differ in substance; most are what they were, and that is soon seen."""
    if len(these) != len(those):
        return True
    pairs = zip(these, those, strict=True)
    return any(a is not b and a != b and substance(a) != substance(b) for a, b in pairs)


def _without_draw(gpu: GpuReading) -> GpuReading:
    return replace(gpu, draw_w=0.0, processes=min(gpu.processes, 1), sensors=None)


def _drift(report: GuardReport) -> tuple[object, ...]:
    """What drifts, to the watt."""
    gpus = tuple((round(gpu.draw_w), gpu.processes) for gpu in report.gpus)
    return (
        round(report.draw_w),
        round(report.guessed_w),
        gpus,
        tuple(facts.step for facts in report.attempts),
    )
