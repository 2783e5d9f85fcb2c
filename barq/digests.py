"""What the content of a file comes to: a hash over pieces, several at once. Standard library only.

One core hashes slower than a good disk writes, and a save that power forces has seconds. So a file is taken in pieces
of 64 MiB, the last one shorter:

    digest = "sha256-64m:" + hex of SHA-256(SHA-256(piece 1) + SHA-256(piece 2) + ...)

SHA-256, for processors have instructions for it. Commits of before name a BLAKE2b-256 of the whole, in hex alone; these
verify, too.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BufferedReader
from typing import Final

PIECE_BYTES: Final = 64 << 20
MOST_THREADS: Final = 4
_KIND: Final = "sha256-64m:"
_READ_BYTES: Final = 1 << 20


def file_digest(file: BufferedReader) -> str:
    """The digest of a whole file, wherever it was read up to. Raises OSError."""
    return _KIND + hashlib.sha256(b"".join(_pieces(file.fileno()))).hexdigest()


def is_digest_of(digest: str, file: BufferedReader) -> bool:
    """Whether a file is still what its digest says. Raises OSError, and ValueError for an unknown kind."""
    if digest.startswith(_KIND):
        return file_digest(file) == digest
    if ":" in digest:
        raise ValueError(
            f"its digest is of a kind that this version does not know, {digest.partition(':')[0]}"
        )
    file.seek(0)
    return hashlib.file_digest(file, _blake2b_256).hexdigest() == digest


def _pieces(fd: int) -> Iterator[bytes]:
    starts = range(0, os.fstat(fd).st_size, PIECE_BYTES)
    threads = min(MOST_THREADS, len(os.sched_getaffinity(0)), len(starts))
    if threads > 1:
        with ThreadPoolExecutor(max_workers=threads) as pool:  # reading and hashing let go of the interpreter
            yield from pool.map(lambda start: _piece(fd, start), starts)
    else:
        yield from (_piece(fd, start) for start in starts)


def _piece(fd: int, start: int) -> bytes:
    hashed, at, end, room = hashlib.sha256(), start, start + PIECE_BYTES, memoryview(bytearray(_READ_BYTES))
    while at < end and (count := os.preadv(fd, [room[: end - at]], at)):
        hashed.update(room[:count])
        at += count
    return hashed.digest()


def _blake2b_256() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=32)
