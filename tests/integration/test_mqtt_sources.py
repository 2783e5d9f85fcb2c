"""Limits over a real MQTT broker: how fast they are heard, and what becomes of them when something breaks."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiomqtt
import pytest

from scheduler.clock import SystemClock
from scheduler.connections import mqtt as mqtt_link
from scheduler.core.envelope import Envelope, limit_of
from scheduler.errors import SignalError
from scheduler.ports import PushedSource
from scheduler.service import Service
from scheduler.signals import dsx_flex, mqtt
from scheduler.watchman import Watchman
from tests.mqtt_broker import PATIENCE_S, Broker, broker
from tests.waiting import POLL_S, wait_until

TOPIC = "feeder/12/limit"
STATUS = "feeder/12/status"
FIRM_W = 6_000.0
ISV = "acme"
COMMANDS = f"grid/v1/isv/{ISV}/loadtarget/set"


def now() -> datetime:
    """Of the machine, as the source has it."""
    return datetime.now(UTC)


@asynccontextmanager
async def listening(port: int, base: Path, **options: Any) -> AsyncIterator[PushedSource]:
    """A source as the site file describes it, closed at the end."""
    module = dsx_flex if "isv" in options else mqtt
    given = {"host": "127.0.0.1", "port": port, "tls": False} | options
    if module is mqtt:
        given = {"topic": TOPIC} | given
    source = module.open_source("grid", given, base=base, reaction_s=30.0)
    try:
        yield source
    finally:
        await source.close()


async def until(source: PushedSource, holds: Callable[[Envelope | str], bool]) -> Envelope | str:
    """The first answer for which that holds: an envelope, or why there is none."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds(answer := await answer_of(source)):  # noqa: ASYNC110 - a source ages without an event
            await asyncio.sleep(POLL_S)
    return answer


async def answer_of(source: PushedSource) -> Envelope | str:
    """An envelope, or why there is none."""
    try:
        return await source.read(now())
    except SignalError as error:
        return str(error)


async def heard(source: PushedSource, limit_w: float) -> Envelope:
    """The envelope, once the limit is this."""
    answer = await until(source, lambda a: isinstance(a, Envelope) and watts(a) == limit_w)
    assert isinstance(answer, Envelope)
    return answer


async def trouble(source: PushedSource, words: str) -> str:
    """Why it cannot be read, once that says so."""
    answer = await until(source, lambda a: isinstance(a, str) and words in a)
    assert isinstance(answer, str)
    return answer


def watts(envelope: Envelope) -> float | None:
    """The limit in force now."""
    segment = envelope.limit_at(now())
    return None if segment is None else segment.limit_w


async def refused(source: PushedSource) -> str:
    """The next thing that it did not take."""
    async with asyncio.timeout(PATIENCE_S):
        while not (texts := source.refused()):
            await source.news()
    (text,) = texts
    return text


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests wait for what they want by themselves."""
    monkeypatch.setattr(mqtt, "FIRST_S", 0.05)
    monkeypatch.setattr(dsx_flex, "FIRST_S", 0.05)


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Broker]:
    """A broker without a lock."""
    with broker(tmp_path) as made:
        yield made


async def test_a_limit_is_heard_when_it_is_published(there: Broker, tmp_path: Path) -> None:
    """The source itself says that it has news, so that nobody waits for the next reading."""
    there.publish(TOPIC, "480", retain=True)
    async with listening(there.port, tmp_path, unit="kW") as source:
        await heard(source, 480e3)
        await source.news()  # of that first message
        waits = asyncio.ensure_future(source.news())
        there.publish(TOPIC, "160")
        await asyncio.wait_for(waits, PATIENCE_S)

        envelope = await source.read(now())

    assert watts(envelope) == 160e3
    assert envelope.segments[0].provenance == f"topic {TOPIC}"
    assert source.refused() == ()


async def test_the_service_has_the_limit_when_it_is_published(there: Broker, tmp_path: Path) -> None:
    """Though its next reading by the clock is an hour away; and its next tick waits for nothing."""
    view = SimpleNamespace(envelopes={})
    parts = SimpleNamespace(clock=SystemClock(), view=view, reconciler=SimpleNamespace(watchman=Watchman()))
    service = Service(cast("Any", parts))
    there.publish(TOPIC, "9000", retain=True)
    async with listening(there.port, tmp_path) as source:
        polls = asyncio.ensure_future(service._poll(source, 3600.0))
        await wait_until(lambda: "grid" in view.envelopes, timeout_s=PATIENCE_S)
        service._urged.clear()
        there.publish(TOPIC, "4000")
        await wait_until(lambda: watts(view.envelopes["grid"]) == 4000, timeout_s=PATIENCE_S)
        polls.cancel()
        await asyncio.gather(polls, return_exceptions=True)

    assert service._urged.is_set()


async def test_what_cannot_be_true_is_refused_and_the_last_limit_stands(
    there: Broker, tmp_path: Path
) -> None:
    """Each with a text that names the topic, what it was and why."""
    async with listening(there.port, tmp_path, field="limit", timestamp_field="at", max_w=1e6) as source:
        await trouble(source, "no valid message yet")
        at = now().replace(microsecond=0)

        def say(limit: str, seconds: float = 0.0) -> None:
            stamp = (at + timedelta(seconds=seconds)).isoformat()
            there.publish(TOPIC, f'{{"limit": {limit}, "at": "{stamp}"}}')

        say("9000")
        await heard(source, 9000)
        for limit, seconds, why in (
            ("NaN", 1, "it holds NaN"),
            ("-5", 1, "-5 W, below 0"),
            ("7e9", 1, "above the 1e+06 W that are believed"),
            ("null", 1, "no number"),
            ("9000", 0, "it is the same message again"),
            ("8000", -60, "messages have to come in order"),
            ("8000", 3600, "s ahead; check the clocks"),
        ):
            say(limit, seconds)
            text = await refused(source)
            assert text.startswith(f"{TOPIC}: ")
            assert why in text
        there.publish(TOPIC, b"\xff\x00 nonsense")
        assert "no text in UTF-8" in await refused(source)

        assert watts(await source.read(now())) == 9000


async def test_a_killed_broker_leaves_the_last_limit_or_the_firm_one(there: Broker, tmp_path: Path) -> None:
    """It is said at once that nothing can be heard; the limit ages from the last word on; a new broker is found."""
    async with listening(there.port, tmp_path, stale_after_s=2.0) as source:
        for published_w in (9000.0, 4000.0):
            await answer_of(source)
            there.publish(TOPIC, str(published_w), retain=True)
            last = await heard(source, published_w)
            there.kill()
            await trouble(source, f"mqtt://127.0.0.1:{there.port}: ")

            late = last.read_at + timedelta(seconds=2.1)
            limit = limit_of(last, late, now=late, firm_w=FIRM_W)
            assert limit is not None
            assert (limit.limit_w, limit.stale) == (min(published_w, FIRM_W), True)

            there.start()
            await until(source, lambda a: not isinstance(a, str))


async def test_a_retained_limit_is_as_old_as_it_says(there: Broker, tmp_path: Path) -> None:
    """However fresh the connection; and one that says nothing of its age is taken for old until the giver speaks."""
    at = now() - timedelta(hours=1)
    there.publish(TOPIC, json.dumps({"limit": 9000, "at": at.timestamp()}), retain=True)
    async with listening(there.port, tmp_path, field="limit", timestamp_field="/at") as source:
        assert abs((await heard(source, 9000)).read_at - at) < timedelta(milliseconds=1)
    async with listening(there.port, tmp_path, field="limit") as source:
        limit = limit_of(await heard(source, 9000), now(), now=now(), firm_w=FIRM_W)
        assert limit is not None
        assert (limit.limit_w, limit.stale) == (FIRM_W, True)
        there.publish(TOPIC, json.dumps({"limit": 9000}))
        await until(source, lambda a: isinstance(a, Envelope) and now() - a.read_at < timedelta(minutes=1))


async def test_a_broker_that_hangs_is_no_company(
    there: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It accepts what is sent and answers nothing: nobody was heard since, and the link is given up."""
    monkeypatch.setattr(mqtt_link, "ANSWER_S", 0.3)
    async with listening(there.port, tmp_path, **FLEX, stale_after_s=0.3) as source:
        await trouble(source, "no load target was told yet")
        there.publish(COMMANDS, event(1, 3.0))
        await heard(source, 3e6)
        there.freeze()
        last = await until(
            source, lambda a: isinstance(a, str) or now() - a.read_at > timedelta(seconds=0.35)
        )
        await trouble(source, "Operation timed out")
        there.thaw()
        again = await heard(source, 3e6)

    assert isinstance(last, str) or limit_w(last) == FIRM_W
    assert limit_w(again) == 3e6


@asynccontextmanager
async def a_giver_that_dies(port: int) -> AsyncIterator[None]:
    """It is online, and at the end its line is cut, so that the broker publishes its will."""
    giver = aiomqtt.Client("127.0.0.1", port, will=aiomqtt.Will(STATUS, "gone", qos=1, retain=True))
    await giver.__aenter__()
    await giver.publish(STATUS, "online", qos=1, retain=True)
    yield
    line = giver._client.socket()
    assert isinstance(line, socket.socket)
    line.shutdown(socket.SHUT_RDWR)
    with pytest.raises(aiomqtt.MqttError):
        await anext(aiter(giver.messages))


async def test_the_last_will_of_the_giver_is_heard(there: Broker, tmp_path: Path) -> None:
    """While it is online its limit needs no repeating; when it dies its will says so."""
    there.publish(TOPIC, "9000", retain=True)
    async with listening(there.port, tmp_path, status_topic=STATUS, stale_after_s=1.0) as source:
        await heard(source, 9000)
        async with a_giver_that_dies(there.port):
            first = await until(source, lambda a: isinstance(a, Envelope) and a.read_at.year > 1970)
            assert isinstance(first, Envelope)
            await until(source, lambda a: isinstance(a, Envelope) and a.read_at > first.read_at)

        assert "the giver is not there: it says 'gone'" in await trouble(source, STATUS)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Broker]:
    """A broker with TLS of a private CA, for a name and password only."""
    lines = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "1",
    ]
    ca = [*lines, "-subj", "/CN=ca of the dso", "-keyout", "ca.key", "-out", "ca.pem"]
    other = [*lines, "-subj", "/CN=another", "-keyout", "other.key", "-out", "other.pem"]
    openssl(tmp_path, *ca)
    openssl(tmp_path, *other)
    for name in ("broker", "site"):
        signed = [*lines, "-CA", "ca.pem", "-CAkey", "ca.key", "-subj", f"/CN={name}"]
        signed += ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]
        openssl(tmp_path, *signed, "-keyout", f"{name}.key", "-out", f"{name}.pem")
    (tmp_path / "user").write_text("site-7\n", encoding="utf-8")
    (tmp_path / "password").write_text("a long secret\n", encoding="utf-8")
    subprocess.run(
        ["mosquitto_passwd", "-b", "-c", "passwords", "site-7", "a long secret"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    lines = [f"{k} {tmp_path / v}" for k, v in TLS_FILES.items()]
    with broker(tmp_path, "allow_anonymous false", "require_certificate true", *lines) as made:
        yield made


TLS_FILES = {
    "cafile": "ca.pem",
    "certfile": "broker.pem",
    "keyfile": "broker.key",
    "password_file": "passwords",
}
SECURE = {
    "tls": True,
    "ca_file": "ca.pem",
    "certificate_file": "site.pem",
    "key_file": "site.key",
    "username_file": "user",
    "password_file": "password",
}


def openssl(folder: Path, *arguments: str) -> None:
    """It comes with Debian."""
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


async def test_tls_with_a_private_ca_a_certificate_and_a_password(
    guarded: Broker, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all of them the limit is heard; without one of them it is said which, and the password nowhere."""
    caplog.set_level(logging.DEBUG)
    files = {"ca_certs": "ca.pem", "certfile": "site.pem", "keyfile": "site.key"}
    tls = {key: str(tmp_path / name) for key, name in files.items()}
    auth = {"username": "site-7", "password": "a long secret"}
    guarded.publish(TOPIC, "480", retain=True, auth=auth, tls=tls)

    async with listening(guarded.port, tmp_path, **SECURE) as source:
        await heard(source, 480)

    monkeypatch.setenv("DSO_PASSWORD", "a wrong secret")
    wrong = {"password_file": None, "password_env": "DSO_PASSWORD"}
    for changed, words in (
        ({"ca_file": "other.pem"}, "check ca_file"),
        ({"certificate_file": None, "key_file": None}, "check certificate_file"),
        (wrong, "check what username_file, password_file (or _env)"),
        ({"password_file": "missing"}, "missing: No such file or directory; put the password there"),
        ({"ca_file": "user"}, "put the CA's certificate there"),
        ({"certificate_file": "ca.pem"}, "certificate_file: ca.pem, site.key"),
    ):
        async with listening(guarded.port, tmp_path, **(SECURE | changed)) as source:
            text = await until(source, lambda a: isinstance(a, str) and "not connected yet" not in a)
            assert isinstance(text, str)
            assert words in text
            assert "secret" not in text
    assert "a long secret" not in caplog.text
    assert "a wrong secret" not in caplog.text


def event(number: int, megawatts: float | None, *, start: datetime | None = None, **data: Any) -> str:
    """A load target without an end, as an ISV sends it."""
    constraint = None if megawatts is None else {"value": megawatts, "unit": "megawatt"}
    interval = {"start_time": (start or now()).isoformat()}
    return json.dumps(
        {
            "specversion": "1.0.2",
            "id": f"00000000-0000-4000-8000-{number:012d}",
            "source": f"//grid/v1/isv/{ISV}",
            "type": "grid.loadtarget.set.v1",
            "time": now().isoformat(),
            "datacontenttype": "application/json",
            "subject": "loadtarget",
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "data": {"targets": [{"interval": interval, "load_constraint": constraint, **data}]},
        }
    )


FLEX = {"isv": ISV, "client_id": "barq-test", "feed": "main-a", "default_w": 5e6, "unsigned": True}


async def test_load_targets_are_heard_also_those_sent_while_the_link_was_down(
    there: Broker, tmp_path: Path
) -> None:
    """The broker keeps them for the site; its answers are what keeps a target fresh that nobody repeats."""
    async with listening(there.port, tmp_path, **FLEX, stale_after_s=1.0) as source:
        await trouble(source, "no load target was told yet")
        there.publish(COMMANDS, event(1, 3.0, feed_tags=["main-a"]))
        told = await heard(source, 3e6)
        await until(
            source, lambda a: isinstance(a, Envelope) and a.read_at > told.read_at + timedelta(seconds=1)
        )

        await another_takes_the_name(there.port)
        there.publish(COMMANDS, event(2, 2.0))
        envelope = await heard(source, 2e6)

        assert limit_w(envelope) == 2e6
        there.publish(COMMANDS, event(2, 2.0))
        assert "is known already" in await refused(source)
        there.publish(COMMANDS, event(3, None))
        await heard(source, 5e6)


async def another_takes_the_name(port: int) -> None:
    """The broker ends the link of who had it before, and keeps its session."""
    async with aiomqtt.Client("127.0.0.1", port, identifier="barq-test", clean_session=False):
        pass


async def test_targets_that_may_have_been_missed_hold_the_site_to_firm(there: Broker, tmp_path: Path) -> None:
    """A broker that lost all it knew may have lost a target too; the next one without an end ends the doubt."""
    async with listening(there.port, tmp_path, **FLEX) as source:
        await trouble(source, "no load target was told yet")
        there.publish(COMMANDS, event(1, 3.0))
        assert limit_w(await heard(source, 3e6)) == 3e6
        there.kill()
        await trouble(source, "mqtt://")
        there.start()
        after = await until(source, lambda a: isinstance(a, Envelope))
        assert isinstance(after, Envelope)
        assert limit_w(after) == FIRM_W

        there.publish(COMMANDS, event(2, 3.5))
        assert limit_w(await heard(source, 3.5e6)) == 3.5e6


def limit_w(envelope: Envelope) -> float:
    """What counts of it now."""
    limit = limit_of(envelope, now(), now=now(), firm_w=FIRM_W)
    assert limit is not None
    return limit.limit_w
