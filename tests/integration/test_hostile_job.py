"""A job that puts pipes wherever its guard, its supervisor and its log look: it is suspended and ended all the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from scheduler.core.jobs import Phase
from scheduler.core.orders import Observed
from tests.guarding import GuardedNode
from tests.waiting import wait_for

HOSTILE = """
import os, stat, threading
attempt, status = os.path.dirname(os.environ["BARQ_CONTROL_DIR"]), os.environ["BARQ_STATUS_DIR"]
names = [attempt + "/desired.json", attempt + "/facts.json", status + "/status.json", "job.log"]
names += [os.environ["BARQ_CHECKPOINT_DIR"] + "/step-000000001"]
for name in names:
    if os.path.exists(name):
        os.unlink(name)
    os.mkfifo(name)
os.mkdir(os.environ["BARQ_CHECKPOINT_DIR"] + "/step-99999999999999999999")
open("ready", "w").close()
while True:
    print("x" * 1000, flush=True)
"""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[GuardedNode]:
    """A guarded node with two GPUs."""
    node = GuardedNode(tmp_path)
    try:
        yield node.start()
    finally:
        node.close()


def test_a_job_that_leaves_pipes_everywhere_is_still_in_hand(node: GuardedNode) -> None:
    """The guard answers, caps and suspends it, a neighbour starts, and it ends when it is told to."""
    job = node.python("a-1.1", HOSTILE)
    node.order(job)
    node.supervisor("a-1.1")
    wait_for((node.directory.parent / "a-1" / "ready").exists, timeout_s=60, what="the pipes lie there")

    node.order(replace(job, phase=Phase.SUSPEND))
    node.await_observed("a-1.1", Observed.SUSPENDED)
    assert node.report().gpus[0].cap_w == 100.0

    neighbour = node.counter("b-1.1", steps=3, gpu_ids=("g1",))
    held = replace(job, phase=Phase.SUSPEND)
    node.order(held, neighbour)
    node.supervisor("b-1.1")
    assert node.await_observed("b-1.1", Observed.ENDED).says_done

    node.order(replace(job, phase=Phase.KILL), neighbour)
    end = node.await_observed("a-1.1", Observed.ENDED)
    assert end.killed
    assert end.committed_step is None
