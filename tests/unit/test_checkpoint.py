"""Commits that are whole or not there: damage of every kind, power cuts at every step, and what is kept."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest

from barq.checkpoint import CommitRefused, DamagedCheckpoint, begin, newest_verified, verify
from barq.contract import ContractError
from tests.commits import SHARDS, commit, names


def test_a_commit_holds_what_was_staged(tmp_path: Path) -> None:
    """Name, content and manifest are as promised, and nothing else is left in the directory."""
    made = commit(tmp_path, 123)

    assert made.path == tmp_path / "step-000000123"
    assert names(tmp_path) == ["step-000000123"]
    assert verify(made.path) == made.manifest
    assert (made.step, made.manifest.world, made.manifest.job, made.manifest.attempt) == (123, 2, "j1", "a1")
    assert {e.name: e.size for e in made.manifest.files} == {n: len(c) for n, c in SHARDS.items()}
    assert made.manifest.saved_at.tzinfo is not None


def test_directories_that_are_new_are_made_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is known to the disk in the one above it before anything is written there."""
    known: list[Path | str] = []
    monkeypatch.setattr("barq.checkpoint.fsync_directory", known.append)
    for step in (1, 2):
        begin(tmp_path / "jobs" / "j1" / "checkpoints", step, "a1")

    assert known == [tmp_path, tmp_path / "jobs", tmp_path / "jobs" / "j1"]


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

    monkeypatch.setattr("os.preadv", fail)
    with pytest.raises(DamagedCheckpoint, match="Input/output error"):
        verify(path)


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
