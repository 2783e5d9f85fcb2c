"""Small files that one process writes and others read: an old one or a new one is seen, never half of one.

    write_atomically    a new file, renamed over the old one
    write_in_turn       two files that take turns under one name, for a name whose content changes often
    overwrite           the same file with new bytes, for readers that know `open_plain_file`

The last two spare the disk a file made and a file removed at each change. A file system that keeps no journal looks
past each file that was removed in the last minutes whenever it makes one: where many processes report, that is most of
what reporting costs. What makes them safe is a lease of the kernel (F_SETLEASE): it is had only while nobody else has
the file open, and whoever opens it meanwhile waits until it is let go. Where there is no lease, a new file is made.
Standard library only.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import sys
import threading
import time
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import Final

PAGE_BYTES: Final = 4096
"""What the kernel copies at once: a writer that is killed has written all of it or nothing."""
ROOM_BYTES: Final = 1024
"""A file to be overwritten has a multiple of this, the rest spaces: it grows seldom, and needs no room on the disk."""
_LEASE_TRIES: Final = 50
_LEASE_PAUSE_S: Final = 0.001


def write_atomically(path: Path | str, data: bytes, *, durable: bool) -> None:
    """Replace `path` by `data` so that readers see the old or the new, never a part.

    With `durable`, the content and its name have reached the disk on return. Raises OSError, leaving the old.
    """
    temporary = _temporary(path)
    try:
        descriptor = _make_carefully(temporary)
        try:
            _write_all(descriptor, data)
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    except OSError:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    if durable:
        fsync_directory(os.path.dirname(path))


def write_in_turn(
    path: Path | str, data: bytes, *, durable: bool = False, under: Path | str | None = None
) -> None:
    """Do the same with two files beside `path`, `.NAME.a` and `.NAME.b`: the one that `path` is not now gets `data`.

    With `under`, it gets that name, for whoever renames it to `path`; and both files are made, so that what is written
    next, perhaps in a hurry, finds one. Raises OSError, leaving the old.
    """
    where = os.fspath(path)
    name = where if under is None else os.fspath(under)
    if under is not None:
        for turn in _turns(where):
            with suppress(OSError):
                os.close(os.open(turn, _WRITE_CAREFULLY | os.O_CREAT, 0o666))
    if not any(_take_turn(f, name, data, durable=durable) for f in _turns(where)):
        write_atomically(name, data, durable=durable)
    elif durable:
        fsync_directory(os.path.dirname(where))


def overwrite(path: Path | str, data: bytes) -> None:
    """Replace `path` by `data`, in the same file while nobody reads it. It need not survive a power cut.

    Raises OSError, leaving the old.
    """
    if not _overwritten(path, data):
        write_atomically(path, data.ljust(-(-len(data) // ROOM_BYTES) * ROOM_BYTES), durable=False)


def fsync_directory(path: Path | str) -> None:
    """Return once the names in the directory `path` have reached the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_plain_file(path: Path | str) -> BufferedReader:
    """Open a file that somebody else may have made: follow no link and wait for no pipe. Raises OSError."""
    file = open(path, "rb", opener=_open_carefully)  # noqa: SIM115 - Path.open has no opener
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.ENXIO, "it is not a plain file", str(path))
    return file


def _turns(path: str) -> tuple[str, str]:
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.a"), os.path.join(folder, f".{name}.b")


def _take_turn(own: str, name: str, data: bytes, *, durable: bool) -> bool:
    """Put `data` into the file `own` and give it `name`; False if it is not its turn."""
    try:
        descriptor = os.open(own, _WRITE_CAREFULLY | os.O_CREAT, 0o666)
    except OSError:
        return False  # a link or a pipe that somebody left there, or a full disk: that shows once more
    temporary = _temporary(name)
    try:
        if not _is_ours_alone(descriptor):
            return False
        _write_all(descriptor, data)
        os.ftruncate(descriptor, len(data))
        if durable:
            os.fsync(descriptor)
        os.link(own, temporary)  # before the lease goes: a file with two names is nobody's turn
    finally:
        os.close(descriptor)
    try:
        os.replace(temporary, name)
    except OSError:
        os.unlink(temporary)
        raise
    return True


def _overwritten(path: Path | str, data: bytes) -> bool:
    """Whether `data` stands in the file now: in one write of its whole length, into room that the disk has given."""
    try:
        descriptor = os.open(path, _WRITE_CAREFULLY)
    except OSError:
        return False
    try:
        size = os.fstat(descriptor).st_size
        if not len(data) <= size <= PAGE_BYTES or not _is_ours_alone(descriptor):
            return False
        return os.write(descriptor, data.ljust(size)) == size
    finally:
        os.close(descriptor)


def _is_ours_alone(descriptor: int) -> bool:
    """Whether it is a plain file with one name that nobody else has open: then nobody will until it is closed."""
    found = os.fstat(descriptor)
    if sys.platform != "linux" or not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        return False
    try:
        fcntl.fcntl(
            descriptor, fcntl.F_SETSIG, signal.SIGURG
        )  # whoever wants it is told so by a signal: one to ignore
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError:
        return False
    return True


def _temporary(path: Path | str) -> str:
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.{os.getpid()}-{threading.get_ident()}.tmp")


def _make_carefully(path: str) -> int:
    """A file that is new: what a job has left under this name, a link or a pipe, is neither followed nor waited for."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o666)
    except FileExistsError:
        os.unlink(path)
        return os.open(path, flags, 0o666)


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


_WRITE_CAREFULLY: Final = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def _open_carefully(path: str, flags: int) -> int:
    """Without waiting for a pipe, but for somebody who overwrites it just now. Raises OSError."""
    for _ in range(_LEASE_TRIES):
        try:
            return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
        except BlockingIOError:
            time.sleep(_LEASE_PAUSE_S)
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
