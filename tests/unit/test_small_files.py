"""Small files that change often: readers see one whole content, and the disk makes and removes next to nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from barq import small_files
from barq.small_files import PAGE_BYTES, ROOM_BYTES, open_plain_file, overwrite, write_in_turn

Write = Callable[[Path, bytes], None]
WRITES = pytest.mark.parametrize("write", [write_in_turn, overwrite])


def inode(path: Path) -> int:
    """The number of the file itself."""
    return path.stat().st_ino


@WRITES
def test_the_newest_content_stands(tmp_path: Path, write: Write) -> None:
    """Whether it is longer or shorter than the one before; what is too long for one page as well."""
    path = tmp_path / "x"
    for data in (b"one", b"", b"three and more", b"4" * (2 * PAGE_BYTES), b"five", b"6"):
        write(path, data)
        assert path.read_bytes().rstrip(b" ") == data


@WRITES
def test_whoever_has_it_open_reads_what_it_was(tmp_path: Path, write: Write) -> None:
    """However often it is replaced meanwhile."""
    path = tmp_path / "x"
    write(path, b"old one")
    with path.open("rb") as file:
        for number in range(5):
            write(path, b"%d" % number)
        assert file.read().rstrip() == b"old one"
    assert path.read_bytes().rstrip() == b"4"


def test_two_files_take_turns(tmp_path: Path) -> None:
    """From the third time on no file is made, and none removed."""
    path = tmp_path / "x"
    seen = []
    for number in range(6):
        write_in_turn(path, b"%d" % number)
        seen.append(inode(path))

    assert seen == seen[:2] * 3
    assert sorted(p.name for p in tmp_path.iterdir()) == [".x.a", ".x.b", "x"]


def test_what_is_written_ahead_waits_under_another_name(tmp_path: Path) -> None:
    """Until somebody gives it its own; no file has to be made then, nor for what is written next."""
    path, ahead = tmp_path / "x", tmp_path / "next"
    write_in_turn(path, b"one", under=ahead)
    assert (ahead.read_bytes(), path.exists()) == (b"one", False)
    files = {inode(p) for p in tmp_path.iterdir()}
    ahead.rename(path)
    write_in_turn(path, b"two")
    write_in_turn(path, b"three", under=ahead)

    assert (path.read_bytes(), ahead.read_bytes()) == (b"two", b"three")
    assert {inode(p) for p in tmp_path.iterdir()} == files
    assert len(files) == 2


def test_a_file_that_nobody_reads_is_overwritten(tmp_path: Path) -> None:
    """It stays the same file while it has the room."""
    path = tmp_path / "x"
    overwrite(path, b"some content")
    made = inode(path)
    overwrite(path, b"another, and a longer one")
    assert inode(path) == made

    overwrite(path, b"x" * (ROOM_BYTES + 1))
    assert path.stat().st_size == 2 * ROOM_BYTES
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


@WRITES
@pytest.mark.parametrize("name", ["x", ".x.a", ".x.b"])
@pytest.mark.parametrize("trick", [os.mkfifo, lambda path: path.symlink_to("victim")], ids=["pipe", "link"])
def test_a_trap_is_neither_followed_nor_waited_for(
    tmp_path: Path, write: Write, name: str, trick: Callable[[Path], None]
) -> None:
    """Whatever somebody left where we write."""
    (tmp_path / "victim").write_bytes(b"mine")
    trick(tmp_path / name)
    for data in (b"one", b"two", b"three"):
        write(tmp_path / "x", data)

    assert (tmp_path / "x").read_bytes().rstrip() == b"three"
    assert (tmp_path / "victim").read_bytes() == b"mine"


@WRITES
def test_a_second_name_of_another_file_is_not_written_through(tmp_path: Path, write: Write) -> None:
    """A file that has another name is somebody's."""
    (tmp_path / "victim").write_bytes(b"mine" * 100)
    for name in ("x", ".x.a", ".x.b"):
        (tmp_path / name).hardlink_to(tmp_path / "victim")
    write(tmp_path / "x", b"ours")

    assert (tmp_path / "x").read_bytes().rstrip() == b"ours"
    assert (tmp_path / "victim").read_bytes() == b"mine" * 100


@WRITES
def test_without_leases_a_new_file_is_made(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system that has none."""
    monkeypatch.setattr("sys.platform", "other")
    for data in (b"one", b"two", b"three"):
        write(tmp_path / "x", data)

    assert (tmp_path / "x").read_bytes().rstrip() == b"three"


def test_a_disk_that_refuses_leaves_the_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no temporary file."""
    path = tmp_path / "x"
    for data in (b"one", b"two", b"three"):
        write_in_turn(path, data, durable=True)

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="No space left"):
        write_in_turn(path, b"new")
    monkeypatch.undo()
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        write_in_turn(path, b"new", durable=True)

    assert path.read_bytes() == b"three"
    assert sorted(p.name for p in tmp_path.iterdir()) == [".x.a", ".x.b", "x"]


def test_only_a_durable_turn_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file, then its name."""
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", flushed.append)

    write_in_turn(tmp_path / "x", b"1")
    overwrite(tmp_path / "y", b"1")
    assert flushed == []
    write_in_turn(tmp_path / "x", b"2", durable=True)
    assert len(flushed) == 2


def test_a_reader_waits_for_who_overwrites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is leased just now is tried again, and read when it is free."""
    path = tmp_path / "x"
    overwrite(path, b"whole")
    writer = os.open(path, os.O_WRONLY)
    assert small_files._is_ours_alone(writer)
    monkeypatch.setattr("time.sleep", lambda _: os.close(writer))

    with open_plain_file(path) as file:
        assert file.read().rstrip() == b"whole"
