"""Unix sockets where the kernel's limit would forbid them."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from workers.sockets import LONGEST_PATH_BYTES, connect, listen


@pytest.mark.parametrize("depth", [0, 12])
def test_a_socket_is_reached_at_a_path_of_any_length(tmp_path: Path, depth: int) -> None:
    """Both ends find each other, also far beyond 107 bytes, and nobody else may connect."""
    directory = tmp_path.joinpath(*["a-long-name"] * depth)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "guard.sock"
    assert depth == 0 or len(str(path)) > LONGEST_PATH_BYTES

    with listen(path) as listener:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with connect(path, timeout_s=60) as client:
            client.sendall(b"hello")
            server, _ = listener.accept()
            with server:
                assert server.recv(5) == b"hello"


def test_what_a_dead_owner_left_is_replaced(tmp_path: Path) -> None:
    """A stale socket file refuses connections until somebody listens again."""
    path = tmp_path / "guard.sock"
    listen(path).close()
    with pytest.raises(ConnectionRefusedError):
        connect(path)

    with listen(path), connect(path, timeout_s=60):
        pass
    path.unlink()
    with pytest.raises(FileNotFoundError):
        connect(path)
