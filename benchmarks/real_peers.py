"""Givers of limits as real peers: a broker, servers, meters, files, the API."""

from __future__ import annotations

import asyncio
import json
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from api.settings import Settings
from barq.webhook import SIGNATURE, sign
from tests import vtn
from tests.api_site import ApiSite
from tests.json_served import served
from tests.modbus_peer import Peer, peer
from tests.mqtt_broker import broker

FIRM_W: Final = 2000.0
HIGH_W: Final = 9000.0
SECRET: Final = "latency-of-the-benchmark"  # noqa: S105 - of a site that lives for seconds
POLL_S: Final = 0.5
STALE_S: Final = 4.0


class PeerKind(ABC):
    """One peer. `options` are those of the source's block in the site file."""

    name: ClassVar[str]
    type: ClassVar[str]
    is_push: ClassVar[bool] = False
    period_s: ClassVar[float] = POLL_S  #: how often it is asked
    stale_after_s: ClassVar[float | None] = STALE_S  #: None = it is never stale
    repeat_s: ClassVar[float | None] = None

    def __init__(self, state: Path, draw_w: Callable[[], float]) -> None:
        self.state, self.draw_w = state, draw_w

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Mapping[str, Any]]:
        """The peer's options, while it is there."""
        yield {}

    @abstractmethod
    async def say(self, limit_w: float) -> None:
        """Tell this limit."""

    async def tell(self, limit_w: float) -> float:
        """Tell a limit; the stamp, by CLOCK_REALTIME, taken just before."""
        at_s = time.time()
        await self.say(limit_w)
        return at_s

    async def kill(self) -> None:
        """It is gone, and says nothing more."""
        raise NotImplementedError


class File(PeerKind):
    """A file that is put in its place by renaming."""

    file: ClassVar[str]

    async def say(self, limit_w: float) -> None:
        new = self.state / f"{self.file}.new"
        new.write_text(self.text(limit_w), encoding="utf-8")
        new.replace(self.state / self.file)

    async def kill(self) -> None:
        (self.state / self.file).unlink()

    def text(self, limit_w: float) -> str:
        """The file."""
        raise NotImplementedError


class ScheduleFile(File):
    name = type = "schedule_file"
    file = "schedule.csv"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Mapping[str, Any]]:
        await self.say(HIGH_W)
        yield {"path": self.file, "last_row_s": 3600, "stale_after_s": self.stale_after_s}

    def text(self, limit_w: float) -> str:
        return f"time,limit\n{_now().isoformat()},{limit_w}\n"


class PriceFile(File):
    name, type = "price (file)", "price"
    file = "prices.csv"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Mapping[str, Any]]:
        await self.say(HIGH_W)
        yield {"path": self.file, **_PRICED, "stale_after_s": self.stale_after_s}

    def text(self, limit_w: float) -> str:
        return f"time,price\n{_now().isoformat()},{_price(limit_w)}\n"


_PRICED: Final = {"below": 30, "above": 40, "on_w": HIGH_W, "off_w": FIRM_W, "last_row_s": 3600}


def _price(limit_w: float) -> float:
    return 10.0 if limit_w == HIGH_W else 90.0


class HttpPoll(PeerKind):
    name = type = "http_poll"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Mapping[str, Any]]:
        with served() as self._page:
            await self.say(HIGH_W)
            yield self.options(self._page.url)

    def options(self, url: str) -> Mapping[str, Any]:
        """How it is asked."""
        return {"url": url, "field": "limit", "timeout_s": 1, "stale_after_s": self.stale_after_s}

    async def say(self, limit_w: float) -> None:
        self._page.say({"limit": limit_w})

    async def kill(self) -> None:
        """It accepts connections and answers nothing, which is worse than to be gone."""
        self._page.hangs = True


class PriceUrl(HttpPoll):
    name, type = "price (URL)", "price"
    period_s = POLL_S + 1.0

    def options(self, url: str) -> Mapping[str, Any]:
        prices = {"url": url, "prices_field": "", "every_s": 1, "timeout_s": 1}
        return {**prices, **_PRICED, "stale_after_s": self.stale_after_s}

    async def say(self, limit_w: float) -> None:
        self._page.say([{"time": _now().isoformat(), "price": _price(limit_w)}])


class HttpPush(PeerKind):
    name = type = "http_push"
    is_push = True
    repeat_s = 1.0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Mapping[str, Any]]:
        (self.state / "push-secret").write_text(SECRET, encoding="utf-8")
        options = {"secret_file": "push-secret", "stale_after_s": self.stale_after_s}
        _site_file(self.state, {"type": "http_push", "name": "giver", **options})
        async with ApiSite(self.state, Settings.of_state(self.state)) as site:
            self._client, self._count = site.client_with({}), 0
            await self.say(HIGH_W)
            yield {"name": "giver", **options}
            await self._client.aclose()

    async def say(self, limit_w: float) -> None:
        self._count += 1
        said = {"delivery": f"d{self._count}", "at": _now().isoformat(), "limit_w": limit_w}
        body = json.dumps(said).encode()
        headers = {"Content-Type": "application/json", SIGNATURE: sign(SECRET, body)}
        answer = await self._client.post("/api/v1/signals/giver", content=body, headers=headers)
        answer.raise_for_status()

    async def kill(self) -> None:
        """It only stops to say it again."""


class ByHand(PeerKind):
    name, type = "manual", "constant"
    is_push = True
    stale_after_s = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Mapping[str, Any]]:
        _site_file(self.state, {"type": "constant", "limit_w": HIGH_W})
        async with ApiSite(self.state, Settings.of_state(self.state)) as site:
            self._client = site.client
            yield {"limit_w": HIGH_W}

    async def say(self, limit_w: float) -> None:
        path, body = (
            ("release", {}) if limit_w == HIGH_W else ("limits", {"limit_w": limit_w, "reason": "test"})
        )
        answer = await self._client.post(f"/api/v1/power/{path}", json=body)
        answer.raise_for_status()


class OverMqtt(PeerKind):
    name = type = "mqtt"
    is_push = True
    topic: ClassVar[str] = "feeder/limit"
    repeat_s: ClassVar[float | None] = 1.0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Mapping[str, Any]]:
        with broker(self.state) as made:
            self._broker = made
            self._client = paho.Client(CallbackAPIVersion.VERSION2)
            self._client.connect("127.0.0.1", made.port)
            self._client.loop_start()
            await self.say(HIGH_W)
            yield {"host": "127.0.0.1", "port": made.port, "tls": False, **self.options()}
            self._client.disconnect()
            self._client.loop_stop()

    def options(self) -> Mapping[str, Any]:
        """Beside where the broker is."""
        return {
            "topic": self.topic,
            "field": "limit",
            "timestamp_field": "at",
            "stale_after_s": self.stale_after_s,
        }

    def payload(self, limit_w: float) -> Any:
        """The message."""
        return {"limit": limit_w, "at": _now().isoformat()}

    async def say(self, limit_w: float) -> None:
        self._client.publish(self.topic, json.dumps(self.payload(limit_w)), qos=1, retain=True)

    async def kill(self) -> None:
        self._broker.kill()


class OverDsx(OverMqtt):
    name = type = "dsx_flex"
    topic = "grid/v1/isv/acme/loadtarget/set"
    repeat_s = None

    def options(self) -> Mapping[str, Any]:
        keys = {"client_id": "site", "isv": "acme", "feed": "main", "unsigned": True, "default_w": HIGH_W}
        return {**keys, "stale_after_s": self.stale_after_s}

    def payload(self, limit_w: float) -> Any:
        target = {"interval": {}, "load_constraint": {"value": limit_w / 1e3, "unit": "kilowatt"}}
        return {
            "specversion": "1.0.2",
            "id": f"event-{time.time_ns()}",
            "source": "//grid/v1/isv/acme",
            "type": "grid.loadtarget.set.v1",
            "time": _now().isoformat(),
            "data": {"targets": [target]},
        }


class OverOpenAdr(PeerKind):
    name = type = "openadr3"
    period_s = POLL_S + 1.0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Mapping[str, Any]]:
        with ExitStack() as stack:
            self._vtn, self._stack = stack.enter_context(vtn.served()), stack
            (self.state / "vtn-secret").write_text(vtn.SECRET, encoding="utf-8")
            await self.say(HIGH_W)
            yield {
                "vtn_url": self._vtn.url,
                "client_id": vtn.CLIENT_ID,
                "client_secret_file": "vtn-secret",
                "subscription_w": FIRM_W,
                "every_s": 1,
                "timeout_s": 1,
                "stale_after_s": self.stale_after_s,
            }

    async def say(self, limit_w: float) -> None:
        self._vtn.publish(
            vtn.event("plan", [limit_w / 1e3], start=_now() - timedelta(seconds=1), each="PT9H")
        )

    async def kill(self) -> None:
        await asyncio.to_thread(self._stack.close)


class Meters(PeerKind):
    name = type = "surplus"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Mapping[str, Any]]:
        async with peer() as self._grid, peer() as self._site:
            self._surplus_w = HIGH_W
            showing = asyncio.ensure_future(self._show())
            meters = {"grid": self._described(self._grid), "site": self._described(self._site)}
            yield {**meters, "rise_w_per_s": 5000, "floor_w": FIRM_W, "stale_after_s": self.stale_after_s}
            showing.cancel()

    @staticmethod
    def _described(device: Peer) -> Mapping[str, Any]:
        return device.options(timeout_s=1.0)

    async def _show(self) -> None:
        """The meters show what there is, 20 times a second."""
        while True:
            self._put()
            await asyncio.sleep(0.05)

    def _put(self) -> None:
        own_w = self.draw_w()
        self._site.shows(own_w)
        self._grid.shows(own_w - self._surplus_w)

    async def say(self, limit_w: float) -> None:
        self._surplus_w = limit_w
        self._put()

    async def kill(self) -> None:
        await self._grid.stop()


def _now() -> datetime:
    return datetime.now(UTC)


def _site_file(state: Path, signal: Mapping[str, Any]) -> None:
    nodes = [{"count": 1, "gpus": 4, "simulated": True}]
    site = {"name": "t", "power": {"firm_w": 20_000}, "nodes": nodes, "signals": [signal]}
    (state / "site.yaml").write_text(json.dumps(site), encoding="utf-8")


PEERS: Final = (
    ScheduleFile,
    ByHand,
    OverMqtt,
    OverDsx,
    HttpPoll,
    HttpPush,
    PriceFile,
    PriceUrl,
    OverOpenAdr,
    Meters,
)
