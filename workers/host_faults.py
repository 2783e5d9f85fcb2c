"""Which errors are this machine's and no job's: it lacks descriptors, processes, memory or room, or its disk fails."""

from __future__ import annotations

import errno
from typing import Final

_OF_THE_HOST: Final = frozenset(
    {
        errno.EAGAIN,  # no process may be added
        errno.ENOMEM,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOSPC,
        errno.EIO,
        errno.ESTALE,
    }
)


def in_the_way(error: Exception) -> str:
    """What keeps a program from being started, in words."""
    if not isinstance(error, OSError):
        return str(error)
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"there is no {error.filename} on this node"
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)


def is_of_the_host(error: BaseException) -> bool:
    """Whether the same start may go well at another time, or on another node, without the job being changed."""
    return isinstance(error, OSError) and error.errno in _OF_THE_HOST
