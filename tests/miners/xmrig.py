"""A program that behaves as XMRig does: it serves its HTTP API, and can be paused where that is not restricted.

python xmrig.py PORT TOKEN [restricted] [stubborn]
"""

from __future__ import annotations

import json
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

STARTED_S = time.monotonic()


class Api(BaseHTTPRequestHandler):
    """Summary, pause and resume."""

    token = ""
    is_restricted = False
    is_paused = False

    def do_GET(self) -> None:
        if self.path != "/2/summary" or not self._may_ask():
            return self._say(404 if self._may_ask() else 401, {"error": "no"})
        rate = 0.0 if Api.is_paused else 12_000.0
        return self._say(
            200,
            {
                "id": "emulated",
                "version": "6.24.0",
                "uptime": int(time.monotonic() - STARTED_S),
                "paused": Api.is_paused,
                "hashrate": {"total": [rate, rate, None], "highest": 12_000.0},
                "connection": {"pool": "pool.example:3333", "accepted": 7},
            },
        )

    def do_POST(self) -> None:
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._may_ask() or Api.is_restricted:
            return self._say(403, {"error": "forbidden"})
        if told.get("method") not in ("pause", "resume"):
            return self._say(200, {"id": told.get("id"), "error": {"code": -32601}})
        Api.is_paused = told["method"] == "pause"
        return self._say(200, {"id": told.get("id"), "jsonrpc": "2.0", "result": {"status": "OK"}})

    def _may_ask(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {Api.token}"

    def _say(self, status: int, told: Any) -> None:
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Tests are quiet."""


if __name__ == "__main__":
    Api.token = sys.argv[2]
    Api.is_restricted = "restricted" in sys.argv
    if "stubborn" in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    server = HTTPServer(("127.0.0.1", int(sys.argv[1])), Api)
    print("serving", flush=True)
    server.serve_forever()
