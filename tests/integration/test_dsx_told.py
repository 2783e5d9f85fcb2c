"""What a DSX Flex agent publishes, over a real MQTT broker: whoever subscribes can tell that the site said it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from joserfc import jws
from joserfc.jwk import ECKey

from scheduler.connections import mqtt, mqtt_listener
from scheduler.core.site_state import Standing
from scheduler.errors import SignalError
from scheduler.ports import ToldSource
from scheduler.signals.dsx_flex import DsxFlex
from tests.integration.test_dsx_flex import COMMANDS, FLEX, event
from tests.mqtt_broker import PATIENCE_S, Broker, broker
from tests.mqtt_listening import heard, listening, now, trouble, until
from tests.site_told import state

KEY = ECKey.generate_key("P-256")
TOLD = "grid/v1/dsx-flex-agent/barq-1/#"
AGENT = {"agent": "barq-1", "signing_key_file": "key.pem", "unsigned": False, "keys_file": "isv.pem"}
LIMIT_W = 3e6


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests wait for what they want by themselves."""
    monkeypatch.setattr(mqtt_listener, "FIRST_S", 0.05)
    monkeypatch.setattr(mqtt, "UP_S", 0.05)


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Broker]:
    """A broker without a lock."""
    with broker(tmp_path) as made:
        yield made


def signed_event(number: int, megawatts: float) -> str:
    """A load target, signed by the ISV."""
    told = json.loads(event(number, megawatts))
    data = json.dumps(told["data"]).encode()
    return json.dumps(told | {"data": jws.serialize_compact({"alg": "ES256"}, data, KEY)})


@asynccontextmanager
async def an_agent(port: int, folder: Path) -> AsyncIterator[DsxFlex]:
    """A site that tells, and that the ISV's target reached."""
    (folder / "key.pem").write_bytes(KEY.as_pem(private=True))
    (folder / "isv.pem").write_bytes(KEY.as_pem(private=False))
    async with listening(port, folder, **(FLEX | AGENT)) as source:
        assert isinstance(source, DsxFlex)
        assert isinstance(source, ToldSource)
        yield source


@asynccontextmanager
async def a_subscriber(port: int) -> AsyncIterator[aiomqtt.Client]:
    """Who hears all that the agent tells, in the quality in which it is sent."""
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe(TOLD, qos=2)
        yield client


async def next_told(client: aiomqtt.Client) -> tuple[str, int, dict[str, Any]]:
    """The next message: where, in which quality, and its data, if its signature holds."""
    async with asyncio.timeout(PATIENCE_S):
        message = await anext(aiter(client.messages))
    told = json.loads(bytes(message.payload))
    assert told["specversion"] == "1.0.2"
    assert told["source"] == "//grid/v1/dsx-flex-agent/barq-1"
    data = jws.deserialize_compact(told["data"], KEY, algorithms=["ES256"]).payload
    return str(message.topic).removeprefix("grid/v1/dsx-flex-agent/barq-1/"), message.qos, json.loads(data)


async def test_power_state_and_breaches_are_published_and_signed(there: Broker, tmp_path: Path) -> None:
    """The state at least once, a breach exactly once, with the target that stands; a breach first."""
    async with an_agent(there.port, tmp_path) as source, a_subscriber(there.port) as client:
        await trouble(source, "no load target was told yet")
        there.publish(COMMANDS, signed_event(1, 3.0))
        await heard(source, LIMIT_W)
        keeps = {"grid": Standing(limit_w=LIMIT_W, keeps=True)}
        breaks = {"grid": Standing(limit_w=LIMIT_W, keeps=False)}

        await source.tell(state(at=now(), standings=keeps))
        await source.tell(state(at=now(), standings=breaks, draw_w=3.1e6, planned_w=2.9e6))
        await source.tell(state(at=now(), standings=keeps, draw_w=2.9e6, planned_w=2.9e6))

        told = [await next_told(client) for _ in range(5)]

    assert [(topic, qos, data.get("event") or data.get("status")) for topic, qos, data in told] == [
        ("powerstate/status", 1, "target_set"),
        ("powerbreach", 2, "active"),
        ("powerstate/status", 1, "start_ramp_down"),
        ("powerbreach", 2, "resolved"),
        ("powerstate/status", 1, "end_ramp_down"),
    ]
    assert [data["load_constraint"]["value"] for data in told[0][2]["targets"]] == [LIMIT_W]
    assert told[1][2]["severity"] == "warning"


async def test_a_broker_that_hangs_over_what_is_told_is_heard_as_before(
    there: Broker, tmp_path: Path
) -> None:
    """A telling waits for its own answer alone: while it does, reading answers, and the source goes stale by itself."""
    async with an_agent(there.port, tmp_path) as source:
        await trouble(source, "no load target was told yet")
        there.publish(COMMANDS, signed_event(1, 3.0))
        await heard(source, LIMIT_W)
        there.freeze()
        telling = asyncio.ensure_future(source.tell(state(at=now())))
        envelope = await source.read(now())
        assert envelope.segments[-1].limit_w == LIMIT_W
        assert not telling.done()
        there.thaw()
        await telling
        there.publish(COMMANDS, signed_event(2, 2.0))
        await heard(source, 2e6)


async def test_what_cannot_be_published_is_an_error_and_kept_for_nobody(
    there: Broker, tmp_path: Path
) -> None:
    """While the broker is gone it says so at once; once it is back, what holds then is told."""
    async with an_agent(there.port, tmp_path) as source:
        await trouble(source, "no load target was told yet")
        there.kill()
        await until(source, lambda a: isinstance(a, str) and "no load target" not in a)
        with pytest.raises(SignalError, match=r"mqtt://127\.0\.0\.1"):
            await source.tell(state(at=now(), draw_w=1.0))
        there.start()
        await trouble(source, "no load target was told yet")
        async with a_subscriber(there.port) as client:
            await source.tell(state(at=now()))
            topic, _, data = await next_told(client)
    assert (topic, data["event"], data["compliant"]) == ("powerstate/status", "periodic", True)
