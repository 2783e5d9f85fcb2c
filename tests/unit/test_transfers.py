"""Files by URL: what is fetched and put, and what a store must not be able to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tests.surroundings import write
from workers import transfers
from workers.transfers import CannotTransfer, fetch, put


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryFileSystem]:
    """A store that is no disk, empty, and no waiting before a second try."""
    monkeypatch.setattr(transfers, "RETRY_AFTER_S", (0.0, 0.0))
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


def files(folder: Path) -> dict[str, str]:
    """All files below, and what they hold."""
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_a_file_and_a_folder_go_to_a_store_and_back(store: MemoryFileSystem, tmp_path: Path) -> None:
    """Names below the folder are kept, and a URL that ends with a slash is a folder to put into."""
    source = write(tmp_path / "source", {"a": "1", "deep/b": "2"})
    put(source, "memory://bucket/run")
    put(source / "a", "memory://bucket/into/")
    put(source / "a", "memory://bucket/as-c")

    fetch("memory://bucket/run", tmp_path / "back")
    fetch("memory://bucket/as-c", tmp_path / "one" / "c")
    assert files(tmp_path / "back") == {"a": "1", "deep/b": "2"}
    assert files(tmp_path / "one") == {"c": "1"}
    assert store.cat("/bucket/into/a") == b"1"


@pytest.mark.parametrize("name", ["../../x", "a/../../../x", "a//b", "\n"])
def test_a_store_cannot_place_files_outside(store: MemoryFileSystem, tmp_path: Path, name: str) -> None:
    """Whatever it lists as the names of its files."""

    def find(path: str, **options: Any) -> list[str]:
        return [f"{path}/{name}"]

    store.pipe("/bucket/run/a", b"")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MemoryFileSystem, "find", lambda self, path: find(path))
        with pytest.raises(CannotTransfer, match="stay inside"):
            fetch("memory://bucket/run", tmp_path / "in" / "put")
    assert files(tmp_path) == {}


def test_passing_trouble_is_tried_again(
    store: MemoryFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice; then its words are told, and nothing half-fetched is left."""
    store.pipe("/bucket/a", b"1")
    troubles = [OSError("reset"), TimeoutError("slow")]
    original = MemoryFileSystem.get_file

    def get_file(self: MemoryFileSystem, path: str, target: str) -> None:
        if troubles:
            Path(target).write_text("half")
            raise troubles.pop()
        original(self, path, target)

    monkeypatch.setattr(MemoryFileSystem, "get_file", get_file)
    fetch("memory://bucket/a", tmp_path / "a")
    assert files(tmp_path) == {"a": "1"}

    troubles[:] = [OSError("reset")] * 3
    with pytest.raises(CannotTransfer, match="cannot fetch memory://bucket/a: OSError: reset"):
        fetch("memory://bucket/a", tmp_path / "b")
    assert files(tmp_path) == {"a": "1"}


def test_what_is_not_there_is_told_at_once(store: MemoryFileSystem, tmp_path: Path) -> None:
    """On either side, by name; and so is a store whose package is not installed."""
    with pytest.raises(CannotTransfer, match="memory://bucket/none"):
        fetch("memory://bucket/none", tmp_path / "a")
    with pytest.raises(CannotTransfer, match="none was not written"):
        put(tmp_path / "none", "memory://bucket/none")
    with pytest.raises(CannotTransfer, match="install its package"):
        fetch("gs://bucket/a", tmp_path / "a")
    with pytest.raises(CannotTransfer, match="nonsense://a"):
        fetch("nonsense://a", tmp_path / "a")
