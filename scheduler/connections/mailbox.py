"""A small durable document that one process writes and another reads: one JSON text in one file.

A change is on the disk before `change` returns, and replaces the whole file at once: whoever reads sees the old text or
the new one. Several processes may change it; each sees what the one before it wrote.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

Stamp = tuple[int, int, int]


class Mailbox:
    """The document in `path`. Every method but `stamp` may block, and raises OSError and UnicodeDecodeError."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def stamp(self) -> Stamp | None:
        """Tells this version of the document from others; None where there is none."""
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def read(self) -> str | None:
        """The text; None where there is none yet."""
        try:
            return self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def change(self, succeed: Callable[[str | None], str]) -> str:
        """Put what `succeed` makes of the text in its place, and return that. What it raises changes nothing."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            text = succeed(self.read())
            self._replace(text)
            return text

    def _replace(self, text: str) -> None:
        new = self._path.with_suffix(".new")
        with new.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
