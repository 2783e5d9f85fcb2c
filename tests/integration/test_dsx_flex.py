"""Load targets over a real MQTT broker, which keeps them, loses them, or hangs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from scheduler.connections import mqtt as link, mqtt_listener
from scheduler.core.envelope import Envelope
from tests.mqtt_broker import Broker, broker
from tests.mqtt_listening import FIRM_W, heard, limit_w, listening, now, refused, trouble, until

ISV = "acme"
COMMANDS = f"grid/v1/isv/{ISV}/loadtarget/set"


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests wait for what they want by themselves."""
    monkeypatch.setattr(mqtt_listener, "FIRST_S", 0.05)


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Broker]:
    """A broker without a lock."""
    with broker(tmp_path) as made:
        yield made


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


async def test_a_broker_that_hangs_is_no_company(
    there: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It accepts what is sent and answers nothing: nobody was heard since, and the link is given up."""
    monkeypatch.setattr(link, "ANSWER_S", 0.3)
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
