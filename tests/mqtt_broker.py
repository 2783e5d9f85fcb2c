"""A real MQTT broker for tests: Mosquitto, as Debian packages it.

It is the broker that operators run, and shares no code with our client: amqtt, which pip could install, would be a
second reading of the protocol in Python, and on our own event loop.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import paho.mqtt.publish
import pytest

from tests.waiting import wait_for

PATIENCE_S = 60.0
PROGRAM = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


class Broker:
    """Starts, is killed, starts again at the same port, and publishes what a giver of limits would."""

    def __init__(self, folder: Path, lines: Sequence[str] = ()) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self._config = folder / "mosquitto.conf"
        self._log = folder / "mosquitto.log"
        self._process: subprocess.Popen[bytes] | None = None
        user = (
            [] if os.geteuid() else ["user root"]
        )  # it would drop its rights, and not read pytest's folders
        listens = [f"listener {self.port} 127.0.0.1", "persistence false", *user]
        allowed = (
            [] if any(line.startswith("allow_anonymous") for line in lines) else ["allow_anonymous true"]
        )
        self._config.write_text("\n".join([*listens, *allowed, *lines]) + "\n", encoding="utf-8")

    def start(self) -> None:
        """Returns when it accepts connections."""
        assert PROGRAM is not None
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([PROGRAM, "-c", str(self._config)], stdout=log, stderr=log)
        wait_for(self._accepts, timeout_s=PATIENCE_S, what="the broker accepts connections")

    def kill(self) -> None:
        """As a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """It hangs."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def publish(self, topic: str, payload: str | bytes, *, retain: bool = False, **options: Any) -> None:
        """Returns when the broker has it. `options` are `auth`, `tls`, `hostname`."""
        there: dict[str, Any] = {"hostname": "127.0.0.1", "port": self.port} | options
        paho.mqtt.publish.single(topic, payload, qos=1, retain=retain, **there)

    def _accepts(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"the broker ended: {self._log.read_text(encoding='utf-8')}")
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False


@contextmanager
def broker(folder: Path, *lines: str) -> Iterator[Broker]:
    """A broker that runs, with `lines` of its configuration beside the usual; gone at the end."""
    if PROGRAM is None:
        reason = "mosquitto is not installed (apt-get install mosquitto): limits over MQTT are not tried"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    made = Broker(folder, lines)
    try:
        made.start()
        yield made
    finally:
        made.kill()
