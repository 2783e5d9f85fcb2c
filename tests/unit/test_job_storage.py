"""Where a guard keeps its jobs: in the site's place if it is at hand, else in its own; told apart by ids."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders import launch
from tests.waiting import wait_for
from workers import job_storage
from workers.job_storage import MARKER, JobStorage, mark, probe, read_id, relocated


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_storage, "LOOK_EVERY_S", 0.02)


def test_a_mark_is_made_once(tmp_path: Path) -> None:
    """The id is random, and stays."""
    first = mark(tmp_path / "jobs")

    assert mark(tmp_path / "jobs") == first == read_id(tmp_path / "jobs")
    assert mark(tmp_path / "others") != first


def test_a_place_without_a_mark_is_none(tmp_path: Path) -> None:
    """Such as the empty directory on which nothing is mounted."""
    (tmp_path / "jobs").mkdir()

    assert probe(tmp_path / "jobs", "n1") is None
    assert probe(tmp_path / "nowhere", "n1") is None
    (tmp_path / "jobs" / MARKER).write_text("no id: \0")
    assert probe(tmp_path / "jobs", "n1") is None


def test_the_place_of_the_site_is_used_where_it_is_at_hand(tmp_path: Path) -> None:
    """Nothing is moved then."""
    shared = mark(tmp_path / "shared")

    storage = JobStorage("n1", tmp_path / "shared", tmp_path / "own")

    assert storage.storage == shared
    plain = launch(checkpoint_dir=str(tmp_path / "shared" / "j" / "checkpoints"))
    assert storage.placed(plain) == plain
    assert sorted(p.name for p in (tmp_path / "shared").iterdir()) == [MARKER], "no probe is left"


def test_without_it_jobs_stay_in_the_own_place(tmp_path: Path) -> None:
    """What the site put below its directory lies below ours; what a person named stays."""
    storage = JobStorage("n1", Path("/nowhere/jobs"), tmp_path / "own")

    moved = storage.placed(
        launch(
            working_dir="/home/ada",
            checkpoint_dir="/nowhere/jobs/j/checkpoints",
            output_dir="/nowhere/jobs/j/output",
            log_path="/nowhere/jobs/j/job.log",
        )
    )

    own = tmp_path / "own" / "j"
    assert storage.storage == read_id(tmp_path / "own")
    assert (moved.working_dir, moved.checkpoint_dir) == ("/home/ada", str(own / "checkpoints"))
    assert (moved.output_dir, moved.log_path) == (str(own / "output"), str(own / "job.log"))


def test_a_name_that_only_begins_alike_is_not_moved() -> None:
    """Paths are compared by their parts."""
    plain = launch(checkpoint_dir="/jobs-of-others/j")

    assert relocated(plain, Path("/jobs"), Path("/own")) == plain


def test_a_mount_that_comes_is_used_once_no_job_is_here(tmp_path: Path) -> None:
    """Jobs in the own place go on there, and the alarm says why the other one is not used."""
    storage = JobStorage("n1", tmp_path / "shared", tmp_path / "own")
    shared = mark(tmp_path / "shared")

    wait_for(lambda: storage.look(is_busy=True), timeout_s=60.0, what="an alarm")

    assert "is at hand again" in storage.look(is_busy=True)
    assert storage.storage == read_id(tmp_path / "own")
    assert storage.look(is_busy=False) == ""
    assert storage.storage == shared


def test_a_mount_that_goes_is_told_while_jobs_are_in_it(tmp_path: Path) -> None:
    """Their place does not change under them."""
    shared = mark(tmp_path / "shared")
    storage = JobStorage("n1", tmp_path / "shared", tmp_path / "own")
    (tmp_path / "shared" / MARKER).unlink()

    wait_for(lambda: storage.look(is_busy=True), timeout_s=60.0, what="an alarm")

    assert "cannot be read and written" in storage.look(is_busy=True)
    assert storage.storage == shared


def test_adopted_jobs_keep_the_place_in_which_they_began(tmp_path: Path) -> None:
    """The guard was replaced while the mount came back."""
    mark(tmp_path / "shared")
    storage = JobStorage("n1", tmp_path / "shared", tmp_path / "own")

    storage.keep(str(tmp_path / "own" / "j" / "checkpoints"))

    assert storage.storage == read_id(tmp_path / "own")
    assert "is at hand again" in storage.look(is_busy=True)
