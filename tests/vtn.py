"""A small VTN after OpenADR 3.1, on a real socket, with faults that a test switches on.

    with served() as vtn:
        vtn.publish(event("surplus", [9500, 4000]))

Programs, events, reports, VENs and resources in pages, OAuth client credentials, the Date header of its own clock.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

CLIENT_ID, SECRET = "barq-site-1", "quite-secret-7fd3"
LIMIT = "IMPORT_CAPACITY_LIMIT"
KINDS = {
    "reports": ("write_reports", ("eventID", "clientName", "reportName")),
    "vens": ("write_vens", ("venName",)),
    "resources": ("write_vens", ("venID", "resourceName")),
}  #: what can be written: the scope that it takes, and what makes its name
PROGRAM = {"id": "44", "programName": "surplus", "objectType": "PROGRAM"}


@dataclass(slots=True)
class Vtn:
    """What it says, and how it fails. `faults` are answered one after the other, by path."""

    url: str = ""
    programs: list[Any] = field(default_factory=lambda: [PROGRAM])
    events: list[Any] = field(default_factory=list)
    page_cap: int = 50
    expires_in: Any = 3600
    ahead_s: float | None = 0.0  #: of its clock; None = it sends no Date
    faults: dict[str, list[tuple[int, dict[str, str], bytes]]] = field(default_factory=dict)
    before_page: list[Any] = field(default_factory=list)  #: called one by one, before a page of events
    hangs: bool = False
    is_open: bool = False  #: it asks for no token
    release: threading.Event = field(default_factory=threading.Event)
    tokens: set[str] = field(default_factory=set)
    tokens_given: int = 0
    asked: list[str] = field(default_factory=list)
    objects: dict[str, dict[str, dict[str, Any]]] = field(
        default_factory=lambda: {"reports": {}, "vens": {}, "resources": {}}
    )  #: what was written, by kind and id
    written: list[tuple[str, str]] = field(default_factory=list)  #: method and path of each write
    held: int = 0  #: requests that it let hang
    writes_hang: bool = False  #: it never answers who writes; reading goes on
    scopes: dict[str, str] = field(default_factory=dict)  #: of each token

    @property
    def reports(self) -> list[dict[str, Any]]:
        """As they were put last."""
        return list(self.objects["reports"].values())

    def publish(self, *events: dict[str, Any], at: datetime | None = None) -> None:
        """Create them, or change those with the same id."""
        stamp = (at or datetime.now(UTC)).isoformat()
        kept = [e for e in self.events if e["id"] not in {new["id"] for new in events}]
        self.events = [
            *kept,
            *({"createdDateTime": stamp, "modificationDateTime": stamp} | e for e in events),
        ]

    def delete(self, event_id: str) -> None:
        self.events = [e for e in self.events if e["id"] != event_id]

    def revoke(self) -> None:
        """No token that was given counts any more."""
        self.tokens.clear()

    def fail(self, path: str, status: int, body: bytes = b"{}", **headers: str) -> None:
        """Answer the next request for `path` with this."""
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        self.faults.setdefault(path, []).append((status, named, body))


def event(event_id: str, values_kw: list[Any], **more: Any) -> dict[str, Any]:
    """An event with one interval of a limit for each value, half an hour each, from the last full hour on."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    kind = more.pop("kind", LIMIT)
    return {
        "id": event_id,
        "objectType": "EVENT",
        "programID": "44",
        "eventName": f"the {event_id}",
        "intervalPeriod": {
            "start": (more.pop("start", hour)).isoformat(),
            "duration": more.pop("each", "PT2H"),
        },
        "payloadDescriptors": [
            {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": kind, "units": more.pop("units", "KW")}
        ],
        "intervals": [
            {"id": n, "payloads": [{"type": kind, "values": [v]}]} for n, v in enumerate(values_kw)
        ],
    } | more


class _Handler(BaseHTTPRequestHandler):
    vtn: Vtn

    def do_GET(self) -> None:
        self._handle(None)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.headers.get("Content-Type", "").startswith("application/json"):
            self._handle(None, json.loads(body))
        else:
            self._handle(parse_qs(body))

    def do_PUT(self) -> None:
        self._handle(None, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _handle(self, form: dict[str, list[str]] | None, document: Any = None) -> None:
        vtn, parts = self.vtn, urlsplit(self.path)
        path = next((w for w in parts.path.split("/") if w in KINDS), parts.path.rpartition("/")[2])
        vtn.asked.append(self.path)
        if vtn.hangs or (vtn.writes_hang and document is not None):
            vtn.held += 1
            vtn.release.wait(60)
            return
        if waiting := vtn.faults.get(path):
            self._answer(*waiting.pop(0))
            return
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        if document is not None:
            status, answer = self._write(path, parts.path.rpartition("/")[2], document)
        else:
            status, answer = self._of(path, query, form)
        self._answer(status, {}, json.dumps(answer).encode())

    def _of(self, path: str, query: dict[str, str], form: dict[str, list[str]] | None) -> tuple[int, Any]:
        vtn = self.vtn
        if path == "server":
            return 200, {"tokenURL": f"{vtn.url}/auth/token"}
        if path == "token":
            return self._token(form or {})
        if not vtn.is_open and self.headers.get("Authorization", "")[7:] not in vtn.tokens:
            return 401, {"title": "Unauthorized", "status": 401}
        if path == "programs":
            return 200, self._page(vtn.programs, query)
        if path == "events":
            if vtn.before_page:
                vtn.before_page.pop(0)()
            program = query.get("programID")
            return 200, self._page([e for e in vtn.events if program in {None, e["programID"]}], query)
        if path in KINDS:
            wanted = {k: v for k, v in query.items() if k not in {"skip", "limit"}}
            return 200, self._page(
                [o for o in vtn.objects[path].values() if wanted.items() <= o.items()], query
            )
        return 404, {"title": "Not Found", "status": 404}

    def _write(self, kind: str, last: str, document: dict[str, Any]) -> tuple[int, Any]:
        """Create an object, or put another in its place. Names are unique, and rights are those of the token."""
        vtn, token = self.vtn, self.headers.get("Authorization", "")[7:]
        vtn.written.append((self.command, urlsplit(self.path).path))
        if not vtn.is_open and token not in vtn.tokens:
            return 401, {"title": "Unauthorized", "status": 401}
        if not vtn.is_open and KINDS[kind][0] not in vtn.scopes[token].split():
            return 403, {"title": "Forbidden", "status": 403}
        objects, names = vtn.objects[kind], KINDS[kind][1]
        if self.command == "PUT":
            if last not in objects:
                return 404, {"title": "Not Found", "status": 404}
            objects[last] = {"id": last, **document}
            return 200, objects[last]
        if any(all(o.get(n) == document.get(n) for n in names) for o in objects.values()):
            return 409, {"title": "Conflict", "status": 409}
        made = f"{kind}-{len(vtn.written)}"
        objects[made] = {"id": made, **document}
        return 201, objects[made]

    def _token(self, form: dict[str, list[str]]) -> tuple[int, Any]:
        if (form["client_id"], form["client_secret"]) != ([CLIENT_ID], [SECRET]):
            return 401, {"error": "invalid_client"}
        self.vtn.tokens_given += 1
        token = f"token-{self.vtn.tokens_given}"
        self.vtn.tokens.add(token)
        self.vtn.scopes[token] = form.get("scope", [""])[0]
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": self.vtn.expires_in}

    def _page(self, objects: list[Any], query: dict[str, str]) -> list[Any]:
        skip, limit = int(query["skip"]), min(int(query["limit"]), self.vtn.page_cap)
        return objects[skip : skip + limit]

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        if self.vtn.ahead_s is not None:
            now = datetime.fromtimestamp(time.time(), UTC) + timedelta(seconds=self.vtn.ahead_s)
            self.send_header("Date", format_datetime(now, usegmt=True))
        for key, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        with suppress(ssl.SSLError, ConnectionError):  # a client that does not trust us, or gave us up
            super().handle()

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@contextmanager
def served(certificate: Path | None = None) -> Iterator[Vtn]:
    """A VTN on a port of its own, gone at the end; over HTTPS with a certificate, key in the same file."""
    vtn = Vtn()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"vtn": vtn}))
    vtn.url = f"http://127.0.0.1:{server.server_port}"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        # The handshake belongs to the thread of its connection, not to the one that takes them all.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        vtn.url = f"https://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield vtn
    finally:
        vtn.release.set()
        server.shutdown()
        thread.join()
        server.server_close()
