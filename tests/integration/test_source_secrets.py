"""No credential of a source is told: not in the log, not on record, not in what the API answers from."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from scheduler.errors import SignalError
from scheduler.hearing import Hearing
from scheduler.ports import LimitSource, ListeningSource
from scheduler.reconcile import Reconciler
from scheduler.signals.http_push import Inbox, Push, read_push_options
from scheduler.store.database import open_database
from scheduler.store.recorder import SqlStore
from scheduler.view import View
from tests.builders import site
from tests.fakes import FakeClock, FakeCluster
from tests.json_served import served as served_json
from tests.mqtt_broker import broker
from tests.stores import put_migrated
from tests.vtn import CLIENT_ID, SECRET, event, served as served_vtn
from tests.waiting import POLL_S

MARKER = SECRET  #: whatever a source is given to keep to itself
USER = "site-user-93c1"
PEERS = ExitStack()


@pytest.fixture(autouse=True)
def _peers_end() -> Iterator[None]:
    yield
    PEERS.close()


def over_openadr() -> tuple[str, dict[str, Any], Callable[[], object]]:
    """A VTN that ends the token, and then answers the request for a new one with the secret itself."""
    vtn = PEERS.enter_context(served_vtn())
    vtn.publish(event("plan", [9]))

    def turn() -> None:
        vtn.revoke()
        vtn.fail("token", 500, MARKER.encode())

    options = {
        "vtn_url": vtn.url,
        "client_id": CLIENT_ID,
        "subscription_w": 9000,
        "every_s": 1e-3,
        "timeout_s": 30,
    }
    return "openadr3", options | {"client_secret": MARKER}, turn


def over_http() -> tuple[str, dict[str, Any], Callable[[], object]]:
    """A server that refuses the token from now on."""
    page = PEERS.enter_context(served_json())
    page.say({"limit": 9000})
    return (
        "http_poll",
        {"url": page.url, "field": "limit", "token": MARKER},
        lambda: setattr(page, "status", 401),
    )


def over_http_with_a_password() -> tuple[str, dict[str, Any], Callable[[], object]]:
    """A server that sends elsewhere, which would be told the password."""
    page = PEERS.enter_context(served_json())
    page.say({"limit": 9000})

    def turn() -> None:
        page.status, page.headers["Location"] = 302, "http://127.0.0.1:1/"

    return "http_poll", {"url": page.url, "field": "limit", "username": USER, "password": MARKER}, turn


def priced() -> tuple[str, dict[str, Any], Callable[[], object]]:
    """Prices of which the next are none."""
    page = PEERS.enter_context(served_json())
    page.say([{"time": f"2026-01-10T{h:02d}:00Z", "price": h} for h in range(24)])
    options = {"url": page.url, "below": 30, "on_w": 9000, "off_w": 0, "every_s": 1e-3, "token": MARKER}
    return "price", options, lambda: page.say({"nothing": 1})


def over_mqtt(folder: Path) -> tuple[str, dict[str, Any], Callable[[], object]]:
    """A broker that is killed."""
    there = PEERS.enter_context(broker(folder))
    there.publish("limit", "9000", retain=True)
    options = {"host": "127.0.0.1", "port": there.port, "tls": False, "topic": "limit"}
    return "mqtt", options | {"username": USER, "password": MARKER}, there.kill


def pushed(folder: Path) -> tuple[str, dict[str, Any], Callable[[], object]]:
    """A push that is kept on the disk, whose file is then broken."""
    options = {"secret": MARKER, "stale_after_s": 1e6}
    read = read_push_options("dso", {"secret_env": "SECRET", "stale_after_s": 1e6})
    push = Push(delivery="d1", at=datetime(2026, 1, 10, 11, 59, tzinfo=UTC), limit_w=9000.0)
    Inbox("dso", read, base=folder).take(push, "digest", signed_at=push.at, at=push.at)
    return (
        "http_push",
        options,
        lambda: (folder / "signals" / "dso.json").write_text("no JSON", encoding="utf-8"),
    )


CASES: dict[str, Callable[[Path], tuple[str, dict[str, Any], Callable[[], object]]]] = {
    "openadr3": lambda _: over_openadr(),
    "http_poll": lambda _: over_http(),
    "http_poll, password": lambda _: over_http_with_a_password(),
    "price": lambda _: priced(),
    "mqtt": over_mqtt,
    "http_push": pushed,
}


def hidden(options: dict[str, Any], place: str, folder: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The same with what is secret in files, or in the environment."""
    told = dict(options)
    for key in ("client_secret", "token", "username", "password", "secret"):
        value = told.pop(key, None)
        if value is not None and place == "file":
            (folder / f"{key}.txt").write_text(f"{value}\n", encoding="utf-8")
            told[f"{key}_file"] = f"{key}.txt"
        elif value is not None:
            patch.setenv(f"BARQ_{key}".upper(), value)
            told[f"{key}_env"] = f"BARQ_{key}".upper()
    return told


class Recorded:
    """A leader with a real store, which is told of a source and writes down what it does."""

    def __init__(self, folder: Path, source: LimitSource) -> None:
        self.clock, self._source = FakeClock(), source
        put_migrated(folder / "barq.db")
        self._engine = open_database(folder / "barq.db")
        self._store = SqlStore(self._engine)
        self._epoch = 0

    async def lead(self) -> None:
        """Become leader."""
        built = site(firm_w=20_000).node("a")
        self._epoch = await self._store.claim("x", at=self.clock.now())
        specs = {gid: g.spec for gid, g in built.groups.items()}
        self.view = View(built.site, specs, epoch=self._epoch, at=self.clock.now(), sources=["dso"])
        self._loop = Reconciler(
            view=self.view, store=self._store, cluster=FakeCluster(), clock=self.clock, holder="x"
        )
        self._hearing = Hearing(self._loop.watchman.tell)

    async def reads(self) -> bool:
        """Read the source as the service does, and have a round. Whether it could be read."""
        now = self.clock.now()
        try:
            self.view.hear(await self._source.read(now), now)
            self._hearing.heard(self._source, now)
        except SignalError as error:
            logging.getLogger("scheduler.service").warning("source %s: %s", self._source.name, error)
            self._hearing.failed(self._source, error, now)
            return False
        finally:
            self.clock.now_ms += 1000
            await self._loop.tick()
        return True

    async def reads_until(self, *, is_read: bool) -> None:
        """Until it can be read, or cannot any more."""
        for _ in range(1200):
            if await self.reads() is is_read:
                return
            await asyncio.sleep(POLL_S)
        raise AssertionError(f"never read = {is_read}")

    async def close(self) -> None:
        """Let go of everything."""
        await self._loop.close()
        if isinstance(self._source, ListeningSource):
            await self._source.close()
        self._store.close()
        self._engine.dispose()


def files_of(folder: Path) -> bytes:
    """All that the store has on the disk."""
    return b"".join(p.read_bytes() for p in sorted(folder.glob("barq.db*")))


@pytest.mark.parametrize("place", ["file", "env"])
@pytest.mark.parametrize("case", CASES)
async def test_what_a_source_is_told_in_confidence_stays_with_it(
    case: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While it is read, when it is refused, and when its peer is gone; also at the finest level of the log."""
    caplog.set_level(logging.DEBUG)
    secrets, peer = tmp_path / "secrets", tmp_path / "peer"
    secrets.mkdir()
    peer.mkdir()
    kind, options, turn = CASES[case](peer)
    if kind == "http_push":
        secrets = peer  # where its inbox is
    told = hidden(options, place, secrets, monkeypatch)
    source = import_module(f"scheduler.signals.{kind}").open_source(
        "dso", told, base=secrets, reaction_s=30.0
    )
    leader = Recorded(tmp_path, source)
    await leader.lead()
    await leader.reads_until(is_read=True)
    turn()
    await leader.reads_until(is_read=False)
    shown = repr(source) + repr(vars(source).get("_options", "")) + repr(leader.view.envelopes)
    await leader.close()
    written = files_of(tmp_path)

    assert b"dso" in written
    assert b"signal.lost" in written
    for secret in {MARKER, USER} & {str(v) for v in options.values()}:
        assert secret not in caplog.text
        assert secret not in shown
        assert secret.encode() not in written
