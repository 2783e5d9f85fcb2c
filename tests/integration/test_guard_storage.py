"""A guard that cannot use the site's place for jobs keeps those that it starts in its own, and says which that is."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from scheduler.core.jobs import Phase
from scheduler.core.orders import AttemptOrder, Observed
from tests.guarding import GuardedNode
from workers.job_storage import mark, read_id

SITE_ROOT = "/nowhere/jobs"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[GuardedNode]:
    """A guarded node on a machine where the site's place for jobs is not mounted."""
    node = GuardedNode(tmp_path, jobs_dir=SITE_ROOT, own_jobs_dir=str(tmp_path / "own"))
    try:
        yield node.start()
    finally:
        node.close()


def ordered_by_the_site(node: GuardedNode) -> AttemptOrder:
    """A job whose directories are where the site wants them."""
    job = node.counter("a-1.1")
    home = f"{SITE_ROOT}/a-1"
    launch = replace(
        job.launch,
        checkpoint_dir=f"{home}/checkpoints",
        output_dir=f"{home}/output",
        log_path=f"{home}/job.log",
    )
    return replace(job, launch=launch)


def test_commits_lie_in_the_own_place_and_the_facts_say_so(node: GuardedNode, tmp_path: Path) -> None:
    """The job runs, saves, and is found again by the next guard, in a place with an id of its own."""
    job = ordered_by_the_site(node)
    node.order(job)
    node.await_steps("a-1.1", 3)
    assert node.report().storage == read_id(tmp_path / "own") != ""

    node.end(signal.SIGKILL)
    node.start()
    node.order(replace(job, phase=Phase.SAVE_EXIT))
    facts = node.await_observed("a-1.1", Observed.ENDED)

    assert facts.committed_path is not None
    assert Path(facts.committed_path).parent == tmp_path / "own" / "a-1" / "checkpoints"
    assert (tmp_path / "own" / "a-1" / "job.log").exists()
    assert node.report().storage == read_id(tmp_path / "own")


def test_a_place_that_all_share_has_one_id(tmp_path: Path) -> None:
    """Two guards that can use it report the same."""
    shared = mark(tmp_path / "shared")
    nodes = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        own = str(tmp_path / name / "own")
        nodes.append(GuardedNode(tmp_path / name, jobs_dir=str(tmp_path / "shared"), own_jobs_dir=own))
    try:
        assert [node.start().report().storage for node in nodes] == [shared, shared]
    finally:
        for node in nodes:
            node.close()
