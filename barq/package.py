"""A package: the files of a working directory by name, mode, size and hash. What they hold are blobs, kept apart.

A package is known by the hash of its manifest, a blob by the hash of its content, so that each is stored and sent
once. There are plain files only: no links, no devices, no empty folders. Whoever receives a manifest checks it
anew: a name stays inside the folder it is unpacked into, and no two names can be one file. Standard library only,
for the client, the API and the nodes.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, cast

from barq.strict_json import MAX_COUNT, check_integer, check_text, field, is_plain_name, parse_object, refuse

DEFAULT_LIMIT_BYTES: Final = 500_000_000
"""Of all files of a package together, where a site does not say otherwise."""
MAX_FILES: Final = 50_000
MAX_PATH_BYTES: Final = 1024
MAX_MANIFEST_BYTES: Final = 7 * 1024 * 1024
PLAIN: Final = 0o644
EXECUTABLE: Final = 0o755
VERSION: Final = 1

_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_WHAT: Final = "package"


def is_hash(text: str) -> bool:
    """Whether `text` can be the name of a blob or a package: a SHA-256 in lower-case hex."""
    return _HASH.fullmatch(text) is not None


def hash_of(data: bytes) -> str:
    """The name of a blob with this content."""
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedFile:
    """One file. `path` is relative, with `/` between its parts. Raises ContractError on anything else."""

    path: str
    mode: int  #: 0o644 or 0o755
    size: int  #: bytes
    hash: str  #: SHA-256 of the content, lower-case hex

    def __post_init__(self) -> None:
        check_path(self.path)
        if self.mode not in (PLAIN, EXECUTABLE) or isinstance(self.mode, bool):
            refuse(_WHAT, f"files.mode of {self.path}", self.mode, f"{PLAIN} (0o644) or {EXECUTABLE} (0o755)")
        check_integer(_WHAT, f"files.size of {self.path}", self.size, 0, MAX_COUNT)
        check_text(_WHAT, f"files.hash of {self.path}", self.hash)
        if not is_hash(self.hash):
            refuse(_WHAT, f"files.hash of {self.path}", self.hash, "a SHA-256 in lower-case hex")

    @classmethod
    def from_record(cls, record: object) -> PackedFile:
        """Return the file that `record` describes. Raises ContractError on nonsense."""
        if not isinstance(record, dict) or set(record) != {"path", "mode", "size", "hash"}:
            refuse(_WHAT, "files", record, "objects with path, mode, size and hash, and nothing else")
        return cls(
            path=cast("str", record["path"]),
            mode=cast("int", record["mode"]),
            size=cast("int", record["size"]),
            hash=cast("str", record["hash"]),
        )

    def to_record(self) -> dict[str, object]:
        """Return the file as JSON wants it."""
        return {"path": self.path, "mode": self.mode, "size": self.size, "hash": self.hash}


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """The files of a working directory, sorted by path. Raises ContractError if two of them collide."""

    files: tuple[PackedFile, ...]

    def __post_init__(self) -> None:
        if len(self.files) > MAX_FILES:
            refuse(_WHAT, "files", len(self.files), f"at most {MAX_FILES} files")
        _check_collisions([entry.path for entry in self.files])

    @property
    def size(self) -> int:
        """Bytes of all files together, as they will lie on a node."""
        return sum(entry.size for entry in self.files)

    @property
    def blobs(self) -> dict[str, int]:
        """Each blob that is needed, once, and its size."""
        return {entry.hash: entry.size for entry in self.files}

    @property
    def id(self) -> str:
        """What the package is known by."""
        return hash_of(self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return the one canonical form."""
        ordered = sorted(self.files, key=lambda entry: entry.path)
        record = {"version": VERSION, "files": [entry.to_record() for entry in ordered]}
        return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Package:
        """Return the package in `data`, which must be canonical. Raises ContractError on anything else."""
        record = parse_object(_WHAT, data, MAX_MANIFEST_BYTES)
        check_integer(_WHAT, "version", field(_WHAT, record, "version"), VERSION, VERSION)
        entries = field(_WHAT, record, "files")
        if not isinstance(entries, list):
            refuse(_WHAT, "files", entries, "a list")
        package = cls(files=tuple(PackedFile.from_record(entry) for entry in entries))
        if package.to_bytes() != data:
            refuse(
                _WHAT, "files", len(entries), "the canonical form: sorted, compact, and nothing else in it"
            )
        return package


def check_path(path: object) -> None:
    """Raise ContractError unless `path` names a file below whatever folder it is looked up in, everywhere."""
    if not isinstance(path, str) or not _is_inside(path):
        remedy = "a relative path of printable names, without '..', that is not too long"
        refuse(_WHAT, "files.path", path, remedy)


def _is_inside(path: str) -> bool:
    """A surrogate has no UTF-8, and a backslash is a separator elsewhere."""
    if any("\ud800" <= character <= "\udfff" for character in path) or "\\" in path:
        return False
    return len(path.encode()) <= MAX_PATH_BYTES and all(is_plain_name(part) for part in path.split("/"))


def _check_collisions(paths: Iterable[str]) -> None:
    """Two names that a file system may take for one (forms of Unicode), or a file that is a folder too."""
    files: dict[str, str] = {}
    for path in paths:
        if (other := files.get(_folded(path))) is not None:
            refuse(_WHAT, "files.path", path, f"another name: it collides with {other!r}")
        files[_folded(path)] = path
    for path in files.values():
        parts = path.split("/")
        for end in range(1, len(parts)):
            folder = "/".join(parts[:end])
            if (other := files.get(_folded(folder))) is not None:
                refuse(_WHAT, "files.path", path, f"another name: {other!r} is a file")


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path)
