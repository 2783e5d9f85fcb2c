"""A guard whose checkpoints cannot be read: `python -m tests.stale_guard --config group.json`.

As on a file system over the network that lost its server: while there is a file `stale` beside group.json.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

from barq.checkpoint import Commit, Quarantined, newest_verified
from barq.manifest import Manifest
from workers import inspection
from workers.guard import main

STALE = Path(sys.argv[2]).parent / "stale"


def look(checkpoint_dir: Path) -> tuple[Commit | None, list[Quarantined]]:
    """The newest commit, or what the kernel says of a mount that is gone."""
    if STALE.exists():
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(checkpoint_dir))
    return newest_verified(checkpoint_dir)


def verify(path: Path) -> Manifest:
    """Never at once: a look through the directory is what counts here."""
    raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))


if __name__ == "__main__":
    inspection.__dict__.update(newest_verified=look, verify=verify)
    raise SystemExit(main())
