"""Decide again what was decided: a recorded snapshot gives the same decision, to the byte, or the code has changed.

A recording is one JSON object, {"snapshot": ..., "decision": ...}. A bug report is one, and so is a fixture.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from scheduler.core.decide import Decision, decide
from scheduler.core.snapshot import Snapshot
from scheduler.wire import dumps, loads


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What a decision was made from, and the decision."""

    snapshot: Snapshot
    decision: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One value that is not as recorded. Both are JSON; empty = not there."""

    where: str  #: keys and indices from the decision down, with dots
    recorded: str
    now: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A decision made again: `recorded` and `now` are its JSON then and now."""

    at: datetime
    recorded: bytes
    now: bytes
    differences: tuple[Difference, ...]

    @property
    def same(self) -> bool:
        """Whether every byte is the same."""
        return self.recorded == self.now


def join(snapshot_json: bytes, decision_json: bytes) -> bytes:
    """The recording of what is kept of one tick."""
    return b'{"snapshot":' + snapshot_json + b',"decision":' + decision_json + b"}"


def replay(recording: bytes) -> Replay:
    """Decide again. Raises `WireError` for bytes that are no recording, or one of another version."""
    read = loads(Recording, recording)
    recorded, now = dumps(read.decision), dumps(decide(read.snapshot))
    found = tuple(_differences(json.loads(recorded), json.loads(now), ""))
    return Replay(at=read.snapshot.at, recorded=recorded, now=now, differences=found)


def _differences(recorded: object, now: object, where: str) -> Iterator[Difference]:
    """Every leaf that differs, in the order of the recording; what is new comes last."""
    match recorded, now:
        case dict(), dict():
            for key in [*recorded, *(k for k in now if k not in recorded)]:
                yield from _differences(recorded.get(key, _NOTHING), now.get(key, _NOTHING), f"{where}.{key}")
        case list(), list():
            for i in range(max(len(recorded), len(now))):
                yield from _differences(_item(recorded, i), _item(now, i), f"{where}.{i}")
        case _ if recorded != now:
            yield Difference(where=where.removeprefix("."), recorded=_text(recorded), now=_text(now))


_NOTHING = object()


def _item(items: list[object], index: int) -> object:
    return items[index] if index < len(items) else _NOTHING


def _text(value: object) -> str:
    return "" if value is _NOTHING else json.dumps(value)
