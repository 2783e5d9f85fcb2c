"""The manifest of a commit: which files belong to it, how long they are, and what they hash to.

The manifest is written in one canonical form and carries its own hash, so that a change of any bit shows, in
a shard or in the manifest itself. Standard library only.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

from barq.strict_json import (
    MAX_COUNT,
    check_file_name,
    check_integer,
    check_text,
    field,
    parse_object,
    refuse,
)

MANIFEST_FILE: Final = "manifest.json"
MAX_MANIFEST_BYTES: Final = 64 * 1024 * 1024
MAX_WORLD: Final = 1_000_000
_HASH_BYTES: Final = 32
_WHAT: Final = "manifest"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One file of a commit: `size` in bytes, `hash` what its content comes to, as in `barq.digests`."""

    name: str
    size: int
    hash: str

    def __post_init__(self) -> None:
        check_file_name(_WHAT, "files.name", self.name)
        if self.name == MANIFEST_FILE:
            refuse(_WHAT, "files.name", self.name, "any other name: this one is the manifest's own")
        check_integer(_WHAT, "files.size", self.size, 0, MAX_COUNT)
        check_text(_WHAT, "files.hash", self.hash)

    @classmethod
    def from_record(cls, record: object) -> FileEntry:
        """Return the entry that `record` holds. Raises ContractError on nonsense."""
        if not isinstance(record, dict):
            refuse(_WHAT, "files", record, "objects with name, size and hash")
        return cls(
            name=cast("str", field(_WHAT, record, "name")),
            size=cast("int", field(_WHAT, record, "size")),
            hash=cast("str", field(_WHAT, record, "hash")),
        )

    def to_record(self) -> dict[str, object]:
        """Return the entry as JSON wants it."""
        return {"name": self.name, "size": self.size, "hash": self.hash}


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a commit holds: `step` steps completed, saved at `saved_at` by the `world` ranks of an attempt.

    Raises ContractError on a value out of range, on no files at all and on a name that occurs twice.
    """

    step: int
    world: int
    files: tuple[FileEntry, ...]
    job: str
    attempt: str
    saved_at: datetime

    def __post_init__(self) -> None:
        check_integer(_WHAT, "step", self.step, 0, MAX_COUNT)
        check_integer(_WHAT, "world", self.world, 1, MAX_WORLD)
        check_text(_WHAT, "job", self.job)
        check_text(_WHAT, "attempt", self.attempt)
        names = [entry.name for entry in self.files]
        if not names or len(set(names)) < len(names):
            refuse(_WHAT, "files", names, "at least one file, each once")
        if self.saved_at.tzinfo is None:
            refuse(_WHAT, "saved_at", self.saved_at, "a time with its zone")

    def to_bytes(self) -> bytes:
        """Return the canonical form, sealed with its own hash."""
        record: dict[str, object] = {
            "step": self.step,
            "world": self.world,
            "files": [entry.to_record() for entry in self.files],
            "job": self.job,
            "attempt": self.attempt,
            "saved_at": self.saved_at.isoformat(),
        }
        return _canonical(record | {"seal": content_hash(_canonical(record))})

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Return the manifest in `data`. Raises ContractError on nonsense and on any bit that was changed."""
        record = parse_object(_WHAT, data, MAX_MANIFEST_BYTES)
        entries = field(_WHAT, record, "files")
        if not isinstance(entries, list):
            refuse(_WHAT, "files", entries, "a list")
        manifest = cls(
            step=cast("int", field(_WHAT, record, "step")),
            world=cast("int", field(_WHAT, record, "world")),
            files=tuple(FileEntry.from_record(entry) for entry in entries),
            job=cast("str", field(_WHAT, record, "job")),
            attempt=cast("str", field(_WHAT, record, "attempt")),
            saved_at=_time(field(_WHAT, record, "saved_at")),
        )
        if manifest.to_bytes() != data:
            refuse(_WHAT, "seal", record.get("seal"), "nothing by hand: this was changed after it was sealed")
        return manifest


def content_hash(data: bytes) -> str:
    """Return the BLAKE2b-256 of `data` in lower-case hex."""
    return hashlib.blake2b(data, digest_size=_HASH_BYTES).hexdigest()


def _canonical(record: dict[str, object]) -> bytes:
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode()


def _time(value: object) -> datetime:
    try:
        return datetime.fromisoformat(cast("str", value))
    except (TypeError, ValueError):
        refuse(_WHAT, "saved_at", value, "a time in ISO 8601")
