"""The scheduler's line to all guards is made again whatever became of it."""

from __future__ import annotations

import asyncio
import errno
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from scheduler import cluster as module
from scheduler.cluster import RayCluster
from scheduler.core.orders import GuardReport
from scheduler.wire import dumps
from tests.stub_guard import StubGuard

LIMIT_BYTES = 8192
SPEAKS = "import sys; sys.stdout.write(open(sys.argv[1]).read()); sys.stdout.flush(); sys.stdin.read()"


class Line:
    """A cluster over a bridge that says what is in a file, and waits then."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.failures: list[OSError] = []
        self.begun = 0
        self.heard: asyncio.Queue[GuardReport] = asyncio.Queue()

    async def begin(self, *_: str, **pipes: Any) -> Any:
        """Start the bridge, or fail as the host does."""
        self.begun += 1
        if self.failures:
            raise self.failures.pop()
        return await asyncio.subprocess.create_subprocess_exec(
            sys.executable, "-c", SPEAKS, str(self.path), **pipes
        )

    async def open(self, *said: str) -> RayCluster:
        """A cluster whose bridge says these lines."""
        self.path.write_text("".join(f"{line}\n" for line in said))
        cluster = await RayCluster.open("127.0.0.1:1")
        cluster.listen(self.heard.put_nowait)
        return cluster


def report(group_id: str) -> str:
    """What a bridge says of a guard's report."""
    answer = b'{"report":' + dumps(StubGuard(Path(group_id)).report()) + b"}"
    return json.dumps({"event": "report", "group_id": group_id, "answer": answer.decode()})


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Line:
    """Lines of at most eight kilobytes, and no pauses."""
    made = Line(tmp_path / "said")
    monkeypatch.setattr(module, "LINE_LIMIT_BYTES", LIMIT_BYTES)
    monkeypatch.setattr(module, "FIRST_RETRY_S", 0.0)
    monkeypatch.setattr(asyncio, "create_subprocess_exec", made.begin)
    return made


async def test_a_report_that_is_too_long_costs_that_report(line: Line) -> None:
    """Not those of all other groups, for good."""
    cluster = await line.open(report("a"), "x" * 5 * LIMIT_BYTES, report("b"))
    try:
        heard = [(await asyncio.wait_for(line.heard.get(), 60)).spec.group_id for _ in range(2)]
    finally:
        await cluster.close()

    assert (heard, line.begun) == (["a", "b"], 1)


async def test_a_host_that_starts_no_process_is_asked_again(line: Line) -> None:
    """As one without memory for it, for a moment."""
    line.failures = [OSError(errno.ENOMEM, "Cannot allocate memory")]
    cluster = await line.open(report("a"))
    try:
        heard = await asyncio.wait_for(line.heard.get(), 60)
    finally:
        await cluster.close()

    assert (heard.spec.group_id, line.begun) == ("a", 2)
