"""A Ray cluster that is this site's alone: own port, own directory, own token, on one interface.

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
RAY_DIR = "ray"  #: below the temporary directory

# On a network address the ports are a block that begins at a known number, so that firewalls can know it too:
# the API is at its beginning, then Ray's control service, its node manager, its object manager; then its workers.
PORTS_FROM = 7480
GCS_OFFSET = 1
FIRST_WORKER_OFFSET = 10
LAST_OFFSET = 99

_SETTINGS = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",  # else SIGTERM takes 30 s: it waits for agents that never end
    "RAY_memory_monitor_refresh_ms": "0",  # it would kill agents when *jobs* use the memory
    "RAY_prestart_worker_first_driver": "0",  # no idle worker per core: agents are all there is
    "RAY_enable_worker_prestart": "0",
    # Nobody looks at what Ray counts of itself, and it counts all the time, in each of its processes.
    "RAY_enable_metrics_collection": "0",
    "RAY_enable_timeline": "0",
    "RAY_event_stats": "0",
    "RAY_task_events_report_interval_ms": "0",
    "RAY_ROTATION_MAX_BYTES": "10000000",
    "RAY_ROTATION_BACKUP_COUNT": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RayHead:
    """Where our Ray lives. Starting it twice in one directory is prevented by who keeps it."""

    port: int
    temp_dir: Path  #: short, private, removed with the site
    token: Path
    host: str = LOOPBACK  #: the address to listen on, by which the machines of the site reach it

    @classmethod
    def new(cls, token: Path, *, host: str = LOOPBACK, port: int = 0) -> RayHead:
        """A directory of its own, and a free port where none is given."""
        return cls(port=port or free_port(host), temp_dir=new_temp_dir(), token=token, host=host)

    def at(self, port: int) -> RayHead:
        """The same at another port."""
        return replace(self, port=port)

    @property
    def address(self) -> str:
        """What drivers connect to, on purpose and by name."""
        return f"{self.host}:{self.port}"

    @property
    def may_move(self) -> bool:
        """Whether another port will do: nobody beyond this machine knows the one it has."""
        return self.host == LOOPBACK

    def command(self) -> list[str]:
        """The program that starts all of it and stays until one part dies."""
        command = [sys.executable, "-P", "-m", "ray.scripts.scripts", "start", "--head", "--block"]
        command += [f"--port={self.port}", "--include-dashboard=false", "--no-monitor"]
        command += node_options(self.host, self._ray_dir)
        if not self.may_move:
            command += port_options(self.port - GCS_OFFSET)
        if importlib.util.find_spec(
            "grpc"
        ):  # then Ray also starts a client server, on a fixed port by default
            command.append(f"--ray-client-server-port={free_port(self.host)}")
        return command

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """For Ray and its drivers: our settings, and nothing that says where some other Ray is."""
        return ray_environment(inherited, token=self.token, host=self.host)

    def prepare(self) -> None:
        """Clear away what an earlier life left, make the token at first, keep the directory private."""
        clear(self.temp_dir)
        if not self.token.exists():
            self.token.touch(mode=0o600)
            self.token.write_text(secrets.token_hex(32), encoding="ascii")

    def is_ready(self) -> bool:
        """Whether all of it came up: Ray writes its address as the last thing it does."""
        return came_up(self.temp_dir, self.address)

    def port_is_free(self) -> bool:
        """Whether nobody else took the port while our Ray was down."""
        return is_free(self.host, self.port)

    def remove(self) -> None:
        """Take the directory away, when nothing of this Ray runs any more."""
        shutil.rmtree(self.temp_dir, ignore_errors=True)

    @property
    def _ray_dir(self) -> Path:
        return self.temp_dir / RAY_DIR


# -- what heads and members have in common ----------------------------------------------------------------------------


def node_options(host: str, ray_dir: Path) -> list[str]:
    """What every Ray node of ours is started with. The guards own the GPUs."""
    options = [f"--node-ip-address={host}", f"--temp-dir={ray_dir}", "--include-log-monitor=false"]
    return [*options, f"--object-store-memory={OBJECT_STORE_BYTES}", "--disable-usage-stats", "--num-gpus=0"]


def port_options(ports_from: int) -> list[str]:
    """The ports on which one Ray node of the block that begins at `ports_from` is reached by the others."""
    first, last = ports_from + FIRST_WORKER_OFFSET, ports_from + LAST_OFFSET
    return [
        f"--node-manager-port={ports_from + 2}",
        f"--object-manager-port={ports_from + 3}",
        f"--min-worker-port={first}",
        f"--max-worker-port={last}",
    ]


def ray_environment(inherited: Mapping[str, str], *, token: Path, host: str) -> dict[str, str]:
    """For Ray and its drivers: our settings, and nothing that says where some other Ray is.

    On 127.0.0.1 Ray is told never to be a real cluster, or it would take the machine's outer address instead.
    """
    cluster = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0" if host == LOOPBACK else "1"}
    return without_ray(inherited) | _SETTINGS | cluster | {"RAY_AUTH_TOKEN_PATH": str(token)}


def new_temp_dir() -> Path:
    """A directory for Ray, private, with a name short enough for its sockets."""
    return Path(tempfile.mkdtemp(prefix="barq-", dir=TEMP_PARENT))


def clear(temp_dir: Path) -> None:
    """Take away what an earlier life of Ray left, and keep the directory private."""
    temp_dir.mkdir(mode=0o700, exist_ok=True)
    shutil.rmtree(temp_dir / RAY_DIR, ignore_errors=True)


def came_up(temp_dir: Path, address: str) -> bool:
    """Whether the Ray node of this directory runs in the cluster at `address`: it says so as the last thing."""
    try:
        return (temp_dir / RAY_DIR / "ray_current_cluster").read_text(encoding="ascii").strip() == address
    except FileNotFoundError:
        return False


def without_ray(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without any variable that speaks to Ray."""
    return {name: value for name, value in environment.items() if not name.startswith("RAY_")}


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(host: str = LOOPBACK) -> int:
    """A port that nobody listens on at this address now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
