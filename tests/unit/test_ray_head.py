"""A Ray that is ours alone: where it lives, what it is told, and when it counts as up."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from barq.site.ray_head import RayHead, free_port, without_ray

LONGEST_SOCKET_NAME = "session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"


@pytest.fixture
def head(tmp_path: Path) -> Iterator[RayHead]:
    """A head that is never started."""
    made = RayHead.new(tmp_path / "token")
    yield made
    shutil.rmtree(made.temp_dir, ignore_errors=True)


def test_its_directory_is_private_and_short(head: RayHead) -> None:
    """Nobody else reads it, and Ray's sockets in it stay under what the kernel takes."""
    assert head.temp_dir.stat().st_mode & 0o777 == 0o700
    assert len(str(head.temp_dir / "ray" / LONGEST_SOCKET_NAME)) < 107


def test_two_heads_share_nothing(head: RayHead, tmp_path: Path) -> None:
    """Port, directory and token are each site's own."""
    other = RayHead.new(tmp_path / "other-token")
    head.prepare()
    other.prepare()
    assert head.temp_dir != other.temp_dir
    assert head.token.read_text() != other.token.read_text()
    other.remove()


def test_the_token_is_made_once_for_this_user_only(head: RayHead) -> None:
    """Drivers that hold it stay valid when Ray starts anew."""
    head.prepare()
    token = head.token.read_text()
    head.prepare()
    assert head.token.read_text() == token
    assert len(token) >= 32
    assert head.token.stat().st_mode & 0o777 == 0o600


def test_it_listens_on_the_loopback_interface_only(head: RayHead) -> None:
    """Address, command and settings agree on it."""
    assert head.address == f"127.0.0.1:{head.port}"
    assert "--node-ip-address=127.0.0.1" in head.command()
    assert head.environment({})["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"


def test_what_the_shell_says_of_ray_is_dropped(head: RayHead) -> None:
    """Neither an address nor a token nor a setting of somebody else's cluster reaches ours."""
    shell = {"RAY_ADDRESS": "192.0.2.1:6379", "RAY_AUTH_TOKEN": "theirs", "RAY_gcs_x": "1", "HOME": "/h"}
    assert without_ray(shell) == {"HOME": "/h"}
    ours = head.environment(shell)
    assert not {"RAY_ADDRESS", "RAY_AUTH_TOKEN", "RAY_gcs_x"} & ours.keys()
    assert ours["RAY_AUTH_MODE"] == "token"
    assert ours["RAY_AUTH_TOKEN_PATH"] == str(head.token)


def test_it_is_ready_only_at_its_own_address(head: RayHead) -> None:
    """What an earlier life wrote, or one at another port, does not count."""
    head.prepare()
    assert not head.is_ready()
    marker = head.temp_dir / "ray" / "ray_current_cluster"
    marker.parent.mkdir()
    marker.write_text(head.at(1).address)
    assert not head.is_ready()
    marker.write_text(head.address)
    assert head.is_ready()
    head.prepare()
    assert not head.is_ready()


def test_a_taken_port_is_noticed(head: RayHead) -> None:
    """Before Ray tries and fails."""
    assert head.port_is_free()
    with socket.create_server(("127.0.0.1", head.port)):
        assert not head.port_is_free()
    assert head.at(free_port()).port_is_free()


def test_it_leaves_nothing_behind(head: RayHead) -> None:
    """Removing twice is harmless."""
    head.prepare()
    head.remove()
    head.remove()
    assert not head.temp_dir.exists()
