"""Laying out a package on a node."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from barq.blobs import Blobs, WrongContent
from tests.surroundings import keep, write
from workers.unpacking import unpack


def test_a_package_is_laid_out_as_it_was_packed(tmp_path: Path) -> None:
    """Names, content and modes; whatever was there before is gone."""
    source = write(tmp_path / "source", {"run.sh": "x", "deep/er/data": "y"})
    (source / "run.sh").chmod(0o700)
    blobs = Blobs(tmp_path / "blobs")
    package = keep(source, blobs)
    target = write(tmp_path / "work", {"old": ""})
    unpack(package, blobs, target)

    found = {
        str(p.relative_to(target)): stat.S_IMODE(p.stat().st_mode) for p in target.rglob("*") if p.is_file()
    }
    assert found == {"run.sh": 0o755, "deep/er/data": 0o644}
    assert (target / "deep/er/data").read_text() == "y"
    assert stat.S_IMODE(target.stat().st_mode) == 0o700


def test_a_damaged_blob_is_seen_and_removed(tmp_path: Path) -> None:
    """So that the next attempt fetches it again instead of failing for ever."""
    blobs = Blobs(tmp_path / "blobs")
    package = keep(write(tmp_path / "source", {"a": "content"}), blobs)
    [name] = package.blobs
    blobs.path(name).write_bytes(b"contend")

    with pytest.raises(WrongContent, match="damaged on this node"):
        unpack(package, blobs, tmp_path / "work")
    assert blobs.missing([name]) == [name]
