"""The manifest of a package: what a receiver accepts, and blobs on a disk."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from api.pruning import prune_sometimes
from barq.blobs import Blobs, TooLarge, WrongContent
from barq.package import Package, PackedFile, hash_of
from barq.strict_json import ContractError
from scheduler.store.desk import Desk
from scheduler.store.job_queries import JobFilter

EMPTY = hash_of(b"")


def record(path: Any = "a", **changes: Any) -> dict[str, Any]:
    """A file of a manifest."""
    return {"path": path, "mode": 0o644, "size": 0, "hash": EMPTY, **changes}


def manifest(*files: Any, **changes: Any) -> bytes:
    """The bytes of a manifest, as canonical as may be."""
    return json.dumps(
        {"files": files, "version": 1, **changes}, sort_keys=True, separators=(",", ":")
    ).encode()


def test_a_manifest_reads_as_it_was_written() -> None:
    """And in the one canonical form only."""
    package = Package(files=(PackedFile(path="b/é", mode=0o755, size=3, hash=EMPTY),))
    data = package.to_bytes()

    assert Package.from_bytes(data) == package
    assert hash_of(data) == package.id
    with pytest.raises(ContractError, match="canonical"):
        Package.from_bytes(data + b" ")


BAD_PATHS: list[object] = ["..", "../a", "a/../b", "/a", "a//b", "a/", "", ".", "./a", "a/.", "a\0", "a\\b"]
BAD_PATHS += ["a\nb", "C:\\a", "\ud800", "/".join(["x" * 200] * 6), "x" * 256, 5, None, ["a"]]


@pytest.mark.parametrize("path", BAD_PATHS)
def test_a_path_that_could_leave_its_folder_is_refused(path: object) -> None:
    """Whatever sent it, and before anything is written."""
    with pytest.raises(ContractError, match="path"):
        Package.from_bytes(manifest(record(path)))


@pytest.mark.parametrize(
    "files",
    [
        [record("a"), record("a")],
        [record("a"), record("a/b")],
        [record("a/b/c"), record("a/b")],
        [record("e\u0301"), record("\u00e9")],
    ],
)
def test_names_that_collide_are_refused(files: list[dict[str, Any]]) -> None:
    """No file is written over another, and none in the place of a folder."""
    with pytest.raises(ContractError, match="another name"):
        Package.from_bytes(manifest(*files))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff",
        manifest(record(mode=0o4755)),
        manifest(record(mode=True)),
        manifest(record(mode=0o120777)),
        manifest(record(size=-1)),
        manifest(record(size=1.0)),
        manifest(record(hash="A" * 64)),
        manifest(record(hash="../x")),
        manifest(record(hash=None)),
        manifest(record(link="/etc/passwd")),
        manifest("a"),
        manifest(record(), version=2),
        manifest(record(), more=1),
        manifest(record("b"), record("a")),
        json.dumps({"version": 1, "files": {}}).encode(),
    ],
)
def test_nonsense_is_refused(data: bytes) -> None:
    """Modes, sizes, hashes, unknown fields, another order: one error."""
    with pytest.raises(ContractError):
        Package.from_bytes(data)


def put(blobs: Blobs, data: bytes, name: str | None = None, limit_bytes: int = 100) -> None:
    """Receive a blob in small parts."""
    with blobs.receive(name or hash_of(data), limit_bytes=limit_bytes) as incoming:
        for i in range(0, len(data), 3):
            incoming.write(data[i : i + 3])
        incoming.finish()


def everything(root: Path) -> list[str]:
    """All files below."""
    return sorted(path.name for path in root.rglob("*") if path.is_file())


def test_a_blob_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    """The wrong content, too much of it, or an end in the middle leave nothing behind."""
    blobs, name = Blobs(tmp_path), hash_of(b"content")
    with pytest.raises(WrongContent, match="SHA-256"):
        put(blobs, b"contend", name)
    with pytest.raises(TooLarge):
        put(blobs, b"content", limit_bytes=6)
    with blobs.receive(name, limit_bytes=9) as incoming:
        incoming.write(b"con")  # and then the connection breaks off
    assert everything(tmp_path) == []

    put(blobs, b"content")
    put(blobs, b"content")  # again is no change
    assert blobs.path(name).read_bytes() == b"content"
    assert everything(tmp_path) == [name]
    assert blobs.missing([EMPTY, name]) == [EMPTY]


@pytest.mark.parametrize(
    "name", ["", "..", "../../etc/passwd", "A" * 64, "a" * 63, "packages", "a" * 64 + "\n"]
)
def test_what_is_no_hash_names_no_file(tmp_path: Path, name: str) -> None:
    """No path is made of it."""
    for use in (Blobs(tmp_path).path, Blobs(tmp_path).package_path, Blobs(tmp_path).package):
        with pytest.raises(ValueError, match="SHA-256"):
            use(name)


def test_a_package_needs_its_blobs(tmp_path: Path) -> None:
    """What is kept can be unpacked; damage on the disk is seen."""
    blobs = Blobs(tmp_path)
    package = Package(files=(PackedFile(path="a", mode=0o644, size=3, hash=hash_of(b"abc")),))
    data, name = package.to_bytes(), package.id
    with pytest.raises(LookupError, match="not here"):
        blobs.put_package(name, data, limit_bytes=3)

    put(blobs, b"abc")
    with pytest.raises(TooLarge):
        blobs.put_package(name, data, limit_bytes=2)
    with pytest.raises(WrongContent):
        blobs.put_package(EMPTY, data, limit_bytes=3)
    assert blobs.package(name) is None
    assert blobs.put_package(name, data, limit_bytes=3) == package == blobs.package(name)
    assert blobs.package(EMPTY) is None
    blobs.package_path(package.id).write_bytes(b"{}")
    with pytest.raises(WrongContent, match="damaged"):
        blobs.package(package.id)


def test_what_nobody_uses_is_removed(tmp_path: Path) -> None:
    """By age since its last use; what a package in use needs stays, and a part that never ended goes."""
    blobs = Blobs(tmp_path)
    for data in (b"kept", b"old", b"new"):
        put(blobs, data)
    package = Package(files=(PackedFile(path="a", mode=0o644, size=4, hash=hash_of(b"kept")),))
    blobs.put_package(package.id, package.to_bytes(), limit_bytes=100)
    (tmp_path / ".incoming" / "part").write_bytes(b"")
    then = time.time() - 40 * 86400
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name != hash_of(b"new"):
            os.utime(path, (then, then))

    assert blobs.prune(keep=[package.id]) == 2
    assert everything(tmp_path) == sorted([hash_of(b"kept"), hash_of(b"new"), package.id])


def test_a_package_that_is_damaged_keeps_nothing_else_from_being_removed(tmp_path: Path) -> None:
    """It is left as it is; what nobody uses goes all the same."""
    blobs = Blobs(tmp_path)
    put(blobs, b"old")
    package = Package(files=(PackedFile(path="a", mode=0o644, size=3, hash=hash_of(b"old")),))
    blobs.put_package(package.id, package.to_bytes(), limit_bytes=100)
    blobs.package_path(package.id).write_bytes(b"{}")
    then = time.time() - 40 * 86400
    for path in (blobs.path(hash_of(b"old")), blobs.package_path(package.id)):
        os.utime(path, (then, then))

    assert blobs.prune(keep=[package.id]) == 1
    assert everything(tmp_path) == [package.id]


def test_the_package_of_a_job_that_is_paused_meanwhile_is_kept(tmp_path: Path) -> None:
    """It neither waited nor ran when it was looked which do."""
    needed = hash_of(b"package")

    class Pausing:
        """A desk with one job, which is paused right after it was looked which jobs wait."""

        state = "active"

        def list(self, which: JobFilter, **_: object) -> SimpleNamespace:
            """The job, if it is in that state."""
            jobs = [SimpleNamespace(request={"package": needed})] if which.state == self.state else []
            self.state = "waiting"
            return SimpleNamespace(jobs=jobs, next=None)

    blobs = Blobs(tmp_path)
    path = blobs.package_path(needed)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"package")
    os.utime(path, (0, 0))
    prune_sometimes(blobs, cast("Desk", Pausing()))
    assert path.exists()
