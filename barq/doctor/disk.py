"""The disk below the state directory, where the database, the guards' memory and checkpoints are."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from barq.doctor.finding import Finding, fail, ok, warn
from barq.doctor.place import Place

GB: Final = 1_000_000_000
LEAST_BYTES: Final = 1 * GB
FEW_BYTES: Final = 10 * GB
SLOW_S: Final = 0.05  #: an order is on the disk before it is acted on, so this is in every reaction
TOO_SLOW_S: Final = 1.0
SYNCS: Final = 5
BLOCK: Final = b"\0" * 4096

VOLATILE: Final = frozenset({"tmpfs", "ramfs"})
REMOTE: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "afs", "ceph", "lustre"}
)


def free_bytes(path: Path) -> int:
    """What an ordinary user may still write there. Raises OSError."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def space(place: Place, free: Callable[[Path], int] = free_bytes) -> Finding:
    """Room for the database and for checkpoints."""
    where = place.existing()
    left = free(where)
    found = f"{left / GB:.1f} GB free at {where}"
    if left < LEAST_BYTES:
        return fail(
            "disk-space",
            found,
            "checkpoints fail, and a full disk stops the scheduler",
            "make room, or move BARQ_STATE",
        )
    if left < FEW_BYTES:
        return warn(
            "disk-space", found, "a few checkpoints of a large model fill it", "make room, or move BARQ_STATE"
        )
    return ok("disk-space", found)


def sync_s(directory: Path) -> float:
    """Seconds until 4 KB are on the disk, the median of a few. Raises OSError."""
    took = []
    with tempfile.TemporaryFile(dir=directory) as file:
        for _ in range(SYNCS):
            began_s = time.monotonic()
            file.write(BLOCK)
            file.flush()
            os.fsync(file.fileno())
            took.append(time.monotonic() - began_s)
    return statistics.median(took)


def sync(place: Place, measure: Callable[[Path], float] = sync_s) -> Finding:
    """How long it takes until something is written for good."""
    where = place.existing()
    try:
        took_s = measure(where)
    except OSError as error:
        return warn(
            "disk-sync", f"{where}: {error.strerror}", "nothing can be said", "name another: BARQ_STATE"
        )
    found = f"fsync takes {took_s * 1000:.1f} ms at {where}"
    if took_s >= TOO_SLOW_S:
        return fail(
            "disk-sync",
            found,
            "orders and commits come too late for the grid",
            "put BARQ_STATE on a local SSD",
        )
    if took_s >= SLOW_S:
        return warn(
            "disk-sync", found, "every order and every commit waits for it", "put BARQ_STATE on a local SSD"
        )
    return ok("disk-sync", found)


def file_system(place: Place) -> Finding:
    """What kind of disk it is."""
    where = place.existing()
    return judged(where, _kind(place, where.resolve()))


def judged(where: Path, kind: str | None) -> Finding:
    """What that kind of file system means for a site's state."""
    if kind in REMOTE:
        return fail(
            "disk-kind",
            f"{where} is on {kind}",
            "SQLite and file locks do not hold over a network: the database may be damaged",
            "put BARQ_STATE on a local disk; checkpoints may be on the network",
        )
    if kind in VOLATILE:
        return warn(
            "disk-kind",
            f"{where} is in memory ({kind})",
            "jobs, records and checkpoints are gone after a restart of the machine",
            "put BARQ_STATE on a disk",
        )
    return ok("disk-kind", f"{where} is on {kind or 'an unknown file system'}")


def _kind(place: Place, path: Path) -> str | None:
    """The type of the file system that is mounted nearest above a path."""
    best: tuple[int, str] | None = None
    for line in (place.read("proc/self/mountinfo") or "").splitlines():
        before, _, after = line.partition(" - ")
        mount = Path(before.split()[4].encode().decode("unicode_escape"))
        if path.is_relative_to(mount) and (best is None or len(mount.parts) >= best[0]):
            best = len(mount.parts), after.split()[0]
    return best[1] if best else None
