"""Sources that listen at a real broker, for the contract suite: told at its T0, and read at whatever time it likes."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from scheduler.core.envelope import Envelope
from scheduler.errors import SignalError
from scheduler.ports import LimitSource, ListeningSource
from scheduler.signals import read_options
from scheduler.signals.dsx_flex import DsxFlex, DsxOptions
from scheduler.signals.mqtt import Mqtt, MqttOptions
from tests.mqtt_broker import PATIENCE_S, broker
from tests.waiting import POLL_S

_numbers = itertools.count()


class Patient:
    """A source whose first message is waited for."""

    def __init__(self, source: ListeningSource) -> None:
        self.name, self._source = source.name, source

    async def read(self, at: datetime) -> Envelope:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    return await self._source.read(at)
                except SignalError:
                    await asyncio.sleep(POLL_S)

    def refused(self) -> Sequence[str]:
        return self._source.refused()

    async def close(self) -> None:
        await self._source.close()


@contextmanager
def a_broker_that_knows(folder: Path, t0: datetime) -> Iterator[int]:
    """Its port; it keeps a limit and a load target, which is lower for an hour later on."""
    at, later = t0 - timedelta(seconds=1), t0 + timedelta(hours=1)
    lower = {"start_time": later.isoformat(), "end_time": (later + timedelta(hours=1)).isoformat()}
    event = {
        "specversion": "1.0.2",
        "id": "f0a4b0de-1d9f-4a0e-9d1c-0c3f0f5d1b11",
        "source": "//grid/v1/isv/acme",
        "type": "grid.loadtarget.set.v1",
        "time": at.isoformat(),
        "data": {
            "targets": [
                {"interval": {}, "load_constraint": {"value": 300, "unit": "kilowatt"}},
                {"interval": lower, "load_constraint": {"value": 0.1, "unit": "megawatt"}},
            ]
        },
    }
    with broker(folder) as made:
        made.publish("limit", json.dumps({"limit": 200.5, "at": at.isoformat()}), retain=True)
        made.publish("grid/v1/isv/acme/loadtarget/set", json.dumps(event), retain=True)
        yield made.port


def _mqtt(port: int, t0: datetime) -> LimitSource:
    keys = {"topic": "limit", "field": "limit", "timestamp_field": "at", "unit": "kW"}
    options = read_options(MqttOptions, "grid", _there(port) | keys)
    return Patient(Mqtt("grid", options, base=Path(), reaction_s=30.0, now=lambda: t0))


def _dsx_flex(port: int, t0: datetime) -> LimitSource:
    keys = {"isv": "acme", "feed": "main", "default_w": 1e6, "unsigned": True}
    options = read_options(DsxOptions, "grid", _there(port) | keys | {"client_id": f"barq-{next(_numbers)}"})
    return Patient(DsxFlex("grid", options, base=Path(), reaction_s=30.0, now=lambda: t0))


def _there(port: int) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": port, "tls": False}


OVER_MQTT: Mapping[str, Callable[[int, datetime], LimitSource]] = {"mqtt": _mqtt, "dsx_flex": _dsx_flex}
