"""The scheduler's clock: UTC that never jumps under whoever reckons with it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from scheduler import service as module
from scheduler.clock import STEP_S, SystemClock
from scheduler.errors import ClockWasSet
from scheduler.service import CLOCK_WAS_SET, Service, serve
from tests.reading_service import ReadingService

NOON_S = 1_780_000_000.0
HOUR_S = 3600.0


class Host:
    """A host whose two clocks a test moves."""

    def __init__(self) -> None:
        self.passed_s, self.set_s, self.lost_s = 0.0, 0.0, 0.0
        self.clock = SystemClock(wall_s=lambda: NOON_S + self.set_s + self._look(), boottime_s=self._look)

    def _look(self) -> float:
        """Whoever looks at both may stand still in between."""
        self.passed_s += self.lost_s
        return self.passed_s


def test_the_time_of_day_is_told_while_time_passes() -> None:
    """For a day, and over a leap second."""
    host = Host()
    host.passed_s += 24 * HOUR_S
    host.set_s = -1.0

    assert host.clock.now() == datetime.fromtimestamp(NOON_S + 24 * HOUR_S - 1.0, UTC)


@pytest.mark.parametrize("by_s", [HOUR_S, -HOUR_S, STEP_S + 0.1, -STEP_S - 0.1])
def test_a_time_that_jumped_is_told_nobody(by_s: float) -> None:
    """Not once, and not later: what was noted before would be held against it."""
    host = Host()
    host.passed_s, host.set_s = 10.0, by_s

    for _ in range(2):
        with pytest.raises(ClockWasSet, match=re.escape(f"set by {by_s:+.1f} s")):
            host.clock.now()


def test_a_process_that_stood_still_between_two_looks_sees_no_jump() -> None:
    """A busy machine is no clock that was set."""
    host = Host()
    host.lost_s = 30.0

    host.clock.now()


async def test_the_service_ends_when_the_clock_is_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a code of its own, and before any decision is made by the new time."""
    reading, host = ReadingService(), Host()
    parts: Any = reading.service.parts
    parts.clock = host.clock
    host.set_s = HOUR_S

    async def assembled(*_: object, **__: object) -> Any:
        return parts

    async def run(service: Service) -> None:
        await service._rest(datetime.now(UTC))

    monkeypatch.setattr(module, "assemble", assembled)
    monkeypatch.setattr(Service, "run", run)
    assert await serve(tmp_path, "") == CLOCK_WAS_SET
