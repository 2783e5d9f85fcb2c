"""The log of a job: what its processes print, over all its attempts, in files that stay small."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path

from barq.contract import dropped_bytes, dropped_file, write_atomically

MAX_BYTES = 10 * 1024 * 1024
MAX_FILES = 5


class JobLog:
    """Appends to `path`; a full file becomes `path.1`, that one `path.2`, and the oldest goes: `path.dropped` counts.

    Several supervisors of one job may append at once: whoever finds the file full moves it, the others follow.
    A disk that refuses costs log lines, never the job: they are counted and named once it accepts again.
    """

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES, files: int = MAX_FILES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._files = files
        self._descriptor: int | None = None
        self.lost_bytes = 0

    def write(self, data: bytes) -> None:
        """Append `data`."""
        try:
            self._append(data)
        except OSError:
            self.lost_bytes += len(data)

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _append(self, data: bytes) -> None:
        descriptor = self._open()
        if os.fstat(descriptor).st_size >= self._max_bytes:
            descriptor = self._rotated(descriptor)
        if self.lost_bytes:
            lost, self.lost_bytes = self.lost_bytes, 0
            _write_all(descriptor, f"[barq: {lost} bytes of the log could not be written]\n".encode())
        _write_all(descriptor, data)

    def _open(self) -> int:
        """The file that has the name now, which may not be the one of a moment ago."""
        if self._descriptor is not None and not self._is_current(self._descriptor):
            self.close()
        if self._descriptor is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = _open_plain(self._path)
        return self._descriptor

    def _rotated(self, descriptor: int) -> int:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # let go when the file is closed
        except BlockingIOError:
            # Another supervisor moves it, or the job holds it: then it may grow, but not without end.
            if os.fstat(descriptor).st_size >= 2 * self._max_bytes:
                raise
            return descriptor
        if self._is_current(descriptor):
            self._count_dropped(self._name(self._files - 1))
            for number in range(self._files - 1, 0, -1):
                older = self._name(number - 1)
                if older.exists():
                    older.replace(self._name(number))
        self.close()
        return self._open()

    def _count_dropped(self, oldest: Path) -> None:
        """Add what goes with the oldest file. Whoever has the lock counts alone."""
        with suppress(OSError):
            total = dropped_bytes(self._path) + oldest.lstat().st_size
            write_atomically(dropped_file(self._path), str(total).encode(), durable=False)

    def _is_current(self, descriptor: int) -> bool:
        try:
            named = self._path.stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(descriptor))

    def _name(self, number: int) -> Path:
        return self._path if number == 0 else self._path.with_name(f"{self._path.name}.{number}")


def _open_plain(path: Path) -> int:
    """Open for appending, never waiting for a pipe nor following a link that the job put there. Raises OSError."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(path, flags, 0o644)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.ENXIO, "it is not a plain file", str(path))
    return descriptor


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
