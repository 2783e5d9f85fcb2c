"""Verified commits: a checkpoint counts only once each byte has reached the disk and is known by its hash.

    CheckpointError
    ├── CommitRefused       what was staged cannot be a commit (nothing written, a link, a directory)
    └── DamagedCheckpoint   what is on disk is not what its manifest says

A commit is a directory `step-000000123` with flat files and a `manifest.json` that names each of them. It is
made under the name `step-000000123.tmp-ATTEMPT` and renamed when complete, so that a crash at any moment
leaves the previous commit as it was. What fails verification is never deleted: it is moved to `quarantine/`,
with a `why.json`. Standard library only.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from barq.contract import fsync_directory, open_plain_file, write_atomically
from barq.digests import file_digest, is_digest_of
from barq.manifest import MANIFEST_FILE, MAX_MANIFEST_BYTES, FileEntry, Manifest
from barq.strict_json import MAX_COUNT, ContractError, check_file_name, check_integer, is_plain_name

__all__ = [
    "QUARANTINE_DIR",
    "WHY_FILE",
    "CheckpointError",
    "Commit",
    "CommitRefused",
    "DamagedCheckpoint",
    "FileEntry",
    "Manifest",
    "Quarantined",
    "StagedCommit",
    "begin",
    "commit_name",
    "make_directory",
    "newest_verified",
    "prune",
    "quarantine",
    "staging_path",
    "verify",
]

QUARANTINE_DIR: Final = "quarantine"
WHY_FILE: Final = "why.json"
_COMMIT_NAME: Final = re.compile(r"step-(\d{9,16})", re.ASCII)
_STAGING_MARK: Final = ".tmp-"
_DELETING: Final = f"{_STAGING_MARK}deleting"
# The disk answered, and the answer is no good. Other errors (permission, memory) say nothing of the data.
_DAMAGE_ERRNOS: Final = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EIO, errno.ENXIO}
)


class CheckpointError(Exception):
    """Something about a checkpoint is not as it must be."""


class CommitRefused(CheckpointError):
    """What was staged cannot become a commit; the message says what to write instead."""


class DamagedCheckpoint(CheckpointError):
    """The directory `path` must not be loaded; `why` says which file is wrong and how."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A directory whose every byte matched its manifest when it was last looked at."""

    path: Path
    manifest: Manifest

    @property
    def step(self) -> int:
        """Steps completed when it was saved."""
        return self.manifest.step


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A damaged checkpoint that was moved away: its former name, where it is now, what was wrong."""

    name: str
    path: Path
    why: str


def commit_name(step: int) -> str:
    """Return the directory name of the commit of `step`. Raises ContractError on a bad step."""
    check_integer("checkpoint", "step", step, 0, MAX_COUNT)
    return f"step-{step:09d}"


def staging_path(checkpoint_dir: Path, step: int, attempt: str) -> Path:
    """Return where `attempt` stages the commit of `step`; every rank writes its shards there."""
    name = f"{commit_name(step)}{_STAGING_MARK}{attempt}"
    check_file_name("checkpoint", "attempt", name)
    return checkpoint_dir / name


def make_directory(checkpoint_dir: Path) -> None:
    """Make it, and the directories above it, for good: whatever reaches the disk in one that does not is lost with it.

    Raises OSError.
    """
    missing = [folder for folder in (checkpoint_dir, *checkpoint_dir.parents) if not folder.exists()]
    checkpoint_dir.mkdir(parents=True, exist_ok=True)
    for made in reversed(missing):
        fsync_directory(made.parent)


def begin(checkpoint_dir: Path, step: int, attempt: str) -> StagedCommit:
    """Make an empty staging directory for `step`, in place of one that this attempt left half-written.

    Raises OSError if the disk refuses.
    """
    path = staging_path(checkpoint_dir, step, attempt)
    make_directory(checkpoint_dir)
    if path.exists():
        shutil.rmtree(path)
    path.mkdir()
    return StagedCommit(path, step)


class StagedCommit:
    """A commit in the making: write flat files into `path`, then call `commit`; its `with` drops the rest."""

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        self.step = step
        self._final = path.with_name(commit_name(step))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.path.exists():
            shutil.rmtree(self.path)

    def commit(self, *, world: int, job: str, attempt: str) -> Commit:
        """Make what was staged durable and give it its final name; the step is safe once this returns.

        A commit of the same step that verifies is kept and what was staged is dropped; one that does not is
        quarantined. Raises CommitRefused if what was staged cannot be a commit, OSError if the disk refuses.
        """
        manifest = Manifest(
            step=self.step,
            world=world,
            files=tuple(_sealed_files(self.path)),
            job=job,
            attempt=attempt,
            saved_at=datetime.now(UTC),
        )
        write_atomically(self.path / MANIFEST_FILE, manifest.to_bytes(), durable=True)
        standing = _standing_commit(self._final)
        if standing is not None:
            shutil.rmtree(self.path)
            return standing
        self.path.rename(self._final)
        fsync_directory(self._final.parent)
        return Commit(path=self._final, manifest=manifest)


def verify(path: Path) -> Manifest:
    """Return the manifest of `path` after comparing every byte with it.

    Raises DamagedCheckpoint if anything is missing, added, linked, cut short or changed, and OSError if the
    disk could not be asked (no permission, too many open files), which says nothing about the checkpoint.
    """
    try:
        manifest = _read_manifest(path)
        _check_listing(path, manifest)
        for entry in manifest.files:
            _check_file(path, entry)
    except OSError as error:
        if error.errno in _DAMAGE_ERRNOS:
            why = f"{error.filename or path} cannot be read: {error.strerror}"
            raise DamagedCheckpoint(path, why) from error
        raise
    return manifest


def newest_verified(checkpoint_dir: Path) -> tuple[Commit | None, list[Quarantined]]:
    """Return the newest commit that verifies, and what had to be quarantined on the way. Raises OSError."""
    quarantined: list[Quarantined] = []
    for path in _commit_paths(checkpoint_dir):
        try:
            return Commit(path=path, manifest=verify(path)), quarantined
        except DamagedCheckpoint as damage:
            quarantined.extend(quarantine(checkpoint_dir, damage))
    return None, quarantined


def quarantine(checkpoint_dir: Path, damage: DamagedCheckpoint) -> list[Quarantined]:
    """Move what `damage` names into `checkpoint_dir/quarantine/<name>-<n>/`, beside a `why.json`.

    Returns nothing if it is gone already, because another process moved or pruned it. Raises OSError.
    """
    if not os.path.lexists(damage.path):
        return []
    room = _new_room(checkpoint_dir / QUARANTINE_DIR, damage.path.name)
    record = {"name": damage.path.name, "why": damage.why, "at": datetime.now(UTC).isoformat()}
    write_atomically(room / WHY_FILE, json.dumps(record).encode(), durable=True)
    moved = room / damage.path.name
    try:
        damage.path.rename(moved)
    except FileNotFoundError:
        shutil.rmtree(room)
        return []
    fsync_directory(checkpoint_dir)
    return [Quarantined(name=damage.path.name, path=moved, why=damage.why)]


def prune(checkpoint_dir: Path, keep: int = 2, *, attempt: str | None = None) -> list[Path]:
    """Delete commits older than the `keep` newest that verify, and return what was deleted. Raises OSError.

    With `attempt`, the name of an attempt that has just started, half-written commits of all others go too.
    """
    check_integer("checkpoint", "keep", keep, 1, MAX_COUNT)
    doomed = [] if attempt is None else list(_stale_staging(checkpoint_dir, attempt))
    for path in doomed:
        shutil.rmtree(path)
    commits = _commit_paths(checkpoint_dir)
    superseded = _superseded(commits, keep) if len(commits) > keep else []
    for path in superseded:
        _delete_commit(path)
    return doomed + superseded


def _superseded(commits: list[Path], keep: int) -> list[Path]:
    verified = 0
    for index, path in enumerate(commits):
        if verified == keep:
            return commits[index:]
        verified += _verifies(path)
    return []


def _verifies(path: Path) -> bool:
    try:
        verify(path)
    except DamagedCheckpoint:
        return False  # left where it is: whoever looks for a commit to load quarantines it and says so
    return True


def _delete_commit(path: Path) -> None:
    """Take the name away first, so that a crash half-way leaves rubbish and not a damaged commit."""
    rubbish = path.with_name(path.name + _DELETING)
    if rubbish.exists():
        shutil.rmtree(rubbish)
    path.rename(rubbish)
    shutil.rmtree(rubbish)


def _commit_paths(checkpoint_dir: Path) -> list[Path]:
    """Everything that has the name of a commit, newest first."""
    steps = {
        int(match[1]): path
        for path in _entries(checkpoint_dir)
        if (match := _COMMIT_NAME.fullmatch(path.name)) and _is_name_of(path.name, int(match[1]))
    }
    return [steps[step] for step in sorted(steps, reverse=True)]


def _is_name_of(name: str, step: int) -> bool:
    return step <= MAX_COUNT and name == commit_name(step)


def _stale_staging(checkpoint_dir: Path, attempt: str) -> Iterator[Path]:
    for path in _entries(checkpoint_dir):
        name, mark, owner = path.name.partition(_STAGING_MARK)
        if mark and owner != attempt and _COMMIT_NAME.fullmatch(name):
            yield path


def _entries(directory: Path) -> list[Path]:
    return list(directory.iterdir()) if directory.is_dir() else []


def _standing_commit(path: Path) -> Commit | None:
    """Return the commit of this name if it verifies; if not, clear the name for a better one."""
    if not os.path.lexists(path):
        return None
    try:
        return Commit(path=path, manifest=verify(path))
    except DamagedCheckpoint as damage:
        quarantine(path.parent, damage)
        return None


def _new_room(quarantine_dir: Path, name: str) -> Path:
    quarantine_dir.mkdir(exist_ok=True)
    number = 1
    while True:
        room = quarantine_dir / f"{name}-{number}"
        try:
            room.mkdir()
        except FileExistsError:
            number += 1
        else:
            return room


def _sealed_files(staged: Path) -> Iterator[FileEntry]:
    """Flush and hash every staged file, in the order of their names."""
    for path in sorted(staged.iterdir()):
        if not stat.S_ISREG(path.lstat().st_mode) or not is_plain_name(path.name):
            message = (
                f"{path}: is not a plain file; stage flat files only, no links, pipes or sub-directories"
            )
            raise CommitRefused(message)
        with open_plain_file(path) as file:
            digest = _flushed_digest(file)
            yield FileEntry(name=path.name, size=os.fstat(file.fileno()).st_size, hash=digest)


def _flushed_digest(file: BufferedReader) -> str:
    """The hash of a file that has reached the disk by then: both take long where it is large. Raises OSError."""
    with ThreadPoolExecutor(max_workers=1) as aside:
        flushed = aside.submit(os.fsync, file.fileno())
        digest = file_digest(file)
        flushed.result()
    return digest


def _read_manifest(path: Path) -> Manifest:
    if not stat.S_ISDIR(path.lstat().st_mode):
        raise DamagedCheckpoint(path, "is not a directory")
    with open_plain_file(path / MANIFEST_FILE) as file:
        data = file.read(MAX_MANIFEST_BYTES + 1)
    try:
        manifest = Manifest.from_bytes(data)
    except ContractError as error:
        raise DamagedCheckpoint(path, f"{MANIFEST_FILE}: {error}") from error
    if path.name != commit_name(manifest.step):
        raise DamagedCheckpoint(path, f"{MANIFEST_FILE}: is that of step {manifest.step}")
    return manifest


def _check_listing(path: Path, manifest: Manifest) -> None:
    listed = {entry.name for entry in manifest.files} | {MANIFEST_FILE}
    present = {}
    with os.scandir(path) as entries:
        for found in entries:
            if found.name not in listed:  # at the first: there may be millions
                raise DamagedCheckpoint(path, f"{_printable(found.name)} is not in the manifest")
            present[found.name] = Path(found.path)
    for name in sorted(listed - present.keys()):
        raise DamagedCheckpoint(path, f"{name} is missing")
    for name, entry in sorted(present.items()):
        if not stat.S_ISREG(entry.lstat().st_mode):
            raise DamagedCheckpoint(path, f"{name} is a link or not a plain file")


def _printable(name: str) -> str:
    return name if name.isprintable() else ascii(name)


def _check_file(path: Path, entry: FileEntry) -> None:
    with open_plain_file(path / entry.name) as file:
        size = os.fstat(file.fileno()).st_size
        if size != entry.size:
            raise DamagedCheckpoint(path, f"{entry.name} has {size} bytes, its manifest says {entry.size}")
        try:
            is_as_saved = is_digest_of(entry.hash, file)
        except ValueError as error:
            raise DamagedCheckpoint(path, f"{entry.name}: {error}") from error
        if not is_as_saved:
            raise DamagedCheckpoint(path, f"{entry.name} has {size} bytes but not those that were saved")
