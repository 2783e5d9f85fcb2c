"""One question to one guard on this machine, over its socket: works with scheduler, API and Ray gone."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SOCKET_NAME = "guard.sock"


def ask(group_dir: Path, request: Mapping[str, object], *, timeout_s: float) -> dict[str, Any]:
    """The answer of the guard that looks after `group_dir`. Raises OSError: none there, too slow, or no sense in it."""
    directory = os.open(group_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
            stream.settimeout(timeout_s)
            stream.connect(f"/proc/self/fd/{directory}/{SOCKET_NAME}")  # short, however long the path is
            stream.sendall(json.dumps(request).encode() + b"\n")
            with stream.makefile("rb") as answers:
                return _object(answers.readline())
    finally:
        os.close(directory)


def _object(line: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(line)
    except ValueError as error:
        raise ConnectionError("the guard closed the connection before it answered") from error
    if not isinstance(answer, dict):
        raise ConnectionError(f"the guard's answer makes no sense: {line[:80]!r}")
    return answer
