"""When a guard's report is news."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from scheduler.core.orders import (
    NO_FENCE,
    AttemptFacts,
    GpuReading,
    GroupKind,
    GroupSpec,
    GuardReport,
    Observed,
)
from workers import reporting
from workers.reporting import Reporter

GPU = GpuReading(gpu_id="g0", draw_w=300.0, cap_w=300.0, processes=1)
REPORT = GuardReport(
    spec=GroupSpec(group_id="n1", kind=GroupKind.NODE, base_w=400.0),
    boot_id="b",
    boottime_s=1.0,
    version=0,
    accepted=NO_FENCE,
    expires_boottime_s=0.0,
    entitlement_w=0.0,
    fallback=(),
    in_fallback=True,
    draw_w=700.0,
    gpus=(GPU,),
    attempts=(AttemptFacts(attempt_id="a-1.1", observed=Observed.RUNNING, step=1),),
)


@pytest.fixture
def reporter() -> Reporter:
    """A reporter that has told its first report."""
    reporter = Reporter()
    reporter.update(REPORT)
    return reporter


def test_there_is_no_report_before_the_first() -> None:
    """Asking too early is an error and not an empty report."""
    with pytest.raises(LookupError):
        _ = Reporter().report


def test_versions_go_on_over_restarts(reporter: Reporter) -> None:
    """A guard that comes after begins above whatever the one before can have reached."""
    assert Reporter().version >= reporter.version - 1


@pytest.mark.parametrize(
    "changes",
    [
        {"in_fallback": False},
        {"alarms": ("smoke",)},
        {"gpus": (replace(GPU, cap_w=200.0),)},
        {"attempts": (AttemptFacts(attempt_id="a-1.1", observed=Observed.SUSPENDED, step=1),)},
        {"draw_w": 720.0},
    ],
    ids=["fallback", "alarm", "cap", "observed", "jump of the draw"],
)
def test_what_matters_is_news_at_once(reporter: Reporter, changes: dict[str, object]) -> None:
    """Each change of substance raises the version."""
    before = reporter.report.version
    reporter.update(replace(REPORT, **changes))  # type: ignore[arg-type]

    assert reporter.report.version == before + 1


def test_what_drifts_waits(reporter: Reporter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps and a few watts are news only now and then; the clock alone never is."""
    before = reporter.report.version
    drifted = replace(
        REPORT, draw_w=705.0, attempts=(AttemptFacts(attempt_id="a-1.1", observed=Observed.RUNNING, step=9),)
    )
    reporter.update(drifted)
    assert reporter.report.version == before

    monkeypatch.setattr(reporting, "DRIFT_EVERY_S", 0.0)
    reporter.update(drifted)
    assert reporter.report.version == before + 1
    reporter.update(replace(drifted, boottime_s=99.0))
    assert reporter.report.version == before + 1
    assert reporter.report.boottime_s == 99.0


def test_who_asks_hears_what_is_now(reporter: Reporter, monkeypatch: pytest.MonkeyPatch) -> None:
    """A draw that ends less than a watt below what was told is no news, and still no guess for whoever asks."""
    monkeypatch.setattr(reporting, "DRIFT_EVERY_S", 0.0)
    before = reporter.report.version
    for draw_w in (700.4, 699.8, 700.1):
        reporter.update(replace(REPORT, draw_w=draw_w))
        assert (reporter.report.version, reporter.report.draw_w) == (before, draw_w)


def test_drift_adds_up_from_what_was_told(reporter: Reporter) -> None:
    """Many small changes make a jump, though each of them is none."""
    before = reporter.report.version
    for draw_w in (704.0, 708.0, 712.0, 716.0):
        reporter.update(replace(REPORT, draw_w=draw_w))
    assert reporter.report.version == before + 1


class Crowd:
    """Whether this host is crowded, as the test says."""

    is_there = True

    def waits(self, now_s: float) -> bool:
        """While it is there."""
        return self.is_there


STARTING = replace(
    REPORT, draw_w=500.0, attempts=(AttemptFacts(attempt_id="a-1.1", observed=Observed.STARTING),)
)


def test_that_jobs_come_up_waits_while_the_host_is_crowded() -> None:
    """An attempt that runs by now, its draw and its GPU's use wait for the crowd to go, and are told then."""
    crowd = Crowd()
    reporter = Reporter(lambda: crowd)  # type: ignore[arg-type, return-value]
    reporter.update(replace(STARTING, gpus=(replace(GPU, draw_w=60.0, processes=0),)))
    before = reporter.report.version

    reporter.update(REPORT)
    assert (reporter.report.version, reporter.report.draw_w) == (before, 700.0)
    crowd.is_there = False
    reporter.update(REPORT)
    assert reporter.report.version == before + 1


def test_that_jobs_leave_waits_while_the_host_is_crowded_but_not_that_they_are_gone() -> None:
    """An attempt that saves is told of when it has ended, at the latest."""
    reporter = Reporter(Crowd)  # type: ignore[arg-type]
    reporter.update(REPORT)
    before = reporter.report.version
    saving = AttemptFacts(
        attempt_id="a-1.1", observed=Observed.SAVING, step=2, pause_seq=1, asked_to_exit=True
    )
    reporter.update(replace(REPORT, draw_w=500.0, attempts=(saving,)))
    assert reporter.report.version == before
    reporter.update(replace(REPORT, draw_w=400.0, attempts=(replace(saving, observed=Observed.ENDED),)))
    assert reporter.report.version == before + 1


@pytest.mark.parametrize(
    "changes",
    [
        {"alarms": ("smoke",)},
        {"gpus": (replace(GPU, cap_w=200.0),)},
        {"attempts": (AttemptFacts(attempt_id="a-1.1", observed=Observed.ENDED, exit_code=1),)},
        {"attempts": (AttemptFacts(attempt_id="a-1.1", observed=Observed.RUNNING, committed_step=3),)},
        {"attempts": ()},
    ],
    ids=["alarm", "cap", "end", "commit", "gone"],
)
def test_nothing_else_waits_for_the_crowd(changes: dict[str, object]) -> None:
    """While attempts come up on a crowded host, whatever else happens is told at once, and they with it."""
    reporter = Reporter(Crowd)  # type: ignore[arg-type]
    reporter.update(STARTING)
    before = reporter.report.version
    reporter.update(replace(STARTING, **changes))  # type: ignore[arg-type]
    assert reporter.report.version == before + 1


async def test_a_reader_waits_for_news(reporter: Reporter) -> None:
    """A long poll returns with the next version, for each that waits."""
    version = reporter.report.version
    readers = [asyncio.create_task(reporter.after(version, timeout_s=30)) for _ in range(2)]
    await asyncio.sleep(0)
    assert not any(reader.done() for reader in readers)

    reporter.update(replace(REPORT, in_fallback=False))
    assert [report.version for report in await asyncio.gather(*readers)] == [version + 1] * 2


async def test_a_reader_that_is_behind_need_not_wait(reporter: Reporter) -> None:
    """What is new already is told at once; without news the wait ends with what there is."""
    version = reporter.report.version

    assert (await reporter.after(version - 1, timeout_s=30)).version == version
    assert (await reporter.after(version, timeout_s=0.01)).version == version
