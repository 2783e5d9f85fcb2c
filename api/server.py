"""Listening, telling where, and serving until told to stop."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Final

import uvicorn
from fastapi import FastAPI

from api.connection import MAX_HEAD_BYTES, Connection
from api.context import Context
from barq.contract import write_atomically

GRACE_S: Final = 3
"""For answers in progress when told to stop."""
_PORTS: Final = range(1, 65_536)
_BACKLOG: Final = 1024
_ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not listened on


def bind(host: str, port: int, state: Path) -> socket.socket:
    """A listening socket. Port 0 = the one of the last time if it is free, else any. Raises OSError."""
    before = _last_port(state) if port == 0 else None
    if before is not None:
        try:
            return _listen(host, before)
        except OSError:  # somebody else has it now: any other will do
            return _listen(host, 0)
    return _listen(host, port)


def publish(listener: socket.socket, state: Path) -> str:
    """Write where the API listens to `state`/run/api.json, whole or not at all; returns the URL. Raises OSError."""
    host, port = listener.getsockname()[:2]
    name = _ANYWHERE.get(host, host)
    url = f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
    record = {
        "api_url": url,
        "host": host,
        "port": port,
        "pid": os.getpid(),
        "started_at": datetime.now(UTC).isoformat(),
    }
    file = _address_file(state)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, json.dumps(record).encode(), durable=False)
    return url


def serve(app: FastAPI, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT; answers in progress get `GRACE_S` seconds, followed logs end at once."""
    context: Context = app.state.context
    on_stop(lambda: None if context.stopping.is_set() else leave())
    make_server(app).run(sockets=[listener])


def make_server(app: FastAPI) -> uvicorn.Server:
    """The server of `app`; it ends when `should_exit` is set, or by a signal if it runs in the main thread."""
    config = uvicorn.Config(
        app,
        http=Connection,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=GRACE_S,
    )
    return _Server(config, app.state.context)


def on_stop(act: Callable[[], None]) -> None:
    """Have SIGTERM and SIGINT do this. The server, while it runs, takes them itself and passes them on when done."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: act())


def leave() -> None:
    """End the process at once, as asked: no failure."""
    raise SystemExit(0)


class _Server(uvicorn.Server):
    """Tells the routes when it begins to stop."""

    def __init__(self, config: uvicorn.Config, context: Context) -> None:
        super().__init__(config)
        self._context = context

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop."""
        self._context.stopping.set()
        super().handle_exit(sig, frame)


def _listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    # Named, because asyncio sends at once (TCP_NODELAY) only on sockets that say that they are TCP: without it each
    # answer on a connection that is kept waits some 40 ms for the other side to acknowledge its head.
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # head and body go out at once
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _address_file(state: Path) -> Path:
    return state / "run" / "api.json"


def _last_port(state: Path) -> int | None:
    try:
        port = json.loads(_address_file(state).read_bytes())["port"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return port if isinstance(port, int) and port in _PORTS else None
