"""The API as its own process, and a client of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.api_site import ApiSite
from tests.waiting import wait_for

SITE = """\
name: t
power: {firm_w: 20000}
nodes: [{count: 1, gpus: 4, simulated: true}]
"""


class Server:
    """`python -m api` on one state directory."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.process = subprocess.Popen(
            [sys.executable, "-m", "api", "--state", str(state)],
            cwd=Path(__file__).parents[1],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def address(self) -> dict[str, Any]:
        """What `run/api.json` tells, once it is this process's."""
        return wait_for(self._address, timeout_s=30, what="run/api.json")

    def _address(self) -> dict[str, Any]:
        assert self.process.poll() is None, self.process.stdout and self.process.stdout.read()
        file = self.state / "run" / "api.json"
        record: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.exists() else {}
        return record if record.get("pid") == self.process.pid else {}

    def stop(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """End it; exit code and output."""
        self.process.send_signal(how)
        output, _ = self.process.communicate(timeout=30)
        return self.process.returncode, output.decode()

    def open_files(self) -> list[str]:
        """The files that it holds open, by path."""
        found = []
        for link in Path(f"/proc/{self.process.pid}/fd").iterdir():
            try:
                found.append(str(link.readlink()))
            except FileNotFoundError:
                continue
        return found


@asynccontextmanager
async def site_of(server: Server) -> AsyncIterator[tuple[ApiSite, httpx.AsyncClient]]:
    """The server's site with a scheduler's hand in this process, and a client over a socket."""
    async with ApiSite(server.state) as site:
        headers = {"Authorization": f"Bearer {site.token}"}
        async with httpx.AsyncClient(
            base_url=server.address()["api_url"], headers=headers, timeout=30
        ) as client:
            yield site, client
