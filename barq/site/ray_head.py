"""A Ray cluster that is this site's alone: own port, own directory, own token, on the loopback interface.

`ray start --head --block` is started like any other process. When the GCS or the raylet dies it ends the rest of
its session and itself within a second; all of it is in one session, whose number is the PID of the head.
"""

from __future__ import annotations

import importlib.util
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

LOOPBACK = "127.0.0.1"
OBJECT_STORE_BYTES = 80_000_000  #: Ray takes no less than 75 MiB; nothing of weight goes through it
TEMP_PARENT = "/tmp"  # noqa: S108 - Ray's socket names must stay under 108 bytes; mkdtemp makes it ours alone

_SETTINGS = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray replaces 127.0.0.1 by the machine's outer address unless told that it is never to be a real cluster.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",  # else SIGTERM takes 30 s: it waits for agents that never end
    "RAY_memory_monitor_refresh_ms": "0",  # it would kill agents when *jobs* use the memory
    "RAY_prestart_worker_first_driver": "0",  # no idle worker per core: agents are all there is
    "RAY_enable_worker_prestart": "0",
    "RAY_ROTATION_MAX_BYTES": "10000000",
    "RAY_ROTATION_BACKUP_COUNT": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RayHead:
    """Where our Ray lives. Starting it twice in one directory is prevented by who keeps it."""

    port: int
    temp_dir: Path  #: short, private, removed with the site
    token: Path

    @classmethod
    def new(cls, token: Path) -> RayHead:
        """A free port and a directory of its own."""
        return cls(
            port=free_port(), temp_dir=Path(tempfile.mkdtemp(prefix="barq-", dir=TEMP_PARENT)), token=token
        )

    def at(self, port: int) -> RayHead:
        """The same at another port."""
        return replace(self, port=port)

    @property
    def address(self) -> str:
        """What drivers connect to, on purpose and by name."""
        return f"{LOOPBACK}:{self.port}"

    def command(self) -> list[str]:
        """The program that starts all of it and stays until one part dies."""
        command = [sys.executable, "-P", "-m", "ray.scripts.scripts", "start", "--head", "--block"]
        command += [f"--node-ip-address={LOOPBACK}", f"--port={self.port}", f"--temp-dir={self._ray_dir}"]
        command += ["--include-dashboard=false", "--include-log-monitor=false", "--no-monitor"]
        command += [f"--object-store-memory={OBJECT_STORE_BYTES}", "--disable-usage-stats"]
        command += ["--num-gpus=0"]  # the guards own the GPUs
        if importlib.util.find_spec(
            "grpc"
        ):  # then Ray also starts a client server, on a fixed port by default
            command.append(f"--ray-client-server-port={free_port()}")
        return command

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """For Ray and its drivers: our settings, and nothing that says where some other Ray is."""
        return without_ray(inherited) | _SETTINGS | {"RAY_AUTH_TOKEN_PATH": str(self.token)}

    def prepare(self) -> None:
        """Clear away what an earlier life left, make the token at first, keep the directory private."""
        self.temp_dir.mkdir(mode=0o700, exist_ok=True)
        shutil.rmtree(self._ray_dir, ignore_errors=True)
        if not self.token.exists():
            self.token.touch(mode=0o600)
            self.token.write_text(secrets.token_hex(32), encoding="ascii")

    def is_ready(self) -> bool:
        """Whether all of it came up: Ray writes its address as the last thing it does."""
        try:
            return (self._ray_dir / "ray_current_cluster").read_text(encoding="ascii").strip() == self.address
        except FileNotFoundError:
            return False

    def port_is_free(self) -> bool:
        """Whether nobody else took the port while our Ray was down."""
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, self.port))
            except OSError:
                return False
        return True

    def remove(self) -> None:
        """Take the directory away, when nothing of this Ray runs any more."""
        shutil.rmtree(self.temp_dir, ignore_errors=True)

    @property
    def _ray_dir(self) -> Path:
        return self.temp_dir / "ray"


def without_ray(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without any variable that speaks to Ray."""
    return {name: value for name, value in environment.items() if not name.startswith("RAY_")}


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
