"""A real HTTP server that takes webhooks, and answers as it is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """One POST as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Receiver:
    """`answers` are given one after the other, then 200; a header may go with one; "hang" waits until `release`."""

    url: str = ""
    calls: list[Call] = field(default_factory=list)
    answers: list[int | tuple[int, str, str] | str] = field(default_factory=list)
    body: bytes = b"thanks"
    release: threading.Event = field(default_factory=threading.Event)


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver on a port of its own, gone at the end."""
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            made.calls.append(Call(self.path, dict(self.headers), self.rfile.read(length)))
            answer = made.answers.pop(0) if made.answers else 200
            if answer == "hang":
                made.release.wait(60)
                return
            status, *header = answer if isinstance(answer, tuple) else (answer,)
            self.send_response(int(status))
            if header:
                self.send_header(str(header[0]), str(header[1]))
            self.send_header("Content-Length", str(len(made.body)))
            self.end_headers()
            self.wfile.write(made.body)

        def log_message(self, *_: Any) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}/hook?key=path-token"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        made.release.set()
        server.shutdown()
        thread.join()
        server.server_close()
