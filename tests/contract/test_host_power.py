"""What may be relied on, whatever switches a machine and reads its power. Enter a new driver in `HOSTS`."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from scheduler.connections.bmc_options import BmcOptions
from scheduler.connections.redfish_documents import HostState
from scheduler.connections.redfish_host import RedfishHost
from scheduler.errors import HostError, HostRefused
from scheduler.ports import HostPower
from tests.fake_host import FakeHost
from tests.redfish_peer import Controller, controller


class Bench(Protocol):
    """A driver, and the machine behind it: on, 800 W, no limit."""

    host: HostPower

    def draws(self, draw_w: float) -> None:
        """What it draws from now on; NaN = its controller has no reading."""
        ...

    def ignores(self) -> None:
        """Its controller says yes from now on, and does nothing."""
        ...

    def falls_silent(self) -> None:
        """Its controller does not answer any more."""
        ...

    def is_on(self) -> bool:
        """Whether the machine is on."""
        ...


class FakeBench:
    def __init__(self) -> None:
        self.fake = FakeHost()
        self.host: HostPower = self.fake

    def draws(self, draw_w: float) -> None:
        self.fake.draws_w = draw_w

    def ignores(self) -> None:
        self.fake.ignores = True

    def falls_silent(self) -> None:
        self.fake.silent = True

    def is_on(self) -> bool:
        return bool(self.fake.is_on)


class RedfishBench:
    def __init__(self, peer: Controller, folder: Path, shape: str) -> None:
        self.peer = peer
        peer.shape = shape
        self.host: HostPower = RedfishHost(
            "node-1", BmcOptions.model_validate(peer.options(folder)), base=folder
        )

    def draws(self, draw_w: float) -> None:
        self.peer.draw_w = None if math.isnan(draw_w) else draw_w

    def ignores(self) -> None:
        self.peer.ignores = True

    def falls_silent(self) -> None:
        self.peer.status = 503

    def is_on(self) -> bool:
        return self.peer.is_on


HOSTS = ["fake", "redfish, power", "redfish, metrics"]


@pytest.fixture(params=HOSTS)
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    """A machine with its driver."""
    with ExitStack() as stack:
        kind, _, shape = request.param.partition(", ")
        made: Bench = FakeBench()
        if kind == "redfish":
            made = RedfishBench(stack.enter_context(controller()), tmp_path, shape)
        yield made
        await made.host.close()


async def test_it_reads_what_the_machine_draws(bench: Bench) -> None:
    """In W, anew each time."""
    assert await bench.host.read_w() == 800.0
    bench.draws(0.0)
    assert await bench.host.read_w() == 0.0


@pytest.mark.parametrize("draw_w", [float("nan"), -5.0, 1e6])
async def test_what_is_no_draw_is_refused(bench: Bench, draw_w: float) -> None:
    """It would be believed otherwise; and the next sound one counts."""
    bench.draws(draw_w)
    with pytest.raises(HostRefused, match="node-1"):
        await bench.host.read_w()
    bench.draws(7.0)
    assert await bench.host.read_w() == 7.0


async def test_it_switches_the_machine_off_and_on(bench: Bench) -> None:
    """And what it says is so of the machine itself."""
    for turn, expected in (
        (bench.host.turn_off(), HostState.OFF),
        (bench.host.turn_on(), HostState.ON),
        (bench.host.turn_off(force=True), HostState.OFF),
    ):
        await turn
        assert await bench.host.state() is expected
        assert bench.is_on() is (expected is HostState.ON)


async def test_a_switch_that_does_nothing_shows_in_the_state(bench: Bench) -> None:
    """That it was accepted says nothing."""
    bench.ignores()
    await bench.host.turn_off(force=True)
    assert await bench.host.state() is HostState.ON


async def test_a_limit_stands_until_it_is_ended(bench: Bench) -> None:
    """As it is read back."""
    assert await bench.host.limit_w() is None
    await bench.host.set_limit_w(650.0)
    assert await bench.host.limit_w() == 650.0
    await bench.host.set_limit_w(None)
    assert await bench.host.limit_w() is None


@pytest.mark.parametrize("limit_w", [0.0, -1.0, 1e7, float("nan")])
async def test_a_limit_that_cannot_be_is_refused(bench: Bench, limit_w: float) -> None:
    """The one before it stands."""
    await bench.host.set_limit_w(500.0)
    with pytest.raises(HostRefused):
        await bench.host.set_limit_w(limit_w)
    assert await bench.host.limit_w() == 500.0


async def test_a_limit_that_is_not_set_is_found_out(bench: Bench) -> None:
    """A controller may say yes to anything."""
    bench.ignores()
    with pytest.raises(HostRefused, match="accepted"):
        await bench.host.set_limit_w(500.0)


async def test_a_silent_controller_is_an_error_of_the_host(bench: Bench) -> None:
    """Of every question, and it names the node."""
    bench.falls_silent()
    for ask in (bench.host.read_w, bench.host.state, bench.host.limit_w, bench.host.turn_on):
        with pytest.raises(HostError, match="node-1"):
            await ask()


async def test_it_can_be_closed_twice_and_used_again(bench: Bench) -> None:
    """A service that stops at once, or stops again."""
    await bench.host.close()
    assert await bench.host.state() is HostState.ON
    await bench.host.close()
    await bench.host.close()
