"""Commits that are whole or not there: damage of every kind, power cuts at every step, and what is kept."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path

import pytest

from barq import checkpoint
from barq.checkpoint import Commit, CommitRefused, DamagedCheckpoint, begin, newest_verified, prune, verify
from barq.contract import ContractError
from tests.power_cut import PowerCutAfter

SHARDS = {"rank-0.state": bytes(range(256)) * 9, "rank-1.state": b"two", "empty": b""}


def commit(directory: Path, step: int, attempt: str = "a1", shards: dict[str, bytes] | None = None) -> Commit:
    """Commit `shards` as `step`."""
    with begin(directory, step, attempt) as staged:
        for name, content in (SHARDS if shards is None else shards).items():
            (staged.path / name).write_bytes(content)
        return staged.commit(world=2, job="j1", attempt=attempt)


def names(directory: Path) -> list[str]:
    """What lies in `directory`."""
    return sorted(path.name for path in directory.iterdir())


def test_a_commit_holds_what_was_staged(tmp_path: Path) -> None:
    """Name, content and manifest are as promised, and nothing else is left in the directory."""
    made = commit(tmp_path, 123)

    assert made.path == tmp_path / "step-000000123"
    assert names(tmp_path) == ["step-000000123"]
    assert verify(made.path) == made.manifest
    assert (made.step, made.manifest.world, made.manifest.job, made.manifest.attempt) == (123, 2, "j1", "a1")
    assert {e.name: e.size for e in made.manifest.files} == {n: len(c) for n, c in SHARDS.items()}
    assert made.manifest.saved_at.tzinfo is not None


def test_a_flipped_bit_is_found_wherever_it_is(tmp_path: Path) -> None:
    """In each file, the manifest included, at many random places: every single flip is found."""
    path = commit(tmp_path, 1).path
    dice = random.Random(20261123)
    for file in sorted(path.iterdir()):
        whole = file.read_bytes()
        places = (
            range(len(whole))
            if file.name == "manifest.json"
            else dice.sample(range(len(whole)), min(20, len(whole)))
        )
        for place in places:
            torn = bytearray(whole)
            torn[place] ^= 1 << dice.randrange(8)
            file.write_bytes(torn)
            with pytest.raises(DamagedCheckpoint, match=file.name):
                verify(path)
        file.write_bytes(whole)
    verify(path)


@pytest.mark.parametrize("name", [*SHARDS, "manifest.json"])
def test_a_missing_file_is_found(tmp_path: Path, name: str) -> None:
    """A commit without one of its files is no commit."""
    path = commit(tmp_path, 1).path
    (path / name).unlink()
    with pytest.raises(DamagedCheckpoint, match=name):
        verify(path)


@pytest.mark.parametrize("name", ["rank-0.state", "rank-1.state", "manifest.json"])
def test_a_file_cut_short_or_grown_is_found(tmp_path: Path, name: str) -> None:
    """Torn writes change lengths."""
    path = commit(tmp_path, 1).path
    whole = (path / name).read_bytes()
    for torn in (whole[:-1], whole[: len(whole) // 2], b"", whole + b"\0", b"\0" * len(whole)):
        (path / name).write_bytes(torn)
        with pytest.raises(DamagedCheckpoint):
            verify(path)


def test_two_shards_that_changed_places_are_found(tmp_path: Path) -> None:
    """Same lengths, same bytes, wrong names."""
    path = commit(tmp_path, 1, shards={"a": b"left", "b": b"rite"}).path
    (path / "a").rename(path / "c")
    (path / "b").rename(path / "a")
    (path / "c").rename(path / "b")
    with pytest.raises(DamagedCheckpoint, match="not those that were saved"):
        verify(path)


def test_a_file_that_nobody_committed_is_found(tmp_path: Path) -> None:
    """A loader that takes every file in the directory must not find more than was saved."""
    path = commit(tmp_path, 1).path
    (path / "rank-2.state").write_bytes(b"who put this here?")
    with pytest.raises(DamagedCheckpoint, match=r"rank-2\.state is not in the manifest"):
        verify(path)


def test_links_are_refused(tmp_path: Path) -> None:
    """A link may point to other bytes tomorrow: neither a shard nor a commit may be one."""
    path = commit(tmp_path, 1).path
    (tmp_path / "elsewhere").write_bytes(SHARDS["rank-1.state"])
    (path / "rank-1.state").unlink()
    (path / "rank-1.state").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DamagedCheckpoint, match=r"rank-1\.state is a link"):
        verify(path)

    other = tmp_path / "other"
    whole = commit(other, 2).path
    whole.rename(tmp_path / "real")
    whole.symlink_to(tmp_path / "real")
    with pytest.raises(DamagedCheckpoint, match="not a directory"):
        verify(whole)


def test_a_pipe_in_place_of_a_shard_does_not_block(tmp_path: Path) -> None:
    """Opening a pipe for reading would wait for ever."""
    path = commit(tmp_path, 1).path
    (path / "rank-1.state").unlink()
    os.mkfifo(path / "rank-1.state")
    with pytest.raises(DamagedCheckpoint, match="not a plain file"):
        verify(path)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff\xfe",
        b'{"files": "all"}',
        b'{"files": [7], "step": 1}',
        b'{"files": [{"name": "../../secret", "size": 1, "hash": "0"}], "step": 1}',
        b'{"files": [{"name": "manifest.json", "size": 1, "hash": "0"}], "step": 1}',
        b'{"files": [], "step": 1, "world": 1, "job": "j", "attempt": "a", "saved_at": "2026-01-01T00:00:00+00:00"}',
    ],
)
def test_a_manifest_of_nonsense_is_refused(tmp_path: Path, nonsense: bytes) -> None:
    """Whatever stands in the manifest, the answer is that the checkpoint is damaged."""
    path = commit(tmp_path, 1).path
    (path / "manifest.json").write_bytes(nonsense)
    with pytest.raises(DamagedCheckpoint, match=r"manifest\.json"):
        verify(path)


@pytest.mark.parametrize(
    "field, value",
    [
        ("step", "1"),
        ("step", -1),
        ("world", 0),
        ("world", True),
        ("saved_at", "today"),
        ("saved_at", 5),
        ("job", None),
    ],
)
def test_a_manifest_with_a_wrong_field_is_refused(tmp_path: Path, field: str, value: object) -> None:
    """Even if somebody sealed it again."""
    path = commit(tmp_path, 1).path
    record = json.loads((path / "manifest.json").read_bytes())
    (path / "manifest.json").write_text(json.dumps(record | {field: value}, sort_keys=True))
    with pytest.raises(DamagedCheckpoint, match=field):
        verify(path)


def test_a_commit_under_the_name_of_another_step_is_refused(tmp_path: Path) -> None:
    """A directory that was renamed by hand is not what its name says."""
    path = commit(tmp_path, 1).path
    with pytest.raises(DamagedCheckpoint, match="that of step 1"):
        verify(path.rename(tmp_path / "step-000000002"))


def test_a_disk_that_may_not_be_read_says_nothing_about_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No permission is an error of the reader: good checkpoints are not quarantined for it."""
    commit(tmp_path, 1)

    def refuse(*args: object, **kwargs: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PermissionError):
        newest_verified(tmp_path)


def test_a_bad_sector_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk answered that it cannot give the bytes back."""
    path = commit(tmp_path, 1).path

    def fail(*args: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("hashlib.file_digest", fail)
    with pytest.raises(DamagedCheckpoint, match="Input/output error"):
        verify(path)


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


def test_a_good_commit_of_the_same_step_is_kept(tmp_path: Path) -> None:
    """Committing a step again changes nothing on disk."""
    first = commit(tmp_path, 5, "a1")
    again = commit(tmp_path, 5, "a2", shards={"other": b"bytes"})

    assert again == first
    assert names(tmp_path) == ["step-000000005"]


def test_a_damaged_commit_of_the_same_step_makes_room(tmp_path: Path) -> None:
    """The new one takes its name, the old one goes to quarantine."""
    (commit(tmp_path, 5, "a1").path / "rank-0.state").unlink()
    again = commit(tmp_path, 5, "a2")

    assert verify(again.path).attempt == "a2"
    assert names(tmp_path / "quarantine") == ["step-000000005-1"]


def test_what_cannot_be_a_commit_is_refused(tmp_path: Path) -> None:
    """Sub-directories and links are not flat files; nothing at all is not a checkpoint; and nothing is left."""
    for spoil in (
        lambda path: (path / "sub").mkdir(),
        lambda path: (path / "link").symlink_to("/etc/hostname"),
        lambda path: (path / "new\nline").write_bytes(b""),
    ):
        with begin(tmp_path, 1, "a1") as staged:
            spoil(staged.path)
            with pytest.raises(CommitRefused, match="flat files only"):
                staged.commit(world=1, job="j1", attempt="a1")
    with pytest.raises(ContractError, match="at least one file"):
        commit(tmp_path, 1, shards={})
    assert names(tmp_path) == []


@pytest.mark.parametrize("attempt", ["", "../../x", "a/b"])
def test_an_attempt_that_is_no_file_name_is_refused(tmp_path: Path, attempt: str) -> None:
    """A staging directory lies beside the commits and nowhere else."""
    if attempt:
        with pytest.raises(ContractError, match="attempt"):
            begin(tmp_path, 1, attempt)
    with pytest.raises(ContractError, match="step"):
        begin(tmp_path, -1, "a1")


def test_a_half_written_commit_of_this_attempt_is_begun_anew(tmp_path: Path) -> None:
    """What a failed save left behind does not end up in the next commit."""
    (begin(tmp_path, 5, "a1").path / "leftover").write_bytes(b"old")
    made = commit(tmp_path, 5, "a1")

    assert {entry.name for entry in made.manifest.files} == set(SHARDS)


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
