"""A recorded snapshot gives the recorded decision again, to the byte; a changed one shows where it differs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from barq.cli import app
from scheduler.core.decide import decide
from scheduler.replay import Difference, join, replay
from scheduler.store.database import migrate, open_database
from scheduler.store.recorder import SqlStore
from scheduler.wire import WireError, dumps
from tests.builders import SiteBuilder, site
from tests.power_world import World


def a_site() -> SiteBuilder:
    """Something of everything: work that runs and waits, miners, a limit that falls."""
    built = (
        site().node(gpus=4).miners().limit_w(1700.0).running("runs", "node-1", gpus=3).job("waits", gpus=2)
    )
    return built.falls_to_w(900.0, in_s=60)


def recorded(**changes: Any) -> bytes:
    """A recording of it, the decision changed on the way."""
    snapshot = a_site().snapshot()
    decision = json.loads(dumps(decide(snapshot))) | changes
    return join(dumps(snapshot), json.dumps(decision).encode())


def typed(*words: str) -> Result:
    """`barq replay` on the command line."""
    return CliRunner().invoke(app, ["replay", *words], prog_name="barq")


@pytest.fixture(name="world")
def _world() -> Iterator[World]:
    """A site on a virtual clock."""
    made = World()
    yield made
    made.close()


def test_a_recording_gives_the_same_decision() -> None:
    """Byte by byte."""
    found = replay(recorded())

    assert (found.same, found.differences) == (True, ())
    assert found.recorded == found.now == dumps(decide(a_site().snapshot()))


def test_every_decision_that_the_loop_records_replays(world: World) -> None:
    """Through starts, a withdrawal, a pause and a return of power."""
    world.submit(gpus=2)
    world.submit(gpus=2, nodes=2)
    for limit_w in (5000.0, 1500.0, 5000.0):
        world.push("grid", limit_w)
        for _ in range(6):
            world.poll()
            world.exchange()
            world.measure()
            world.tick()
            assert not world.advance(1000)
    full = [r for r in world.store.records if r.snapshot_json and r.decision_json]

    assert len(full) >= 4
    for record in full:
        assert replay(join(record.snapshot_json or b"", record.decision_json or b"")).differences == ()


def test_a_decision_that_comes_out_otherwise_shows_where() -> None:
    """Values that changed, that are gone, and that are new."""
    found = replay(recorded(planned_w=1.0, cut_work=False, reasons={}))

    waits = next(d for d in found.differences if d.where == "reasons.waits")
    others = [d for d in found.differences if "reasons" not in d.where]
    assert not found.same
    assert (waits.recorded, json.loads(waits.now)["code"]) == ("", "PowerRampLimited")
    assert others == [
        Difference(where="cut_work", recorded="false", now="true"),
        Difference(where="planned_w", recorded="1.0", now="1690.0"),
    ]


def test_a_list_of_another_length_shows_its_items() -> None:
    """By their index."""
    ours = json.loads(dumps(decide(a_site().snapshot())))["events"]
    extra: dict[str, object] = {
        "at": "2026-01-10T12:00:00Z",
        "kind": "x",
        "text": "x",
        "job_id": None,
        "attempt_id": None,
        "data": {},
    }
    found = replay(recorded(events=[*ours, extra]))

    assert [(d.where, d.now) for d in found.differences] == [(f"events.{len(ours)}", "")]


@pytest.mark.parametrize("data", [b"", b"{}", b'{"snapshot":{}}', b"\x00\xff"])
def test_what_is_no_recording_is_refused(data: bytes) -> None:
    """With the field that is missing."""
    with pytest.raises(WireError, match="not a Recording"):
        replay(data)


def test_on_the_command_line_the_same_is_well(tmp_path: Path) -> None:
    """One sentence, or one JSON value."""
    file = tmp_path / "recording.json"
    file.write_bytes(recorded())

    assert (typed(str(file)).exit_code, typed(str(file)).stdout) == (
        0,
        "the same decision as recorded at 2026-01-10 12:00:00 UTC\n",
    )
    assert json.loads(typed(str(file), "--json").stdout) == {
        "at": "2026-01-10T12:00:00+00:00",
        "same": True,
        "differences": [],
    }


def test_on_the_command_line_a_difference_fails(tmp_path: Path) -> None:
    """With a table of what differs."""
    file = tmp_path / "recording.json"
    file.write_bytes(recorded(planned_w=1.0))
    result = typed(str(file))

    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "not the decision that was recorded at 2026-01-10 12:00:00 UTC",
        "Where      Recorded  Now",
        "planned_w  1.0       1690.0",
    ]


def test_on_the_command_line_nonsense_is_refused(tmp_path: Path) -> None:
    """No file, and one that is something else."""
    file = tmp_path / "x.json"
    missing = typed(str(file))
    file.write_text("[]")
    nonsense = typed(str(file))

    file.write_bytes(b"\xff\xfe")
    garbage, folder = typed(str(file)), typed(str(tmp_path))

    assert (missing.exit_code, nonsense.exit_code) == (3, 2)
    assert (garbage.exit_code, folder.exit_code) == (2, 2)
    assert "x.json: is neither JSON nor a database" in garbage.stderr
    assert "Is a directory" in folder.stderr
    assert "x.json: No such file or directory" in missing.stderr
    assert "x.json: not a Recording" in nonsense.stderr


async def test_the_newest_decision_of_a_site_is_found_in_its_database(tmp_path: Path, world: World) -> None:
    """And can be saved, to be shared."""
    database, saved = tmp_path / "barq.db", tmp_path / "saved.json"
    engine = open_database(database)
    migrate(engine)
    store = SqlStore(engine)
    epoch = await store.claim("x", at=world.clock.now())
    snapshot = a_site().snapshot()
    record = _record_of(snapshot, epoch)
    assert typed(str(database)).exit_code == 3
    await store.record(record)
    store.close()

    result = typed(str(database), "--save", str(saved))
    assert (result.exit_code, result.stdout) == (
        0,
        "the same decision as recorded at 2026-01-10 12:00:00 UTC\n",
    )
    assert replay(saved.read_bytes()).same


def _record_of(snapshot: Any, epoch: int) -> Any:
    from scheduler.records import TickRecord

    return TickRecord(
        at=snapshot.at, epoch=epoch, snapshot_json=dumps(snapshot), decision_json=dumps(decide(snapshot))
    )
