"""What every driver of one machine must do, run on each driver at its bench."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.miners.benches import BENCHES, PATIENT_S, SHORT_S, WIRED, WITH_PASSWORD, Bench
from tests.miners.effect import Effect, Order, Sleep, TargetWatts, Wake, carry_out
from tests.miners.emulator import Fault
from workers.miners.port import (
    Identity,
    Miner,
    MinerError,
    MinerState,
    NotUnderstood,
    Refused,
    Unreachable,
    Wrong,
)

PATIENCE_S = 60.0


@asynccontextmanager
async def on_bench(name: str, directory: Path) -> AsyncIterator[Bench]:
    """A machine that runs; at the end its driver has sent no order but those that it may send."""
    bench = BENCHES[name](directory)
    await bench.start()
    try:
        yield bench
        received = [] if bench.emulator is None else bench.emulator.requests
        assert {order for request in received if (order := bench.orders_in(request))} <= bench.may_order
    finally:
        await bench.stop()


@pytest.fixture(params=sorted(BENCHES))
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    """Every driver."""
    async with on_bench(request.param, tmp_path) as bench:
        yield bench


@pytest.fixture(params=sorted(WIRED))
async def wired(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    """Every driver that speaks over a wire."""
    async with on_bench(request.param, tmp_path) as bench:
        yield bench


@pytest.fixture(params=sorted(WITH_PASSWORD))
async def guarded(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    """Every driver whose machine asks for a password."""
    async with on_bench(request.param, tmp_path) as bench:
        yield bench


async def verified(miner: Miner, order: Order, *, deadline_s: float = PATIENCE_S) -> Effect:
    """What came of an order."""
    return await carry_out(miner, order, nameplate_w=3400.0, deadline_s=deadline_s, poll_s=0.01)


def calls(miner: Miner) -> dict[str, Callable[[], Awaitable[object]]]:
    """Everything that can be asked of a machine over its wire."""
    return {
        "identify": miner.identify,
        "read": miner.read,
        "sleep": miner.sleep,
        "wake": miner.wake,
        "set_target_w": lambda: miner.set_target_w(3000.0),
    }


async def failures(miner: Miner) -> dict[str, type[MinerError]]:
    """How each call failed, all at the same time. Anything but a MinerError fails the test."""
    failed: dict[str, type[MinerError]] = {}

    async def call(name: str, asked: Callable[[], Awaitable[object]]) -> None:
        with pytest.raises(MinerError, match=miner.address) as caught:
            await asked()
        failed[name] = caught.type

    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*(call(name, asked) for name, asked in calls(miner).items()))
    return failed


async def test_it_says_which_machine_it_is(bench: Bench) -> None:
    """Make, model and firmware are told, and at least sleep can be asked for, or it is read only."""
    miner = bench.driver()
    identity = await miner.identify()

    assert identity.make
    assert identity.model
    assert identity.firmware_version
    assert identity.serial
    assert identity.capabilities.pause
    assert not identity.capabilities.read_only
    await miner.close()


async def test_a_running_machine_is_read(bench: Bench) -> None:
    """State, draw and efficiency are those of a machine at its nameplate."""
    miner = bench.driver()
    assert (await verified(miner, Wake())).is_confirmed
    reading = await miner.read()

    assert reading.state is MinerState.RUNNING
    assert reading.draw_w == pytest.approx(bench.nameplate_w, abs=2.0)
    assert reading.joule_per_th == pytest.approx(17.0, abs=0.1)
    await miner.close()


async def test_it_sleeps_and_wakes(bench: Bench) -> None:
    """Asleep is verified by state and watts; awake it is back at its target. Said twice, nothing changes."""
    miner = bench.driver()
    for order in (Sleep(), Sleep(), Wake(), Wake()):
        effect = await verified(miner, order)
        assert (effect.is_confirmed, effect.in_doubt_w, effect.error) == (True, 0.0, None)
        assert effect.last is not None
        assert (effect.last.joule_per_th is None) is (order == Sleep())
    assert (await miner.read()).draw_w == pytest.approx(bench.nameplate_w, rel=0.05)
    await miner.close()


async def test_a_target_within_its_limits_is_reached(bench: Bench) -> None:
    """It takes the nearest that it can and never more; the draw follows, and the reading says so."""
    miner = bench.driver()
    targets = (await miner.identify()).capabilities.watts
    if targets is None:
        with pytest.raises(Refused):
            await miner.set_target_w(bench.nameplate_w)
        return
    for target_w in (bench.nameplate_w * 0.7, bench.nameplate_w * 9):
        taken_w = await miner.set_target_w(target_w)
        assert taken_w == targets.nearest_below_w(target_w)
        assert (await verified(miner, TargetWatts(target_w=taken_w))).is_confirmed
        assert (await miner.read()).target_w == pytest.approx(taken_w)
    await miner.close()


async def test_a_target_below_its_least_is_refused(bench: Bench) -> None:
    """Clearly, and nothing changes."""
    miner = bench.driver()
    before = await miner.read()

    with pytest.raises(Refused, match="sleep"):
        await miner.set_target_w(10.0)
    assert (await miner.read()).target_w == before.target_w
    await miner.close()


async def test_a_trim_is_taken_or_refused(bench: Bench) -> None:
    """By what its capabilities say."""
    miner = bench.driver()
    if (await miner.identify()).capabilities.percent is None:
        with pytest.raises(Refused):
            await miner.set_percent(80.0)
    else:
        assert await miner.set_percent(80.0) == pytest.approx(80.0, abs=1.0)
    await miner.close()


async def test_closing_twice_is_once(bench: Bench) -> None:
    """And the machine goes on."""
    miner = bench.driver()
    await miner.read()
    await miner.close()
    await miner.close()

    assert bench.emulator is None or not bench.emulator.plant.asleep


async def test_a_machine_that_lies_stays_in_doubt(wired: Bench) -> None:
    """It says OK and goes on drawing: unconfirmed, with the watts that it draws."""
    assert wired.emulator is not None
    wired.emulator.breaks(Fault.DEAF)
    miner = wired.driver()
    effect = await verified(miner, Sleep(), deadline_s=0.1)

    assert not effect.is_confirmed
    assert effect.in_doubt_w == pytest.approx(wired.nameplate_w, abs=2.0)
    await miner.close()


async def test_a_locked_machine_refuses_and_is_not_unlocked(wired: Bench) -> None:
    """The refusal says so; it can still be read, and it draws as before."""
    assert wired.emulator is not None
    wired.emulator.breaks(Fault.LOCKED)
    miner = wired.driver()
    effect = await verified(miner, Sleep())

    assert isinstance(effect.error, Refused)
    assert effect.last is not None
    assert effect.in_doubt_w == pytest.approx(wired.nameplate_w, abs=2.0)
    await miner.close()


async def test_a_silent_machine_counts_in_full(wired: Bench) -> None:
    """What no longer answers may draw its nameplate."""
    assert wired.emulator is not None
    wired.emulator.breaks(Fault.HANGS)
    miner = wired.driver(deadline_s=SHORT_S)
    effect = await verified(miner, Sleep(), deadline_s=0.1)

    assert isinstance(effect.error, Unreachable)
    assert (effect.is_confirmed, effect.in_doubt_w) == (False, 3400.0)
    await miner.close()


@pytest.mark.parametrize(
    "fault, kinds",
    [
        (Fault.HANGS, {Unreachable}),
        (Fault.DROPS, {Unreachable}),
        (Fault.BREAKS_OFF, {Unreachable, NotUnderstood}),
        (Fault.MALFORMED, {NotUnderstood}),
    ],
    ids=lambda value: value.value if isinstance(value, Fault) else "",
)
async def test_a_broken_wire_has_its_error(wired: Bench, fault: Fault, kinds: set[type[MinerError]]) -> None:
    """Each call fails with the error of what happened, and with nothing else."""
    assert wired.emulator is not None
    wired.emulator.breaks(fault)
    miner = wired.driver(deadline_s=SHORT_S if fault is Fault.HANGS else PATIENT_S)
    failed = await failures(miner)

    assert set(failed.values()) <= kinds
    await miner.close()


async def test_nobody_there_is_unreachable(wired: Bench) -> None:
    """A closed port."""
    assert wired.emulator is not None
    miner = wired.driver()
    await wired.stop()

    assert set((await failures(miner)).values()) == {Unreachable}
    await miner.close()


async def test_a_wrong_password_is_refused(guarded: Bench) -> None:
    """Everything that needs it, and nothing happens."""
    assert guarded.emulator is not None
    miner = guarded.driver(password="guess")  # noqa: S106 (a wrong one)
    failed = await failures(miner)

    assert failed["sleep"] is Refused
    assert set(failed.values()) == {Refused}
    assert not guarded.emulator.plant.asleep
    await miner.close()


async def _serve(answer: bytes) -> asyncio.Server:
    """Something that answers so to the first line of whatever is asked."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    return await asyncio.start_server(talk, "127.77.255.1", 0)


PAGE = b"<html><body>Not found</body></html>"
HTTP_404 = b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s" % (
    len(PAGE),
    PAGE,
)
HTTP_401 = (
    b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm="antMiner Configuration"\r\n'
    b"Content-Length: 0\r\n\r\n"
)
SSH = b"SSH-2.0-emulated\r\n"


@pytest.mark.parametrize("answer", [HTTP_404, HTTP_401, SSH], ids=["web-server", "stock-firmware", "ssh"])
async def test_an_address_that_is_something_else_is_wrong(wired: Bench, answer: bytes) -> None:
    """A web server, another firmware's page, an SSH server: Wrong, from the very first question."""
    server = await _serve(answer)
    host, port = server.sockets[0].getsockname()[:2]
    miner = wired.driver(host=host, port=port)
    with pytest.raises(Wrong, match=f"{host}:{port}"):
        await miner.identify()
    server.close()
    await miner.close()


@pytest.mark.parametrize("other", sorted(WIRED))
async def test_another_firmware_is_wrong(wired: Bench, other: str, tmp_path: Path) -> None:
    """Each driver at each other firmware's machine says that it is not its own, and orders nothing there."""
    async with on_bench(other, tmp_path) as there:
        assert there.emulator is not None
        miner = wired.driver(host=there.emulator.host, port=there.emulator.port)
        try:
            identity: Identity | None = await miner.identify()
        except (Wrong, Unreachable):  # some close on what they cannot read, and say nothing
            identity = None
        assert (identity is not None) is (type(there) is type(wired))
        there.emulator.requests.clear()  # a login at a stranger is no order of ours to its machine
        await miner.close()
