"""Laying out a package: its files, checked once more on the way, in a folder that is the attempt's own."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from barq.blobs import CHUNK_BYTES, Blobs, WrongContent
from barq.package import Package, PackedFile


def unpack(package: Package, blobs: Blobs, folder: Path) -> None:
    """Make `folder` anew with the files of the package, all writable. Raises WrongContent, OSError.

    A blob that is damaged on this node is removed, so that the next attempt fetches it again.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    for entry in package.files:
        target = folder / entry.path  # inside, by what a package is
        target.parent.mkdir(parents=True, exist_ok=True)
        _write(entry, blobs.path(entry.hash), target)


def _write(entry: PackedFile, blob: Path, target: Path) -> None:
    """The folder is new and ours, so that nothing can be there yet: whatever is makes this fail."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    digest = hashlib.sha256()
    with blob.open("rb") as source, os.fdopen(os.open(target, flags, entry.mode), "wb") as file:
        while data := source.read(CHUNK_BYTES):
            digest.update(data)
            file.write(data)
        os.fchmod(file.fileno(), entry.mode)
    if digest.hexdigest() != entry.hash:
        blob.unlink(missing_ok=True)
        raise WrongContent(
            f"{entry.path}: its blob {entry.hash[:12]} is damaged on this node; submit the job again"
        )
