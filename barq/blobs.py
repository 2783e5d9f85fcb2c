"""Blobs and packages on a disk: content under the name of its hash, complete or not there at all.

    ROOT/ab/ab12…       a blob
    ROOT/packages/cd…   the manifest of a package
    ROOT/.incoming/     what is being received

Nothing is trusted because of where it lies: whoever reads a blob checks it again. Standard library only.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from barq.contract import fsync_directory
from barq.package import Package, hash_of, is_hash
from barq.strict_json import ContractError

CHUNK_BYTES: Final = 1024 * 1024
KEEP_S: Final = 30 * 86400.0
"""What nobody has used for this long is removed."""
_STALE_S: Final = 86400.0  # a part that was never finished


class WrongContent(ValueError):
    """What was received is not what its name says, or larger than allowed; nothing was kept."""


class TooLarge(WrongContent):
    """More bytes than allowed."""


class Blobs:
    """The blobs below `root`. Creates its folders when it first writes. Methods raise OSError if the disk refuses."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        """Where the blob of that hash lies, or would. Raises ValueError if it is no hash."""
        _check(name)
        return self.root / name[:2] / name

    def package_path(self, name: str) -> Path:
        """Where the manifest of that hash lies, or would. Raises ValueError if it is no hash."""
        _check(name)
        return self.root / "packages" / name

    def missing(self, names: Iterable[str]) -> list[str]:
        """Those that are not here, in their order; those that are count as used now."""
        return [name for name in names if not _touch(self.path(name))]

    def receive(self, name: str, *, limit_bytes: int) -> Incoming:
        """Begin to receive the blob of that hash."""
        return Incoming(self.path(name), incoming=self.root / ".incoming", limit_bytes=limit_bytes)

    def put_package(self, name: str, data: bytes, *, limit_bytes: int) -> Package:
        """Keep the manifest of that hash. Its blobs are here, and it counts as used now.

        Raises ContractError if it is no manifest, WrongContent or TooLarge, and LookupError if blobs are missing.
        """
        if hash_of(data) != name:
            raise WrongContent(f"the SHA-256 of what was sent is {hash_of(data)}, not {name}; send it again")
        package = Package.from_bytes(data)
        if package.size > limit_bytes:
            raise TooLarge(f"its files have {package.size} bytes, more than {limit_bytes}")
        if lacking := self.missing(package.blobs):
            raise LookupError(
                f"{len(lacking)} of its blobs are not here, such as {lacking[0]}; send them first"
            )
        path = self.package_path(name)
        with Incoming(path, incoming=self.root / ".incoming", limit_bytes=len(data)) as incoming:
            incoming.write(data)
            incoming.finish()
        return package

    def package(self, name: str) -> Package | None:
        """The package of that hash, None if it is not here; it counts as used now. Raises WrongContent."""
        try:
            data = self.package_path(name).read_bytes()
        except FileNotFoundError:
            return None
        if hash_of(data) != name:
            raise WrongContent(f"package {name} is damaged on the disk; submit the job again")
        _touch(self.package_path(name))
        return Package.from_bytes(data)

    def prune(self, *, keep: Collection[str], older_than_s: float = KEEP_S) -> int:
        """Remove what nobody used for that long, but for the packages in `keep` and their blobs. How many files."""
        wanted = set(keep)
        for name in keep:
            with suppress(
                WrongContent, ContractError
            ):  # a damaged one says nothing of its blobs, and cannot be used
                package = self.package(name)
                wanted |= set() if package is None else set(package.blobs)
        old = [path for path in self._all() if path.name not in wanted and _age_s(path) > older_than_s]
        parts = self.root.glob(".incoming/*")
        old += [path for path in parts if _age_s(path) > _STALE_S]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)

    def _all(self) -> Iterable[Path]:
        yield from self.root.glob("packages/*")
        yield from (path for path in self.root.glob("??/*") if is_hash(path.name))


class Incoming:
    """One file on its way in; what is not finished leaves nothing behind. A context manager."""

    def __init__(self, path: Path, *, incoming: Path, limit_bytes: int) -> None:
        self._path = path
        self._limit_bytes = limit_bytes
        self._hash = hashlib.sha256()
        self.size = 0
        incoming.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=incoming)
        self._temporary = Path(name)
        self._file = os.fdopen(descriptor, "wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._temporary.unlink(missing_ok=True)

    def write(self, data: bytes) -> None:
        """Take in the next part. Raises TooLarge."""
        self.size += len(data)
        if self.size > self._limit_bytes:
            raise TooLarge(f"it has more than {self._limit_bytes} bytes")
        self._hash.update(data)
        self._file.write(data)

    def finish(self) -> None:
        """Keep it under its name: it has reached the disk on return. Raises WrongContent if the hash differs."""
        if self._hash.hexdigest() != self._path.name:
            raise WrongContent(f"its SHA-256 is {self._hash.hexdigest()}, not {self._path.name}")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._temporary.replace(self._path)
        fsync_directory(self._path.parent)


def _check(name: str) -> None:
    if not is_hash(name):
        raise ValueError(f"{name[:80]!r} is no SHA-256 in lower-case hex; write one")


def _touch(path: Path) -> bool:
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
