"""Packing a working directory: which of its files travel with a job. `.gitignore` decides, as git understands it.

Nothing outside the folder travels: a link to something inside is packed as what it points to, one that leads out is
refused. `.git` stays behind, and so do empty folders.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from barq.errors import InvalidInput
from barq.package import EXECUTABLE, MAX_FILES, PLAIN, Package, PackedFile, check_path
from barq.strict_json import ContractError

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

FIELD: Final = "working_dir"
_BIGGEST_SHOWN: Final = 5
_MB: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One file to pack: its name in the package, where it lies, what it was when it was found."""

    path: str
    source: Path
    size: int
    is_executable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A package, and for each blob a file that holds it."""

    package: Package
    sources: dict[str, Path]


def find_files(folder: Path, *, limit_bytes: int) -> list[Found]:
    """The files of `folder` that travel, in order. Raises InvalidInput: what may not, too many, or too large."""
    if not folder.is_dir():
        raise _refused(f"{folder} is no folder", folder, "name the folder that holds the job's files")
    found: list[Found] = []
    for entry in _Walk(folder.resolve()):
        found.append(entry)
        if len(found) > MAX_FILES:
            remedy = f"keep what is not needed out of it, or name it in {folder}/.gitignore"
            raise _refused(f"{folder} has more than {MAX_FILES} files", folder, remedy)
    if sum(entry.size for entry in found) > limit_bytes:
        raise _too_large(folder, found, limit_bytes)
    return sorted(found, key=lambda entry: entry.path)


def pack(folder: Path, *, limit_bytes: int, on_hashed: Callable[[int], None] | None = None) -> Packed:
    """Find and hash what travels; `on_hashed` hears the bytes of each file. Raises InvalidInput."""
    files, sources = [], {}
    for entry in find_files(folder, limit_bytes=limit_bytes):
        size, digest = _hashed(entry.source, folder)
        mode = EXECUTABLE if entry.is_executable else PLAIN
        files.append(PackedFile(path=entry.path, mode=mode, size=size, hash=digest))
        sources[digest] = entry.source
        if on_hashed is not None:
            on_hashed(size)
    try:
        return Packed(package=Package(files=tuple(files)), sources=sources)
    except ContractError as error:  # two names that collide
        raise _refused(str(error), folder, "rename one of them") from error


class _Walk:
    """Goes through one folder, top down, with the ignore rules that hold at each place."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __iter__(self) -> Iterator[Found]:
        rules = _rules_above(self._root)
        yield from self._folder(self._root, "", rules, frozenset({os.path.realpath(self._root)}))

    def _folder(
        self, folder: Path, prefix: str, above: list[_Rules], inside: frozenset[str]
    ) -> Iterator[Found]:
        rules = [*above, *_rules_in(folder)]
        for entry in sorted(self._scan(folder), key=lambda entry: entry.name):
            path = Path(entry.path)
            if entry.name == ".git" or _is_ignored(path, rules, is_dir=self._is_dir(entry)):
                continue
            name = prefix + entry.name
            self._check(name, path, is_link=entry.is_symlink())
            if self._is_dir(entry):
                real = os.path.realpath(path)
                if real in inside:
                    raise self._link_refused(name, "leads back to a folder that it lies in")
                yield from self._folder(path, f"{name}/", rules, inside | {real})
            else:
                yield self._file(name, path)

    def _scan(self, folder: Path) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                return list(entries)
        except OSError as error:
            raise _refused(f"{folder} cannot be read ({error.strerror})", folder, "allow it") from error

    def _is_dir(self, entry: os.DirEntry[str]) -> bool:
        try:
            return entry.is_dir()
        except OSError:  # a link in a circle
            return False

    def _check(self, name: str, path: Path, *, is_link: bool) -> None:
        try:
            check_path(name)
        except ContractError as error:
            raise _refused(str(error), name, "rename it, or name it in .gitignore") from error
        if is_link and not Path(os.path.realpath(path)).is_relative_to(self._root):
            raise self._link_refused(name, "leads out of the folder")

    def _file(self, name: str, path: Path) -> Found:
        try:
            facts = path.stat()
        except OSError as error:
            raise self._link_refused(name, f"cannot be read ({error.strerror})") from error
        if not stat.S_ISREG(facts.st_mode):
            raise _refused(f"{name} is no plain file", name, "remove it, or name it in .gitignore")
        executable = bool(facts.st_mode & stat.S_IXUSR)
        return Found(path=name, source=path, size=facts.st_size, is_executable=executable)

    def _link_refused(self, name: str, why: str) -> InvalidInput:
        remedy = "put a copy in its place, or name it in .gitignore"
        return _refused(f"{self._root}: {name} {why}", name, remedy)


@dataclass(frozen=True, slots=True)
class _Rules:
    """The patterns of one `.gitignore`, which hold below `folder`."""

    folder: Path
    spec: GitIgnoreSpec


def _rules_in(folder: Path) -> list[_Rules]:
    from pathspec import GitIgnoreSpec

    try:
        lines = (folder / ".gitignore").read_text(encoding="utf-8", errors="replace").splitlines()
    except (FileNotFoundError, IsADirectoryError):
        return []
    except OSError as error:
        raise _refused(
            f"{folder}/.gitignore cannot be read ({error.strerror})", folder, "allow it"
        ) from error
    return [_Rules(folder, GitIgnoreSpec.from_lines(lines))]


def _rules_above(root: Path) -> list[_Rules]:
    """The rules of the repository that the folder lies in, if it does, from its top down."""
    for top in (root, *root.parents):
        if (top / ".git").exists():
            between = [folder for folder in root.parents if folder.is_relative_to(top)]
            return [rules for folder in reversed(between) for rules in _rules_in(folder)]
    return []


def _is_ignored(path: Path, rules: list[_Rules], *, is_dir: bool) -> bool:
    """The last pattern that matches decides, and the rules of a deeper folder come later."""
    for one in reversed(rules):
        name = path.relative_to(one.folder).as_posix() + ("/" if is_dir else "")
        verdict = one.spec.check_file(name).include
        if verdict is not None:
            return verdict
    return False


def _hashed(path: Path, folder: Path) -> tuple[int, str]:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return file.tell(), digest
    except OSError as error:
        raise _refused(f"{path} cannot be read ({error.strerror})", folder, "allow it") from error


def _too_large(folder: Path, found: list[Found], limit_bytes: int) -> InvalidInput:
    total = sum(entry.size for entry in found)
    biggest = sorted(found, key=lambda entry: -entry.size)[:_BIGGEST_SHOWN]
    shown = ", ".join(f"{entry.path} ({entry.size / _MB:.1f} MB)" for entry in biggest)
    remedy = (
        f"name what the job does not need in {folder}/.gitignore, and fetch large data with `inputs` "
        "or from a path that the nodes have"
    )
    message = (
        f"{folder} holds {total / _MB:.1f} MB, more than the {limit_bytes / _MB:.0f} MB that this site takes; "
        f"the biggest are {shown}"
    )
    return InvalidInput(message, code="package_too_large", field=FIELD, value=str(folder), remedy=remedy)


def _refused(message: str, value: object, remedy: str) -> InvalidInput:
    return InvalidInput(message, code="cannot_pack", field=FIELD, value=str(value), remedy=remedy)
