"""Checkpoints that cannot be read for a while are no reason to begin from nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from barq import checkpoint
from scheduler.core.orders import Observed
from tests.guarding import GuardedNode
from tests.waiting import wait_for

SAYS_FROM = "import os; print('from', repr(os.environ['BARQ_RESUME_FROM']), flush=True)"


class StaleNode(GuardedNode):
    """A node that reads no checkpoints while `stale` is there."""

    module = "tests.stale_guard"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[StaleNode]:
    """A guarded node whose storage has just gone."""
    node = StaleNode(tmp_path)
    (node.directory / "stale").touch()
    try:
        node.start()
        yield node
    finally:
        node.close()


def test_a_job_waits_until_its_checkpoints_can_be_read(node: StaleNode) -> None:
    """It is started from the commit that is there all along."""
    job = node.python("a-1.2", SAYS_FROM)
    checkpoints = Path(job.launch.checkpoint_dir)
    with checkpoint.begin(checkpoints, 7, "a-1.1") as staged:
        (staged.path / "shard").write_bytes(b"work")
        commit = staged.commit(world=1, job="a-1", attempt="a-1.1")
    node.order(job)
    log = node.files("a-1.2").log_path
    wait_for(lambda: log.exists() and "cannot be read" in log.read_text(), timeout_s=60, what="it looked")
    assert node.facts("a-1.2").observed is Observed.STARTING

    (node.directory / "stale").unlink()
    end = node.await_observed("a-1.2", Observed.ENDED)
    assert (end.exit_code, end.resumed_step) == (0, 7)
    assert f"from {str(commit.path)!r}" in Path(job.launch.log_path).read_text()
