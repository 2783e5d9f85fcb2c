"""A real Modbus meter and the reports behind it: which counts, and what is told while the meter fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta

import pytest

from scheduler.connections.registers import ModbusOptions
from scheduler.core.reasons import Event
from scheduler.core.snapshot import MeterReading, Quality
from scheduler.core.trust import Trust
from scheduler.errors import MeterError
from scheduler.signals.meter_modbus import ModbusMeter
from scheduler.signals.meter_simulated import SimulatedMeter
from scheduler.signals.meter_trusted import Link, TrustedMeter
from tests.builders import T0
from tests.modbus_peer import Peer, peer

TRUST = Trust(fresh_s=2, stale_after_s=5, tolerance=0.1, tolerance_w=100, disagree_after_s=3)


class Bench:
    """The meter, its device, what is reported, a clock that a test sets, and what was told."""

    def __init__(self, device: Peer) -> None:
        self.device, self.reported_w, self.at = device, 1000.0, T0
        self.told: list[Event] = []
        metered = ModbusMeter("main", ModbusOptions.model_validate(device.options()), now=self.now)
        self.line = metered._line
        self.line._monotonic_s = self.now_s
        reported = SimulatedMeter(lambda: self.reported_w, now=self.now, source="reports")
        link = Link(name="main", meter=metered, trust=TRUST, poll_s=1)
        self.meter = TrustedMeter([link], reported, tell=self.told.append, now=self.now)

    @property
    def asked(self) -> asyncio.Task[MeterReading] | None:
        """The question in flight."""
        return self.meter._watched[0].asked

    def now(self) -> datetime:
        """The time of the test."""
        return self.at

    def hangs(self) -> None:
        """The device takes questions and does not answer. It is not waited for as long as one that will."""
        self.line.close()
        self.line._options = ModbusOptions.model_validate(self.device.options(timeout_s=0.05))
        self.device.hangs()

    def lacks(self) -> None:
        """The device has no reading."""
        self.device.lacks_power()

    def is_well(self, power_w: float) -> None:
        """The device shows this power."""
        self.line.close()
        self.line._options = ModbusOptions.model_validate(self.device.options())
        self.device.hangs(False)
        self.device.shows(power_w)

    def now_s(self) -> float:
        """As the line counts it."""
        return (self.at - T0).total_seconds()

    async def later(self, seconds: float = 1.0) -> MeterReading:
        """The reading after so many seconds, with whatever the device answered to the question of then."""
        self.at += timedelta(seconds=seconds)
        await self.meter.read()
        if self.asked is not None:
            await asyncio.wait((self.asked,))
        return await self.meter.read()

    @property
    def kinds(self) -> list[str]:
        """Of what was told."""
        return [e.kind for e in self.told]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """A meter that shows 1000 W, as the reports do."""
    async with peer() as device:
        made = Bench(device)
        yield made
        device.hangs(False)
        await made.meter.close()


async def test_the_meter_counts_as_soon_as_it_answers(bench: Bench) -> None:
    """Until then the reports do, and that is no event yet."""
    first = await bench.meter.read()
    assert (first.quality, first.source) == (Quality.ESTIMATED, "reports")
    bench.device.shows(1040.0)
    reading = await bench.later()
    assert (reading.draw_w, reading.quality, reading.source) == (1040.0, Quality.GOOD, "main")
    assert bench.told == []


async def test_it_is_asked_once_a_period(bench: Bench) -> None:
    """However often it is read."""
    await bench.later()
    asked = bench.device.asked
    for _ in range(5):
        await bench.later(0.1)
    assert bench.device.asked == asked
    await bench.later()
    assert bench.device.asked == asked + 1


@pytest.mark.parametrize("fault, quality", [(Bench.hangs, Quality.STALE), (Bench.lacks, Quality.BAD)])
async def test_reports_take_over_and_give_back(
    bench: Bench, fault: Callable[[Bench], None], quality: Quality
) -> None:
    """The last sound reading, then the reports, then the meter again; each change is told once."""
    await bench.later()
    bench.reported_w = 1050.0
    fault(bench)
    qualities = [(await bench.later()).quality for _ in range(8)]
    assert qualities[3] is quality
    assert qualities[-2:] == [Quality.ESTIMATED] * 2
    assert (await bench.later()).draw_w == 1050.0
    bench.is_well(1020.0)
    readings = [await bench.later() for _ in range(7)]  # it is asked again after 5 s at the latest
    assert (readings[-1].draw_w, readings[-1].quality) == (1020.0, Quality.GOOD)
    refused = ["meter.refused"] if quality is Quality.BAD else []
    assert bench.kinds == [*refused, "meter.lost", "meter.back"]
    assert "the sum of what devices report" in bench.told[-2].text


async def test_a_restarted_meter_counts_again(bench: Bench) -> None:
    """It is looked through anew: its registers may be elsewhere."""
    await bench.later()
    await bench.device.stop()
    assert (await bench.later(6)).quality is Quality.ESTIMATED
    bench.device.holds_213(1111.0, base=0)
    await bench.device.start()
    assert (await bench.later(6)).draw_w == 1111.0
    assert bench.kinds == ["meter.lost", "meter.back"]


async def test_a_meter_at_odds_with_the_reports_is_an_alarm_with_both_figures(bench: Bench) -> None:
    """A wrong scale, for one. The meter still judges."""
    await bench.later()
    bench.device.shows(10_000.0, scale=1)
    reading = [await bench.later() for _ in range(6)][-1]
    assert (reading.draw_w, reading.quality) == (10_000.0, Quality.GOOD)
    assert bench.kinds == ["meter.disagrees"]
    assert bench.told[0].data == {
        "meter": "main",
        "draw_w": 10_000.0,
        "other": "reports",
        "reported_w": 1000.0,
    }
    assert "shows 10.00 kW, reports 1.00 kW" in bench.told[0].text
    bench.device.shows(1000.0)
    await bench.later()
    assert bench.kinds == ["meter.disagrees", "meter.agrees"]


async def test_the_time_without_a_meter_is_no_disagreement(bench: Bench) -> None:
    """What differed before and differs after is looked at from the beginning."""
    await bench.later()
    bench.device.shows(9000.0)
    await bench.later()
    await bench.device.stop()
    await bench.later(30)
    await bench.device.start()
    await bench.later(6)
    assert bench.kinds == ["meter.lost", "meter.back"]
    for _ in range(3):
        await bench.later()
    assert bench.kinds == ["meter.lost", "meter.back", "meter.disagrees"]


async def test_with_neither_figure_the_error_says_why_of_both(bench: Bench) -> None:
    """A person has two things to repair."""
    await bench.device.stop()
    bench.reported_w = float("nan")
    with pytest.raises(MeterError, match="main: no answer yet; the reports meter shows nan"):
        await bench.meter.read()
    assert bench.asked is not None
    await asyncio.wait((bench.asked,))
    with pytest.raises(MeterError, match=r"there is no connection.*; the reports meter shows nan"):
        await bench.meter.read()


async def test_a_question_in_flight_ends_with_the_meter(bench: Bench) -> None:
    """Nothing of it is left running."""
    bench.device.hangs()
    await bench.meter.read()
    await bench.meter.close()
    assert bench.asked is None
