"""One machine's part in the Ray cluster of a site whose head is elsewhere: a raylet that joins by address and token.

`ray start --address --block` ends its session and itself when its raylet dies. A raylet dies by itself when the head
does not know it, as after a restart of the head; the keeper then starts it anew, and it joins what it finds there.
"""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from barq.site.ray_head import RAY_DIR, came_up, clear, node_options, port_options, ray_environment

ASK_S = 0.5  #: a head that takes longer to accept a connection is asked again later


@dataclass(frozen=True, slots=True, kw_only=True)
class RayMember:
    """Where this machine's raylet lives, and whom it joins."""

    address: str  #: of the head's control service, HOST:PORT
    host: str  #: of this machine, by which the others reach it
    ports_from: int
    node_name: str
    temp_dir: Path  #: short, private, removed when the keeper ends
    token: Path  #: the site's Ray token, mode 0600

    def command(self) -> list[str]:
        """The program that joins, and stays until its raylet dies."""
        command = [sys.executable, "-P", "-m", "ray.scripts.scripts", "start", "--block"]
        command += [f"--address={self.address}", f"--node-name={self.node_name}"]
        return [*command, *node_options(self.host, self.temp_dir / RAY_DIR), *port_options(self.ports_from)]

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """For Ray and its drivers on this machine."""
        return ray_environment(inherited, token=self.token, host=self.host)

    def prepare(self) -> None:
        """Clear away what an earlier life left."""
        clear(self.temp_dir)

    def is_ready(self) -> bool:
        """Whether it has joined."""
        return came_up(self.temp_dir, self.address)

    def head_listens(self) -> bool:
        """Whether there is somebody to join: to find out by joining takes Ray twenty seconds."""
        host, _, port = self.address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=ASK_S).close()
        except OSError:
            return False
        return True

    def remove(self) -> None:
        """Take the directory away, when nothing of this Ray runs any more."""
        shutil.rmtree(self.temp_dir, ignore_errors=True)
