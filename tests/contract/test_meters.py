"""What the loop may rely on, whatever measures the site. Enter a new meter in `METERS`."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import pytest

from scheduler.connections.bmc_options import BmcOptions
from scheduler.connections.redfish_host import RedfishHost
from scheduler.connections.registers import ModbusOptions
from scheduler.core.orders import GroupKind
from scheduler.core.snapshot import MeterReading, SitePolicy
from scheduler.core.trust import Trust
from scheduler.errors import MeterError
from scheduler.hosts import Device
from scheduler.ports import Meter
from scheduler.signals.meter_modbus import ModbusMeter
from scheduler.signals.meter_redfish import RedfishMeter
from scheduler.signals.meter_simulated import SimulatedMeter
from scheduler.signals.meter_trusted import Link, TrustedMeter
from scheduler.wire import dumps, loads
from tests.modbus_peer import Peer, peer, words
from tests.redfish_peer import Controller, controller


class Bench(Protocol):
    """A meter, and the site before it."""

    meter: Meter

    def draws(self, draw_w: float) -> None:
        """What the site draws from now on; NaN = the meter has no reading."""
        ...


class SimulatedBench:
    def __init__(self) -> None:
        self.draw_w = 0.0
        self.meter: Meter = SimulatedMeter(lambda: self.draw_w)

    def draws(self, draw_w: float) -> None:
        self.draw_w = draw_w


class SunSpecBench:
    def __init__(self, device: Peer) -> None:
        self.device = device
        self.meter: Meter = ModbusMeter("main", ModbusOptions.model_validate(device.options()))

    def draws(self, draw_w: float) -> None:
        if math.isnan(draw_w):
            self.device.lacks_power()
        else:
            self.device.shows(draw_w)


class RegisterBench:
    def __init__(self, device: Peer) -> None:
        self.device = device
        register = {"address": 9, "type": "float32", "scale": 1000}
        options = device.options(map="registers", register=register, import_is="negative")
        self.meter: Meter = ModbusMeter("main", ModbusOptions.model_validate(options))

    def draws(self, draw_w: float) -> None:
        self.device.puts(9, words("f", -draw_w / 1000))


async def simulated(_: AsyncExitStack) -> Bench:
    """What simulated devices draw."""
    return SimulatedBench()


async def sunspec(stack: AsyncExitStack) -> Bench:
    """A SunSpec meter, model 203."""
    return SunSpecBench(await stack.enter_async_context(peer()))


async def registers(stack: AsyncExitStack) -> Bench:
    """A meter with a register in kW that counts import below 0."""
    return RegisterBench(await stack.enter_async_context(peer()))


class TrustedBench:
    def __init__(self) -> None:
        self.draw_w = 0.0
        trust = Trust(fresh_s=2, stale_after_s=5, tolerance=0.1, tolerance_w=10, disagree_after_s=5)
        both = (SimulatedMeter(lambda: self.draw_w), SimulatedMeter(lambda: self.draw_w, source="reports"))
        links = [Link(name=name, meter=both[0], trust=trust, poll_s=0.1) for name in ("main", "second")]
        self.meter: Meter = TrustedMeter(links, both[1], tell=lambda _: None)

    def draws(self, draw_w: float) -> None:
        self.draw_w = draw_w


async def trusted(_: AsyncExitStack) -> Bench:
    """Two meters, and reports that take over; here the reports, for nothing is measured at the first reading."""
    return TrustedBench()


class RedfishBench:
    def __init__(self, device: Controller, folder: Path) -> None:
        self.device = device
        host = RedfishHost("node-1", BmcOptions.model_validate(device.options(folder)), base=folder)
        node = Device(group_id="node-1", kind=GroupKind.NODE, host=host, reported_w=0.0, at_most_w=0.0)
        site = SitePolicy(name="t", firm_w=1.0, overhead=1.0)
        self.host = host
        self.meter: Meter = RedfishMeter("bmcs", lambda: [node], site, tell=lambda _: None)

    def draws(self, draw_w: float) -> None:
        self.device.draw_w = None if math.isnan(draw_w) else draw_w


async def redfish(stack: AsyncExitStack) -> Bench:
    """The controller of the only node."""
    folder = Path(stack.enter_context(TemporaryDirectory()))
    made = RedfishBench(stack.enter_context(controller()), folder)
    stack.push_async_callback(made.host.close)
    return made


METERS = {
    "simulated": simulated,
    "modbus, SunSpec": sunspec,
    "modbus, register": registers,
    "redfish": redfish,
    "trusted": trusted,
}


@pytest.fixture(params=METERS)
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """A meter with its site."""
    async with AsyncExitStack() as stack:
        made = await METERS[request.param](stack)
        yield made
        await made.meter.close()


@pytest.mark.parametrize("draw_w", [0.0, 1.0, 12_000.0])
async def test_it_shows_the_draw_of_the_site(bench: Bench, draw_w: float) -> None:
    """In W, at an aware time, and it says who measured."""
    bench.draws(draw_w)
    reading = await bench.meter.read()
    assert reading.draw_w == pytest.approx(draw_w)
    assert reading.measured_at.utcoffset() == timedelta(0)
    assert reading.source


async def test_each_reading_asks_anew(bench: Bench) -> None:
    """Nothing is kept, and time goes on."""
    bench.draws(5000.0)
    first = await bench.meter.read()
    bench.draws(100.0)
    second = await bench.meter.read()
    assert second.draw_w == pytest.approx(100.0)
    assert first.measured_at <= second.measured_at


@pytest.mark.parametrize("draw_w", [float("nan"), -200.0])
async def test_what_is_no_draw_is_no_reading(bench: Bench, draw_w: float) -> None:
    """It would be believed otherwise; and the next sound one counts."""
    bench.draws(draw_w)
    with pytest.raises(MeterError):
        await bench.meter.read()
    bench.draws(7.0)
    assert (await bench.meter.read()).draw_w == pytest.approx(7.0)


async def test_its_readings_survive_the_wire(bench: Bench) -> None:
    """A snapshot that is recorded holds them."""
    bench.draws(1234.0)
    reading = await bench.meter.read()
    assert loads(MeterReading, dumps(reading)) == reading


async def test_it_can_be_closed_twice_and_unread(bench: Bench) -> None:
    """A service that stops at once, or stops again."""
    await bench.meter.close()
    bench.draws(3.0)
    await bench.meter.read()
    await bench.meter.close()
    await bench.meter.close()


async def test_a_silent_meter_is_an_error_of_the_meter() -> None:
    """It names the meter and where it is."""
    async with peer() as device:
        bench = SunSpecBench(device)
        await device.stop()
        with pytest.raises(MeterError, match=rf"meter main: 127.0.0.1:{device.port} unit 1: there is no"):
            await bench.meter.read()
