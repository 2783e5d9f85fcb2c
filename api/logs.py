"""Reading a job's log while it grows and is rotated: `job.log.1` holds what was written before `job.log`.

`job.log.dropped` says how much went before all that is there.
"""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

import anyio
from anyio.to_thread import run_sync

from barq.contract import dropped_bytes

CHUNK_BYTES: Final = 64 * 1024
MAX_ROTATED: Final = 10
"""Older files that are looked for. One may be missing for a moment, while they are moved up."""
POLL_S: Final = 0.25
"""Between looks at a log that somebody follows."""


class LogReader:
    """Gives the bytes of a log in order, across its rotations, each once. Close it, as with `contextlib.closing`.

    With `tail`, begins that many lines before the present end. A log that is not there yet is an empty one.
    `missing_bytes` were dropped before where it begins, if that is the start.
    Raises OSError for one that cannot be read.
    """

    def __init__(self, path: Path, *, tail: int | None = None) -> None:
        self._path = path
        self._fd: int | None = None
        files = _open_all(path)
        at = _seek_tail(files, tail) if tail is not None else 0
        begins = at == 0 and (not files or os.lseek(files[0], 0, os.SEEK_CUR) == 0)
        self.missing_bytes = dropped_bytes(path) if begins else 0
        self._switch(files, at)

    def close(self) -> None:
        """Let go of the file. Safe to call twice."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def read(self) -> bytes:
        """The next bytes, at most `CHUNK_BYTES`; empty = there are none now."""
        while True:
            data = b"" if self._fd is None else os.read(self._fd, CHUNK_BYTES)
            if data or not self._move_on():
                return data

    def _move_on(self) -> bool:
        """At the end of a file, go to the one written after it. True if there may be more to read."""
        files = _open_all(self._path)
        if self._fd is None:
            return self._switch(files, 0)
        known = [_identity(file) for file in files]
        here = _identity(self._fd)
        after = known.index(here) + 1 if here in known else 0  # rotated out of sight: the oldest there is
        rest_bytes = os.fstat(self._fd).st_size - os.lseek(self._fd, 0, os.SEEK_CUR)
        if rest_bytes == 0 and after < len(files):
            return self._switch(files, after)
        _close(files)
        if rest_bytes < 0:  # emptied in place
            os.lseek(self._fd, 0, os.SEEK_SET)
        return rest_bytes != 0

    def _switch(self, files: list[int], at: int) -> bool:
        """Hold on to one of the open files and close the others; False if there is none."""
        if not files:
            return False
        self.close()
        self._fd = files.pop(at)
        _close(files)
        return True


async def follow(
    reader: LogReader,
    *,
    is_ended: Callable[[], bool],
    is_gone: Callable[[], Awaitable[bool]],
    poll_s: float = POLL_S,
) -> AsyncIterator[str]:
    """The text of a log until it `is_ended` (asked in a thread) and read to its end, or until the reader `is_gone`.

    Bytes that are no UTF-8 come as U+FFFD; a character cut by the end of a piece comes whole in the next.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while True:
        ended = await run_sync(is_ended)  # asked before reading: what was written until then is read
        while data := await run_sync(reader.read):
            yield decoder.decode(data)
        if ended or await is_gone():
            break
        await anyio.sleep(poll_s)
    yield decoder.decode(b"", final=True)


def _open_all(path: Path) -> list[int]:
    """The files of a log that are there, oldest first.

    The newest is opened first: a rotation meanwhile then shows a file twice, where it could hide one.
    """
    files: dict[tuple[int, int], int] = {}
    try:
        for name in _names(path):
            file = _open(name)
            if file is not None and files.setdefault(_identity(file), file) != file:
                os.close(file)
    except OSError:
        _close(files.values())
        raise
    return list(reversed(files.values()))


def _names(path: Path) -> Iterator[Path]:
    yield path
    yield from (path.with_name(f"{path.name}.{number}") for number in range(1, MAX_ROTATED + 1))


def _open(path: Path) -> int | None:
    """Only a plain file is a log: a pipe would block, a link could lead anywhere."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    if stat.S_ISREG(os.fstat(file).st_mode):
        return file
    os.close(file)
    raise OSError(f"{path} is not a plain file")


def _close(files: Iterable[int]) -> None:
    for file in files:
        os.close(file)


def _identity(file: int) -> tuple[int, int]:
    status = os.fstat(file)
    return status.st_dev, status.st_ino


def _seek_tail(files: list[int], lines: int) -> int:
    """Position the file in which the last `lines` lines begin, and return its index."""
    if lines == 0 and files:
        os.lseek(files[-1], 0, os.SEEK_END)
        return len(files) - 1
    wanted = lines
    first = True
    for index in reversed(range(len(files))):
        for start, block in _backwards(files[index]):
            wanted += first and block.endswith(b"\n")  # the end of the last line begins no further one
            first = False
            if block.count(b"\n") >= wanted:
                os.lseek(files[index], start + _nth_newline_from_end(block, wanted) + 1, os.SEEK_SET)
                return index
            wanted -= block.count(b"\n")
        os.lseek(files[index], 0, os.SEEK_SET)
    return 0


def _backwards(file: int) -> Iterator[tuple[int, bytes]]:
    """The blocks of a file from its end, each with its offset."""
    end = os.fstat(file).st_size
    while end > 0:
        start = max(0, end - CHUNK_BYTES)
        yield start, os.pread(file, end - start, start)
        end = start


def _nth_newline_from_end(block: bytes, count: int) -> int:
    at = len(block)
    for _ in range(count):
        at = block.rindex(b"\n", 0, at)
    return at
