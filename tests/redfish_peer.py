"""A machine's controller for tests: the emulator of `sushy-tools` on a real socket, with power, sessions and faults.

The emulator has systems, chassis and resets, and knows neither a draw nor a session: those are put in front of it here,
in the shapes of DMTF's schemas. Its machine is switched at once, where the emulator alone takes up to eleven seconds.
"""

from __future__ import annotations

import json
import ssl
import threading
import warnings
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from wsgiref.types import StartResponse

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # WebOb imports cgi, which Python 3.13 has no more
    from sushy_tools.emulator.main import app
    from sushy_tools.emulator.resources.systems import fakedriver

USER, PASSWORD = "barq", "open:sesame"
SYSTEMS = [f"27946b59-9e44-4fa7-8e91-f3527a1ef09{i}" for i in range(4)]
ROOT = "/redfish/v1"
SESSIONS = f"{ROOT}/SessionService/Sessions"
Answer = tuple[int, Any, dict[str, str]]


@dataclass(slots=True)
class Controller:
    """What it shows, how it fails, and what it was asked."""

    draw_w: Any = 800.0
    shape: str = "power"  #: or metrics, supplies, none
    limit_w: float | None = None
    bounds_w: tuple[float, float] = (200.0, 3000.0)
    status: int = 200  #: of every answer
    body: bytes | None = None  #: of every answer
    hangs: bool = False
    has_sessions: bool = True
    changes: int = 0  #: so many times more a document is another before it can be changed
    ignores: bool = False  #: says yes to everything, and does nothing
    ignores_shutdown: bool = False  #: its system hangs: only cutting the power helps
    allowed: tuple[str, ...] | None = None  #: ways to switch it; None = as the emulator
    url: str = ""
    tokens: set[str] = field(default_factory=set)
    logins: int = 0
    asked: list[str] = field(default_factory=list)
    resets: list[str] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)
    system: str = SYSTEMS[0]

    def options(self, folder: Path, **changes: Any) -> dict[str, Any]:
        """How a site file describes it; name and password are files in `folder`."""
        for what, text in (("username", USER), ("password", PASSWORD)):
            (folder / what).write_text(text, encoding="utf-8")
        secrets = {"username_file": str(folder / "username"), "password_file": str(folder / "password")}
        return {"url": self.url, "timeout_s": 30.0, "system": self.system} | secrets | changes

    @property
    def is_on(self) -> bool:
        """Whether the emulator's machine is on."""
        return bool(app.test_client().get(f"{ROOT}/Systems/{self.system}").json["PowerState"] == "On")

    def switch(self, way: str) -> None:
        """Somebody else switches it, by its button."""
        app.test_client().post(
            f"{ROOT}/Systems/{self.system}/Actions/ComputerSystem.Reset", json={"ResetType": way}
        )

    # -- what it answers -------------------------------------------------------------------------------------------

    def __call__(self, environ: dict[str, Any], start: StartResponse) -> Any:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"].rstrip("/")
        self.asked.append(f"{method} {path}")
        if self.hangs:
            self.release.wait(60)
        if self.status != 200 or self.body is not None:
            return _send(start, self.status, b"" if self.body is None else self.body)
        length = int(environ.get("CONTENT_LENGTH") or 0)
        text = environ["wsgi.input"].read(length) if method in ("POST", "PATCH") else b""
        if not self._is_known(environ, path):
            return _send(start, 401, b"{}")
        if method == "PATCH" and self.changes > 0:
            self.changes -= 1
            return _send(start, 412, b"{}")
        status, document, headers = self._answer(method, path, json.loads(text or b"{}"))
        return _send(start, status, json.dumps(document).encode(), headers)

    def _is_known(self, environ: dict[str, Any], path: str) -> bool:
        if path == ROOT or (path == SESSIONS and self.has_sessions):
            return True
        basic = f"Basic {b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"
        return environ.get("HTTP_AUTHORIZATION") == basic or environ.get("HTTP_X_AUTH_TOKEN") in self.tokens

    def _answer(self, method: str, path: str, body: Any) -> Answer:
        own: dict[str, Callable[[str, Any], Answer]] = {
            SESSIONS: self._sessions,
            f"{ROOT}/x/Power": self._power,
            f"{ROOT}/x/EnvironmentMetrics": self._metrics,
            f"{ROOT}/x/Sensors/total": lambda *_: (
                200,
                {"ReadingType": "Power", "Reading": self.draw_w},
                {},
            ),
        }
        if path.startswith(f"{SESSIONS}/"):
            self.tokens.discard(path.rsplit("/", 1)[1])
            return 204, {}, {}
        if path in own:
            return own[path](method, body)
        if path.startswith(f"{ROOT}/x/PowerSubsystem"):
            return self._supplies(path)
        return self._emulated(method, path, body)

    def _sessions(self, method: str, body: Any) -> Answer:
        self.logins += 1
        if body != {"UserName": USER, "Password": PASSWORD}:
            return 401, {}, {}
        token = f"token-{self.logins}"
        self.tokens.add(token)
        return 201, {}, {"X-Auth-Token": token, "Location": f"{self.url}{SESSIONS}/{token}"}

    def _emulated(self, method: str, path: str, body: Any) -> Answer:
        client = app.test_client()
        if method == "POST" and path.endswith("ComputerSystem.Reset"):
            self.resets.append(body["ResetType"])
            is_idle = self.ignores_shutdown and body["ResetType"] == "GracefulShutdown"
            if self.ignores or is_idle:
                return 204, {}, {}
        answer = client.open(path, method=method, json=body if method != "GET" else None)
        document = answer.get_json(silent=True) or {}
        if path == ROOT and self.has_sessions:
            document["Links"] = {"Sessions": {"@odata.id": SESSIONS}}
        if path.startswith(f"{ROOT}/Chassis/"):
            document |= {key: {"@odata.id": f"{ROOT}/x/{key}"} for key in _LINKS[self.shape]}
        if path == f"{ROOT}/Systems/{self.system}" and self.allowed is not None:
            reset = document["Actions"]["#ComputerSystem.Reset"]
            reset["ResetType@Redfish.AllowableValues"] = list(self.allowed)
        return answer.status_code, document, {}

    def _power(self, method: str, body: Any) -> Answer:
        if method == "PATCH" and not self.ignores:
            self.limit_w = body["PowerControl"][0]["PowerLimit"]["LimitInWatts"]
        control = {
            "MemberId": "0",
            "PowerConsumedWatts": self.draw_w,
            "PowerLimit": {"LimitInWatts": self.limit_w},
        }
        part = {"MemberId": "1", "Name": "CPUs", "PowerConsumedWatts": 100}
        return 200, {"PowerControl": [control, part]}, {"ETag": '"7"'}

    def _metrics(self, method: str, body: Any) -> Answer:
        if method == "PATCH" and not self.ignores:
            self.limit_w = body["PowerLimitWatts"].get("SetPoint")
        mode = "Disabled" if self.limit_w is None else "Automatic"
        limit = {
            "ControlMode": mode,
            "SetPoint": self.limit_w,
            "AllowableMin": self.bounds_w[0],
            "AllowableMax": self.bounds_w[1],
        }
        return 200, {"PowerWatts": {"Reading": self.draw_w}, "PowerLimitWatts": limit}, {}

    def _supplies(self, path: str) -> Answer:
        base = f"{ROOT}/x/PowerSubsystem"
        supplies = [{"@odata.id": f"{base}/PowerSupplies/{i}"} for i in range(3)]
        documents: dict[str, Any] = {
            base: {"PowerSupplies": {"@odata.id": f"{base}/PowerSupplies"}},
            f"{base}/PowerSupplies": {"Members": supplies},
            f"{base}/PowerSupplies/2": {"Status": {"State": "Absent"}},
        }
        for i, share in enumerate((0.75, 0.25)):
            at = f"{base}/PowerSupplies/{i}"
            documents[at] = {"Status": {"State": "Enabled"}, "Metrics": {"@odata.id": f"{at}/Metrics"}}
            draw_w = self.draw_w * share if isinstance(self.draw_w, int | float) else self.draw_w
            documents[f"{at}/Metrics"] = {"InputPowerWatts": {"Reading": draw_w}}
        return 200, documents[path], {}


_LINKS = {
    "power": ["Power"],
    "metrics": ["EnvironmentMetrics", "Power"],
    "supplies": ["PowerSubsystem"],
    "none": [],
}


def _send(start: StartResponse, status: int, body: bytes, headers: dict[str, str] | None = None) -> Any:
    told = {"Content-Type": "application/json", "Content-Length": str(len(body))} | (headers or {})
    start(f"{status} said", list(told.items()))
    return [body if status != 204 else b""]


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_: Any, **__: Any) -> None:
        """Tests are quiet."""

    def handle(self) -> None:
        with suppress(ssl.SSLError, ConnectionError):  # who does not trust the certificate goes
            super().handle()


@contextmanager
def controller(*, number: int = 0, certificate: tuple[Path, Path] | None = None) -> Iterator[Controller]:
    """The controller of a machine that is on, until the block ends; over TLS with a certificate and its key.

    The emulator is one per process: controllers that are there at once have numbers of their own.
    """
    made = Controller(system=SYSTEMS[number])
    at_once = SimpleNamespace(randint=lambda *_: 0)
    with patch.object(fakedriver, "random", at_once), _listening(made, certificate) as server:
        scheme = "http" if certificate is None else "https"
        made.url = f"{scheme}://127.0.0.1:{server.server_port}"
        _emulator()[made.system] |= {"power_state": "On", "pending_power": None}
        yield made


def _emulator() -> dict[str, Any]:
    """Its machines, by id: in memory, where it would keep them in a file."""
    with patch.object(fakedriver.memoize, "PersistentDict", dict):
        app.config |= {
            "SUSHY_EMULATOR_FAKE_DRIVER": True,
            "SUSHY_EMULATOR_FAKE_SYSTEMS": [
                {"uuid": u, "name": f"node-{i}", "power_state": "On", "external_notifier": False, "nics": []}
                for i, u in enumerate(SYSTEMS, 1)
            ],
        }
        systems: dict[str, Any] = app.systems._systems
    return systems


@contextmanager
def _listening(made: Controller, certificate: tuple[Path, Path] | None) -> Iterator[BaseWSGIServer]:
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
    server = make_server("127.0.0.1", 0, made, threaded=True, request_handler=_Handler, ssl_context=context)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        made.release.set()
        server.shutdown()
        server.server_close()
        thread.join()
