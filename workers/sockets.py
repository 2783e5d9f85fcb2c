"""Unix sockets at paths of any length.

The kernel takes at most 107 bytes for the path of a Unix socket, and state directories may be longer. A longer path
is reached through `/proc/self/fd/<descriptor of its directory>/`, which is short wherever the directory lies.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST_PATH_BYTES = 107
LONGEST_LINE_BYTES = 64 * 1024 * 1024  #: of one request or answer


def listen(path: Path, *, backlog: int = 64) -> socket.socket:
    """A listening stream socket at `path`, for its owner only, in place of whatever a dead owner left there.

    Whoever calls must know (by a lock) that nobody alive listens there. Raises OSError.
    """
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short(path) as address:
            listener.bind(address)
        path.chmod(0o600)
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    return listener


def connect(path: Path, *, timeout_s: float | None = None) -> socket.socket:
    """A blocking socket to who listens at `path`. Raises OSError: FileNotFoundError, ConnectionRefusedError."""
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stream.settimeout(timeout_s)
    try:
        with _short(path) as address:
            stream.connect(address)
    except OSError:
        stream.close()
        raise
    return stream


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name for `path` that the kernel takes, valid inside the `with`."""
    if len(os.fsencode(path)) <= LONGEST_PATH_BYTES:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
