"""What the site may rely on in sources that it tells how it does. Enter a new one in `TOLD`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from joserfc.jwk import ECKey

from scheduler.connections import mqtt
from scheduler.core.site_state import SiteState
from scheduler.errors import SignalError
from scheduler.ports import ListeningSource, ToldSource
from scheduler.signals.dsx_flex import open_source as open_dsx
from scheduler.signals.openadr3 import open_source as open_openadr
from tests.mqtt_broker import PATIENCE_S, broker
from tests.mqtt_listening import now
from tests.site_told import record, state
from tests.vtn import event, served
from tests.waiting import POLL_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A giver that is there; how it goes away, and comes back."""

    options: Mapping[str, object]
    goes: Callable[[], None]
    comes: Callable[[], None]


@contextmanager
def a_vtn(_: Path) -> Iterator[Peer]:
    """With an event whose demand it wants."""
    with served() as vtn:
        vtn.is_open = True
        asked = {"payloadType": "DEMAND", "startInterval": 1, "numIntervals": 1, "repeat": -1}
        start = now() - timedelta(hours=1)
        vtn.publish(event("plan", [5, 4, 3], start=start, each="PT30M", reportDescriptors=[asked]))
        options = {
            "vtn_url": vtn.url,
            "subscription_w": 1000,
            "timeout_s": 30,
            "stale_after_s": 90,
            "reports": {},
        }

        def goes() -> None:
            for kind in ("vens", "resources", "reports"):
                for _ in range(10):
                    vtn.fail(kind, 500)

        yield Peer(options=options, goes=goes, comes=vtn.faults.clear)


@contextmanager
def a_bus(folder: Path) -> Iterator[Peer]:
    """That keeps a load target."""
    (folder / "key.pem").write_bytes(ECKey.generate_key("P-256").as_pem(private=True))
    target = {"interval": {}, "load_constraint": {"value": 5, "unit": "kilowatt"}}
    sent = {
        "specversion": "1.0",
        "id": "1",
        "source": "//grid/v1/isv/acme",
        "type": "grid.loadtarget.set.v1",
        "time": now().isoformat(),
        "data": {"targets": [target]},
    }
    with broker(folder) as made:
        made.publish("grid/v1/isv/acme/loadtarget/set", json.dumps(sent), retain=True)
        there = {"host": "127.0.0.1", "port": made.port, "tls": False, "client_id": "barq", "isv": "acme"}
        options = there | {"feed": "main", "default_w": 9000, "unsigned": True, "agent": "barq"}
        yield Peer(options=options, goes=made.kill, comes=made.start)


TOLD = {"openadr3": (open_openadr, a_vtn), "dsx_flex": (open_dsx, a_bus)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A source that was read once, and its giver."""

    source: ToldSource
    peer: Peer

    async def limit_w(self) -> float:
        """What it says now."""
        segment = (await self.source.read(now())).limit_at(now())
        assert segment is not None
        return segment.limit_w

    async def until_told(self, goes_through: bool) -> None:
        """Tell it again and again, until that goes through, or does not any more."""
        async with asyncio.timeout(PATIENCE_S):
            while await self._is_told() is not goes_through:  # noqa: ASYNC110 - the peer goes and comes without a word
                await asyncio.sleep(POLL_S)

    async def _is_told(self) -> bool:
        try:
            await self.source.tell(a_state())
        except SignalError:
            return False
        return True


def a_state() -> SiteState:
    """The site as of now, with an hour that is known."""
    at = now()
    return state(at=at, past=record((3600.0, 2000.0), until=at, every_s=5.0).slots())


@pytest.fixture(params=[*TOLD])
async def told(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Told]:
    """One of each."""
    open_source, a_peer = TOLD[request.param]
    with a_peer(tmp_path) as peer:
        source = open_source("grid", peer.options, base=tmp_path, reaction_s=30.0)
        assert isinstance(source, ToldSource)
        assert isinstance(source, ListeningSource)
        made = Told(source=source, peer=peer)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    await made.limit_w()
                    break
                except SignalError:
                    await asyncio.sleep(POLL_S)
        yield made
        await source.close()


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests wait for what they want by themselves."""
    monkeypatch.setattr(mqtt, "UP_S", 0.05)


async def test_it_says_how_often_it_is_told(told: Told) -> None:
    """Where the site file has its giver told at all."""
    assert told.source.tell_every_s is not None
    assert told.source.tell_every_s > 0


async def test_telling_changes_nothing_of_what_is_read(told: Told) -> None:
    """However often, and whatever the state."""
    before = await told.limit_w()
    await told.source.tell(a_state())
    await told.source.tell(state(draw_w=None, quality=None, changes=(), least_w=None, forecast=()))
    assert await told.limit_w() == before


async def test_a_telling_that_was_cut_off_is_made_up_for(told: Told) -> None:
    """The next one goes through, with what holds then."""
    telling = asyncio.ensure_future(told.source.tell(a_state()))
    await asyncio.sleep(0)
    telling.cancel()
    await asyncio.gather(telling, return_exceptions=True)
    await told.source.tell(a_state())


async def test_a_giver_that_takes_nothing_is_an_error_with_its_reason(told: Told) -> None:
    """And no more than that: once it is back, it is told again."""
    told.peer.goes()
    await told.until_told(False)
    told.peer.comes()
    await told.until_told(True)


async def test_a_source_that_is_closed_can_be_closed_again(told: Told) -> None:
    """Also in the midst of a telling."""
    telling = asyncio.ensure_future(told.source.tell(a_state()))
    await asyncio.sleep(0)
    assert isinstance(told.source, ListeningSource)
    await told.source.close()
    telling.cancel()
    await asyncio.gather(telling, return_exceptions=True)
