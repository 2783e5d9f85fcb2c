"""What the content of a file comes to: of pieces hashed side by side, the same wherever it is reckoned."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from barq import digests
from barq.digests import file_digest, is_digest_of


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two pieces and a half of eight bytes each, read by three."""
    monkeypatch.setattr(digests, "PIECE_BYTES", 8)
    monkeypatch.setattr(digests, "_READ_BYTES", 3)
    path = tmp_path / "shard"
    path.write_bytes(bytes(range(20)))
    return path


def digest_of(path: Path) -> str:
    """As a commit names it."""
    with path.open("rb") as opened:
        return file_digest(opened)


def still_is(digest: str, path: Path) -> bool:
    """Whether the file matches."""
    with path.open("rb") as opened:
        opened.read(5)  # wherever it was read up to
        return is_digest_of(digest, opened)


def sha(content: bytes) -> bytes:
    """A plain SHA-256."""
    return hashlib.sha256(content).digest()


def test_it_is_the_hash_of_the_hashes_of_the_pieces(file: Path) -> None:
    """As anybody can reckon it."""
    data = file.read_bytes()
    pieces = [data[0:8], data[8:16], data[16:20]]

    assert digest_of(file) == "sha256-64m:" + sha(b"".join(map(sha, pieces))).hex()


@pytest.mark.parametrize("threads", [1, 4])
def test_it_does_not_hang_on_how_many_hash(file: Path, monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    """One thread or several."""
    alone = digest_of(file)
    monkeypatch.setattr(digests, "MOST_THREADS", threads)
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: set(range(threads)))

    assert digest_of(file) == alone


def test_an_empty_file_has_one_too(tmp_path: Path) -> None:
    """Of no pieces."""
    empty = tmp_path / "empty"
    empty.touch()

    assert digest_of(empty) == "sha256-64m:" + sha(b"").hex()
    assert still_is(digest_of(empty), empty)


@pytest.mark.parametrize("at", [0, 7, 8, 19])
def test_each_bit_counts(file: Path, at: int) -> None:
    """Within a piece, at its edges, and in the last one."""
    digest, data = digest_of(file), bytearray(file.read_bytes())
    assert still_is(digest, file)

    data[at] ^= 1
    file.write_bytes(data)
    assert not still_is(digest, file)


def test_commits_of_before_still_verify(file: Path) -> None:
    """By a BLAKE2b-256 of the whole."""
    before = hashlib.blake2b(file.read_bytes(), digest_size=32).hexdigest()

    assert still_is(before, file)
    file.write_bytes(b"other")
    assert not still_is(before, file)


def test_a_digest_of_a_later_version_is_refused(file: Path) -> None:
    """It says nothing of the data."""
    with pytest.raises(ValueError, match="does not know, blake4"):
        still_is("blake4:00", file)
