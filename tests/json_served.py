"""A server of one document on a real socket, with faults that a test switches on.

with served() as page:
    page.say({"limit": 12})
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class Served:
    """What is served, how it fails, and what was asked."""

    url: str = ""
    body: bytes = b""
    status: int = 200
    tag: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    hangs: bool = False
    release: threading.Event = field(default_factory=threading.Event)
    asked: list[dict[str, str]] = field(default_factory=list)  #: headers of each request
    statuses: list[int] = field(default_factory=list)  #: of each answer

    def say(self, document: Any, *, tag: str | None = None) -> None:
        """Serve this from now on."""
        self.body, self.tag, self.status = json.dumps(document).encode(), tag, 200


class _Handler(BaseHTTPRequestHandler):
    page: Served
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        page = self.page
        page.asked.append({key.lower(): value for key, value in self.headers.items()})
        if page.hangs:
            page.release.wait(60)
            self.close_connection = True
            return
        known = page.tag is not None and self.headers.get("If-None-Match") == page.tag
        status, body = (304, b"") if known else (page.status, page.body)
        page.statuses.append(status)
        self.send_response(status)
        if page.tag is not None:
            self.send_header("ETag", page.tag)
        for key, value in page.headers.items():
            self.send_header(key, value)
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        with suppress(ssl.SSLError, ConnectionError):  # who does not trust the certificate goes
            super().handle()

    def log_message(self, *args: Any) -> None:
        """Tests are quiet."""


@contextmanager
def served(certificate: tuple[Path, Path] | None = None) -> Iterator[Served]:
    """A server on a free port of this machine, until the block ends; over TLS with a certificate and its key."""
    page = Served()
    handler = type("Handler", (_Handler,), {"page": page, "timeout": 30})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    scheme = "http" if certificate is None else "https"
    page.url = f"{scheme}://127.0.0.1:{server.server_address[1]}/limit.json"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield page
    finally:
        page.release.set()
        server.shutdown()
        server.server_close()
        thread.join()
