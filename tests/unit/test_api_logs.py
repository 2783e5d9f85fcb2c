"""Reading logs: across rotations, from the tail, while they grow, whatever bytes they hold."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from api import logs
from api.logs import LogReader, follow
from barq.contract import dropped_file
from tests.api_site import open_files

PIECES = st.lists(st.binary(max_size=30) | st.just(b"line\n"), max_size=8)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where the log is to be."""
    return tmp_path / "job.log"


def read_all(path: Path, *, tail: int | None = None) -> bytes:
    """All that a new reader gives."""
    with closing(LogReader(path, tail=tail)) as reader:
        return b"".join(iter(reader.read, b""))


def rotate(path: Path) -> None:
    """Move each file of the log one number up."""
    for number in (2, 1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.rename(path.with_name(f"{path.name}.{number + 1}"))
    path.rename(path.with_name(f"{path.name}.1"))


def append(path: Path, data: bytes) -> None:
    """Write more."""
    with path.open("ab") as file:
        file.write(data)


def test_a_log_that_is_not_there_yet_is_empty_and_then_is_read(log: Path) -> None:
    """A reader may come before the job's first word."""
    with closing(LogReader(log)) as reader:
        assert reader.read() == b""
        append(log, b"hello\n")
        assert reader.read() == b"hello\n"
        assert reader.read() == b""


def test_rotated_files_are_read_oldest_first(log: Path) -> None:
    """The log is one text, however it is cut."""
    for piece in (b"one\n", b"two\n", b"three\n"):
        append(log, piece)
        rotate(log)
    append(log, b"four\n")

    assert read_all(log) == b"one\ntwo\nthree\nfour\n"


def test_a_rotation_while_reading_loses_and_repeats_nothing(log: Path) -> None:
    """What was written to the old file until the rotation is read before the new one."""
    append(log, b"a")
    with closing(LogReader(log)) as reader:
        assert reader.read() == b"a"
        append(log, b"b")
        rotate(log)
        assert reader.read() == b"b"
        assert reader.read() == b""  # the new file is not there yet
        append(log, b"c")
        rotate(log)
        append(log, b"d")
        assert reader.read() == b"c"
        assert reader.read() == b"d"
        assert reader.read() == b""


def test_a_reader_that_was_overtaken_goes_on_with_what_is_left(log: Path) -> None:
    """A log that rotates faster than it is read loses its oldest part, not its place."""
    append(log, b"a")
    with closing(LogReader(log)) as reader:
        assert reader.read() == b"a"
        log.unlink()
        append(log, b"b")
        rotate(log)
        append(log, b"c")
        assert reader.read() + reader.read() == b"bc"


def test_a_gap_while_files_are_moved_up_hides_nothing(log: Path) -> None:
    """Between two renames one number is free."""
    append(log.with_name("job.log.2"), b"a")
    append(log, b"b")

    assert read_all(log) == b"ab"


def test_a_log_that_is_emptied_in_place_is_read_from_its_new_start(log: Path) -> None:
    """As tools that copy and truncate do it."""
    append(log, b"a long first line\n")
    with closing(LogReader(log)) as reader:
        assert reader.read()
        os.truncate(log, 0)
        append(log, b"new\n")
        assert reader.read() == b"new\n"


def test_what_is_no_plain_file_is_refused(log: Path, tmp_path: Path) -> None:
    """A pipe would block, a link could lead anywhere; no file stays open."""
    os.mkfifo(log)
    append(tmp_path / "secret", b"x")
    (tmp_path / "link.log").symlink_to(tmp_path / "secret")

    for path in (log, tmp_path / "link.log", tmp_path):
        with pytest.raises(OSError, match=r"plain file|symbolic"):
            LogReader(path)

    assert open_files(log.parent) == []


def test_a_closed_reader_holds_no_file(log: Path) -> None:
    """And closing twice is harmless."""
    append(log, b"x")
    rotate(log)
    append(log, b"y")
    reader = LogReader(log, tail=1)
    reader.read()
    reader.close()
    reader.close()

    assert open_files(log.parent) == []


@given(PIECES, st.integers(0, 12), st.integers(1, 40))
def test_the_tail_is_the_last_lines_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], tail: int, block_bytes: int
) -> None:
    """However the log is cut into files and blocks."""
    log = tmp_path_factory.mktemp("log") / "job.log"
    for number, piece in enumerate(reversed(pieces)):
        (log if number == 0 else log.with_name(f"job.log.{number}")).write_bytes(piece)
    lines = b"".join(pieces).split(b"\n")
    ends = [b"\n"] * (len(lines) - 1) + [b""]
    whole = [line + end for line, end in zip(lines, ends, strict=True) if line + end]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "CHUNK_BYTES", block_bytes)
        assert read_all(log, tail=tail) == b"".join(
            whole[len(whole) - tail :] if tail < len(whole) else whole
        )


async def test_following_ends_when_the_job_has_ended_and_all_is_read(log: Path) -> None:
    """What was written before the end comes, even if it came after the last look."""
    append(log, b"one\n")
    looks: Iterator[bool] = iter([False, False, True])

    def is_ended() -> bool:
        append(log, b"more\n")
        return next(looks)

    async def is_gone() -> bool:
        return False

    with closing(LogReader(log)) as reader:
        pieces = [p async for p in follow(reader, is_ended=is_ended, is_gone=is_gone, poll_s=0)]

    assert "".join(pieces) == "one\nmore\nmore\nmore\n"


async def test_following_ends_when_the_reader_is_gone(log: Path) -> None:
    """Nobody reads for nobody."""
    append(log, b"one\n")

    async def is_gone() -> bool:
        return True

    with closing(LogReader(log)) as reader:
        pieces = [p async for p in follow(reader, is_ended=lambda: False, is_gone=is_gone, poll_s=0)]

    assert "".join(pieces) == "one\n"


async def test_bytes_become_text_whatever_they_are(log: Path) -> None:
    """A character cut by a piece's end stays whole; what is none becomes U+FFFD."""
    append(log, "é".encode()[:1])
    looks: Iterator[bool] = iter([False, True])
    rest = iter(["é".encode()[1:] + b"\xff\x00", b"\xc3"])

    async def is_gone() -> bool:
        append(log, next(rest))
        return False

    with closing(LogReader(log)) as reader:
        pieces = [p async for p in follow(reader, is_ended=lambda: next(looks), is_gone=is_gone, poll_s=0)]

    assert "".join(pieces) == "é\N{REPLACEMENT CHARACTER}\0"


@pytest.mark.parametrize("tail, missing_bytes", [(None, 123), (9, 123), (1, 0), (0, 0)])
def test_a_log_that_begins_later_than_the_job_says_by_how_much(
    log: Path, tail: int | None, missing_bytes: int
) -> None:
    """Only to whoever would have read the start."""
    append(log.with_name("job.log.1"), b"one\n")
    append(log, b"two\n")
    append(dropped_file(log), b"123")

    with closing(LogReader(log, tail=tail)) as reader:
        assert reader.missing_bytes == missing_bytes
