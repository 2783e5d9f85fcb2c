"""Which commit is loaded, which are kept, and what a power cut leaves of either."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from barq import checkpoint
from barq.checkpoint import DamagedCheckpoint, begin, newest_verified, prune, verify
from barq.contract import ContractError
from tests.commits import commit, names
from tests.power_cut import PowerCutAfter


def test_the_newest_that_verifies_is_found_and_the_rest_set_aside(tmp_path: Path) -> None:
    """Two damaged ones are moved away whole, with the reason beside them; the third is taken."""
    for step in (10, 20, 30):
        commit(tmp_path, step)
    (tmp_path / "step-000000030" / "manifest.json").unlink()
    (tmp_path / "step-000000020" / "rank-1.state").write_bytes(b"tow")

    found, quarantined = newest_verified(tmp_path)

    assert found is not None
    assert found.step == 10
    assert [item.name for item in quarantined] == ["step-000000030", "step-000000020"]
    assert (quarantined[1].path / "rank-1.state").read_bytes() == b"tow"
    assert quarantined[1].path.parent == tmp_path / "quarantine" / "step-000000020-1"
    why = json.loads((quarantined[1].path.parent / "why.json").read_text())
    assert why["why"] == quarantined[1].why == "rank-1.state has 3 bytes but not those that were saved"
    assert newest_verified(tmp_path) == (found, [])


def test_nothing_there_is_nothing_found(tmp_path: Path) -> None:
    """Neither a directory without commits nor one that does not exist is an error."""
    (tmp_path / "step-1").mkdir()
    (tmp_path / "notes.txt").write_text("not a commit")
    begin(tmp_path, 5, "a1")

    assert newest_verified(tmp_path) == (None, [])
    assert newest_verified(tmp_path / "gone") == (None, [])


def test_the_same_step_may_be_damaged_twice(tmp_path: Path) -> None:
    """Each goes to a room of its own; none replaces another."""
    for _ in range(2):
        (commit(tmp_path, 7).path / "rank-0.state").unlink()
        newest_verified(tmp_path)

    assert names(tmp_path / "quarantine") == ["step-000000007-1", "step-000000007-2"]


def test_a_commit_that_somebody_else_moved_away_is_not_reported(tmp_path: Path) -> None:
    """Two processes may look at the same damage; one of them moves it."""
    assert checkpoint.quarantine(tmp_path, DamagedCheckpoint(tmp_path / "step-000000001", "gone")) == []


def test_only_what_newer_verified_commits_make_needless_is_deleted(tmp_path: Path) -> None:
    """Of five, with the newest damaged, the two newest good ones stay, and the damaged one is not touched."""
    for step in range(1, 6):
        commit(tmp_path, step)
    (tmp_path / "step-000000005" / "rank-0.state").unlink()

    assert [path.name for path in prune(tmp_path)] == ["step-000000002", "step-000000001"]
    assert names(tmp_path) == ["step-000000003", "step-000000004", "step-000000005"]


def test_the_last_good_commit_is_never_deleted(tmp_path: Path) -> None:
    """However many damaged ones are newer."""
    for step in range(1, 5):
        commit(tmp_path, step)
    for step in range(2, 5):
        (tmp_path / f"step-{step:09d}" / "rank-0.state").write_bytes(b"?")

    assert prune(tmp_path, keep=1) == []
    found, quarantined = newest_verified(tmp_path)
    assert (found is not None and found.step, len(quarantined)) == (1, 3)


def test_half_written_commits_of_former_attempts_are_cleared_away(tmp_path: Path) -> None:
    """Those of the attempt that asks stay, and so does everything that is not a staging directory."""
    for attempt in ("a1", "a2"):
        (begin(tmp_path, 5, attempt).path / "half").write_bytes(b"written")
    (tmp_path / "mine.tmp-a1").mkdir()

    assert [path.name for path in prune(tmp_path, attempt="a2")] == ["step-000000005.tmp-a1"]
    assert names(tmp_path) == ["mine.tmp-a1", "step-000000005.tmp-a2"]


def test_a_deletion_that_was_cut_off_does_not_stop_the_next(tmp_path: Path) -> None:
    """Its rubbish goes when the same step is deleted again."""
    rubbish = tmp_path / "step-000000001.tmp-deleting"
    rubbish.mkdir()
    (rubbish / "half").write_bytes(b"")
    for step in range(1, 4):
        commit(tmp_path, step)
    prune(tmp_path)

    assert names(tmp_path) == ["step-000000002", "step-000000003"]


def test_keeping_none_is_refused(tmp_path: Path) -> None:
    """There is always a commit to go back to."""
    with pytest.raises(ContractError, match="keep=0"):
        prune(tmp_path, keep=0)


def test_a_power_cut_at_any_moment_of_a_commit_leaves_a_commit(tmp_path: Path) -> None:
    """After each single thing that the disk does: the old commit or the new one is there, whole; none is damaged."""
    for calls in range(100):
        directory = tmp_path / str(calls)
        commit(directory, 1)
        with PowerCutAfter(calls, directory) as cut:
            staged = begin(directory, 2, "a2")
            (staged.path / "rank-0.state").write_bytes(b"the new state")
            staged.commit(world=1, job="j1", attempt="a2")
        found, quarantined = newest_verified(directory)
        assert quarantined == []
        assert found is not None
        if not cut.happened:
            assert found.step == 2
            assert calls >= 6  # mkdir, shard, manifest, its rename, its name, the rename, the name
            return
    pytest.fail("a commit should not take a hundred calls")


def test_the_name_is_given_last_and_is_on_disk_before_anybody_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shards, manifest, its name; then the name of the commit; then the directory that holds that name."""
    done: list[str] = []
    rename = Path.rename

    def noted(path: Path, target: Path) -> Path:
        done.append(f"rename to {target.name}")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", noted)
    monkeypatch.setattr(os, "fsync", lambda fd: done.append(Path(f"/proc/self/fd/{fd}").readlink().name))
    commit(tmp_path, 1, shards={"a": b"1", "b": b"2"})

    staging = "step-000000001.tmp-a1"
    assert [name for name in done if "manifest" not in name] == [
        "a",
        "b",
        staging,
        "rename to step-000000001",
        tmp_path.name,
    ]
    assert "manifest" in done[2]


def test_what_the_disk_does_not_take_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard is hashed while it is flushed; that it could not be flushed is not lost beside its good hash."""

    def refused(descriptor: int) -> None:
        raise OSError(errno.EIO, "the disk refuses")

    monkeypatch.setattr(os, "fsync", refused)
    with pytest.raises(OSError, match="the disk refuses"):
        commit(tmp_path, 1, shards={"a": b"1"})
    assert not (tmp_path / "step-000000001").exists()


def test_a_power_cut_at_any_moment_of_deleting_leaves_no_damage(tmp_path: Path) -> None:
    """A half-deleted commit is rubbish, not a damaged checkpoint that somebody has to look into."""
    for step in range(1, 5):
        commit(tmp_path / "whole", step)
    for calls in range(8):
        directory = tmp_path / str(calls)
        shutil.copytree(tmp_path / "whole", directory)
        with PowerCutAfter(calls, directory) as cut:
            prune(directory)
        assert cut.happened
        for left in directory.glob("step-*[0-9]"):
            verify(left)
        prune(directory, attempt="next")
        assert names(directory) == ["step-000000003", "step-000000004"]
