"""A power cut between any two steps of writing: what was not flushed is lost, and nothing tidies up."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest


class PowerCut(BaseException):
    """Not an Exception: no handler of the code under test may notice that the machine is gone."""


class PowerCutAfter:
    """Within `with`, the disk does `calls` more things in `directory` and then the power is gone.

    Names that were changed stay changed; the content of files that were never flushed is cut in half. `happened`
    tells afterwards whether it came to that.
    """

    def __init__(self, calls: int, directory: Path) -> None:
        self.happened = False
        self._calls_left = calls
        self._directory = directory
        self._flushed = {path.stat().st_ino for path in _files(directory)}
        self._patches = pytest.MonkeyPatch()

    def __enter__(self) -> Self:
        fsync = os.fsync
        changes = [(Path, "mkdir"), (Path, "rename"), (Path, "replace"), (os, "unlink"), (os, "rmdir")]
        for owner, name in changes:
            self._patches.setattr(owner, name, self._counted(getattr(owner, name)))
        self._patches.setattr(os, "fsync", self._counted(lambda fd: self._flush(fsync, fd)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._patches.undo()
        self.happened = kind is PowerCut
        if self.happened:
            for path in _files(self._directory):
                if path.stat().st_ino not in self._flushed:
                    os.truncate(path, path.stat().st_size // 2)
        return self.happened

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            if self._calls_left == 0:
                raise PowerCut
            self._calls_left -= 1
            return call(*args, **kwargs)

        return counted

    def _flush(self, fsync: Callable[[int], None], descriptor: int) -> None:
        fsync(descriptor)
        self._flushed.add(os.fstat(descriptor).st_ino)


def _files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file() and not path.is_symlink()]
