"""The API behind a socket: in a thread of the test, or as its own process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from api.app import create_app
from api.server import bind, make_server, publish
from tests.stores import put_migrated
from tests.waiting import wait_for

REPOSITORY = Path(__file__).parents[1]
SITE = """\
name: t
power: {firm_w: 20000}
nodes: [{count: 1, gpus: 4, simulated: true}]
"""


def make_state(folder: Path) -> Path:
    """The state directory of a site named "t" in `folder`."""
    state = folder / "state"
    state.mkdir()
    (state / "site.yaml").write_text(SITE, "utf-8")
    return state


@contextmanager
def served(state: Path) -> Iterator[str]:
    """Serve the site from a thread; gives the URL."""
    put_migrated(state / "barq.db")
    listener = bind("127.0.0.1", 0, state)
    server = make_server(create_app(state))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        wait_for(lambda: server.started, timeout_s=60, what="the server has started")
        yield publish(listener, state)
    finally:
        server.should_exit = True
        thread.join(timeout=60)
        listener.close()


class Process:
    """`python -m api` on one state directory."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.process = subprocess.Popen(
            [sys.executable, "-m", "api", "--state", str(state)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def address(self) -> dict[str, Any]:
        """What `run/api.json` tells, once it is this process's."""
        return wait_for(self._address, timeout_s=60, what="run/api.json")

    def _address(self) -> dict[str, Any]:
        assert self.process.poll() is None, self.process.stdout and self.process.stdout.read()
        file = self.state / "run" / "api.json"
        record: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.exists() else {}
        return record if record.get("pid") == self.process.pid else {}

    def stop(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """End it; exit code and output."""
        self.process.send_signal(how)
        output, _ = self.process.communicate(timeout=60)
        return self.process.returncode, output.decode()
