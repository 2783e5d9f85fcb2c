"""A limit over a real MQTT broker: how fast it is heard, and what becomes of it when something breaks."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import aiomqtt
import pytest

from scheduler.connections import mqtt_listener
from scheduler.core.envelope import Envelope, limit_of
from tests.mqtt_broker import PATIENCE_S, Broker, broker
from tests.mqtt_listening import FIRM_W, answer_of, heard, listening, now, refused, trouble, until, watts
from tests.reading_service import ReadingService
from tests.waiting import wait_until

TOPIC = "feeder/12/limit"
STATUS = "feeder/12/status"


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests wait for what they want by themselves."""
    monkeypatch.setattr(mqtt_listener, "FIRST_S", 0.05)


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Broker]:
    """A broker without a lock."""
    with broker(tmp_path) as made:
        yield made


async def test_a_limit_is_heard_when_it_is_published(there: Broker, tmp_path: Path) -> None:
    """The source itself says that it has news, so that nobody waits for the next reading."""
    there.publish(TOPIC, "480", retain=True)
    async with listening(there.port, tmp_path, topic=TOPIC, unit="kW") as source:
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
    reading = ReadingService()
    service, view = reading.service, reading.view
    there.publish(TOPIC, "9000", retain=True)
    async with listening(there.port, tmp_path, topic=TOPIC) as source:
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
    async with listening(
        there.port, tmp_path, topic=TOPIC, field="limit", timestamp_field="at", max_w=1e6
    ) as source:
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
    async with listening(there.port, tmp_path, topic=TOPIC, stale_after_s=2.0) as source:
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
    async with listening(there.port, tmp_path, topic=TOPIC, field="limit", timestamp_field="/at") as source:
        assert abs((await heard(source, 9000)).read_at - at) < timedelta(milliseconds=1)
    async with listening(there.port, tmp_path, topic=TOPIC, field="limit") as source:
        limit = limit_of(await heard(source, 9000), now(), now=now(), firm_w=FIRM_W)
        assert limit is not None
        assert (limit.limit_w, limit.stale) == (FIRM_W, True)
        there.publish(TOPIC, json.dumps({"limit": 9000}))
        await until(source, lambda a: isinstance(a, Envelope) and now() - a.read_at < timedelta(minutes=1))


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
    async with listening(there.port, tmp_path, topic=TOPIC, status_topic=STATUS, stale_after_s=1.0) as source:
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

    async with listening(guarded.port, tmp_path, topic=TOPIC, **SECURE) as source:
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
        async with listening(guarded.port, tmp_path, topic=TOPIC, **(SECURE | changed)) as source:
            text = await until(source, lambda a: isinstance(a, str) and "not connected yet" not in a)
            assert isinstance(text, str)
            assert words in text
            assert "secret" not in text
    assert "a long secret" not in caplog.text
    assert "a wrong secret" not in caplog.text
