"""A PDU that speaks Redfish on loopback, in the shapes of DMTF's schema Outlet. Its target is not where one guesses."""

from __future__ import annotations

import json
import ssl
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.outlets.strip import Fault, Strip

USER, PASSWORD = "barq", "open:sesame"
OUTLETS = "/redfish/v1/PowerEquipment/RackPDUs/1/Outlets"


class RedfishPdu:
    """Where it listens, what it switches, and how else than a `Strip` it fails."""

    def __init__(self, strip: Strip) -> None:
        self.strip = strip
        self.url = ""
        self.port = 0
        self.target = f"{OUTLETS}/{{}}/Outlet.PowerControl"
        self.body: bytes | None = None  #: of every answer
        self.status = 200
        self.asked: list[str] = []
        self.release = threading.Event()

    def answer(self, method: str, path: str, body: Any, authorization: str | None) -> tuple[int, Any]:
        if authorization != f"Basic {b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}":
            return 401, {}
        for outlet in self.strip.draws_w:
            if (method, path) == ("GET", f"{OUTLETS}/{outlet}"):
                return 200, self._document(outlet)
            if (method, path) == ("POST", self.target.format(outlet)):
                return self._switched(outlet, body)
        return 404, {"error": {"code": "Base.1.0.ResourceMissingAtURI"}}

    def _document(self, outlet: str) -> dict[str, Any]:
        state = "On" if self.strip.is_on(outlet) else "Off"
        faults = self.strip.faults
        document: dict[str, Any] = {
            "@odata.type": "#Outlet.v1_4_2.Outlet",
            "@odata.id": f"{OUTLETS}/{outlet}",
            "Id": outlet,
            "PowerState": "Unknown" if Fault.STRANGE in faults else state,
            "PowerWatts": {"Reading": None if Fault.UNMETERED in faults else self.strip.draw_w(outlet)},
            "Actions": {"#Outlet.PowerControl": {"target": self.target.format(outlet)}},
        }
        return document

    def _switched(self, outlet: str, body: Any) -> tuple[int, Any]:
        if Fault.READ_ONLY in self.strip.faults:
            return 403, {"error": {"message": "Insufficient privilege"}}
        if body not in ({"PowerState": "On"}, {"PowerState": "Off"}):
            return 400, {"error": {"@Message.ExtendedInfo": [{"Message": f"not {body}"}]}}
        self.strip.switch(outlet, body["PowerState"] == "On")
        return 204, {}


@contextmanager
def redfish_pdu(strip: Strip, *, certificate: tuple[Path, Path] | None = None) -> Iterator[RedfishPdu]:
    """A PDU that listens until the block ends; over TLS with a certificate and its key."""
    pdu = RedfishPdu(strip)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            pdu.asked.append(f"{self.command} {self.path}")
            if Fault.SILENT in strip.faults:
                pdu.release.wait(60)
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, document = pdu.answer(
                self.command, self.path, json.loads(data or b"null"), self.headers.get("Authorization")
            )
            if pdu.body is not None:
                status, body = pdu.status, pdu.body
            else:
                body = b"" if status == 204 else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            if status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - as http.server calls it

        def log_message(self, *_: Any) -> None:
            """Tests are quiet."""

    with _listening(Handler, certificate) as server:
        pdu.port = server.server_address[1]
        pdu.url = f"{'https' if certificate else 'http'}://127.0.0.1:{pdu.port}"
        try:
            yield pdu
        finally:
            pdu.release.set()


@contextmanager
def _listening(handler: Any, certificate: tuple[Path, Path] | None) -> Iterator[ThreadingHTTPServer]:
    server = _Server(("127.0.0.1", 0), handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a kept connection ends when its client hangs up

    def handle_error(self, *_: Any) -> None:
        """A client that goes in the middle is no news."""
