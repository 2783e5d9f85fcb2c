"""Events of a VTN within the process: its answers, page by page, in bytes."""

from __future__ import annotations

import json
from email.utils import format_datetime
from itertools import pairwise
from typing import Any

import httpx

from scheduler.openadr.client import Access, Vtn
from scheduler.ports import LimitSource
from scheduler.signals.openadr3 import open_source
from scheduler.sim.clock import us
from tests.giving.giver import GARBAGE, NONSENSE, REACTION_S, Fetched, Scene, at_of, iso
from tests.giving.plan import Doc, Trouble

URL = "https://vtn.example/openadr3/3.1.0"
PROGRAM = {"id": "44", "programName": "surplus", "objectType": "PROGRAM"}
FAR_US = us(100 * 3600.0)


class Events(Fetched):
    """`openadr3`: one event with an interval for each step, among others that say nothing of the limit."""

    name = "openadr3"
    poll_s = 1.0
    asked_s = 10.0
    troubles = (
        Trouble.SILENT,
        Trouble.ERROR,
        Trouble.GARBAGE,
        Trouble.TORN,
        Trouble.NAN,
        Trouble.NEGATIVE,
        Trouble.ABSURD,
    )

    answers_in = frozenset(
        NONSENSE
    )  # an event that makes no sense is refused, and its last good version stands

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        (scene.base / "openadr-secret").write_text("a secret", encoding="utf-8")
        self._tokens = 0
        self._token = ""

    def open(self) -> LimitSource:
        scene = self.scene
        options = {
            "vtn_url": URL,
            "client_id": "barq",
            "client_secret_file": "openadr-secret",
            "subscription_w": scene.firm_w,
            "believable_w": 1e6,
            "programs": ["surplus"],
            "every_s": self.asked_s,
            "stale_after_s": self.stale_after_s,
            "timeout_s": 40,
        }
        source = open_source(self.name, options, base=scene.base, reaction_s=REACTION_S)
        http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        access = Access(
            url=URL,
            token_url=None,
            client_id="barq",
            scope="read_all",
            secret=source._secret,
            allow_http=False,
        )
        source._http = http
        source._vtn = Vtn(access, http, now=scene.timeline.now, monotonic_s=scene.timeline.monotonic_s)
        return source

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if self.trouble is Trouble.SILENT:
            raise self.chance.choice([httpx.ConnectError("gone"), httpx.ReadTimeout("it hangs")])
        if self.trouble is Trouble.ERROR:
            return self._said(self.chance.choice([500, 503, 429]), {}, {"Retry-After": "5"})
        path = request.url.path.rpartition("/")[2]
        if path == "server":
            return self._said(200, {"tokenURL": f"{URL}/auth/token"})
        if path == "token":
            self._tokens += 1
            self._token = f"token-{self._tokens}"
            return self._said(200, {"access_token": self._token, "expires_in": 1800})
        if request.headers.get("Authorization") != f"Bearer {self._token}":
            return self._said(401, {})
        if self.chance.random() < 0.01:
            self._token = "revoked"  # noqa: S105 - from now on none holds
        page = self._page([PROGRAM] if path == "programs" else self._events(), request)
        if path != "events":
            return self._said(200, page)
        self.messages += 1
        text = json.dumps(page).encode()
        if self.trouble is Trouble.GARBAGE:
            text = self.chance.choice([g for g in GARBAGE if g != b"[]"])
        elif self.trouble is Trouble.TORN:
            text = text[: self.chance.randrange(len(text) - 1)]
        return self._bytes(200, text)

    def _page(self, objects: list[Any], request: httpx.Request) -> list[Any]:
        skip, limit = int(request.url.params["skip"]), min(2, int(request.url.params["limit"]))
        return objects[skip : skip + limit]

    def _said(self, status: int, document: Any, headers: dict[str, str] | None = None) -> httpx.Response:
        return self._bytes(status, json.dumps(document).encode(), headers)

    def _bytes(self, status: int, text: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
        date = format_datetime(at_of(self.now_us), usegmt=True)
        return httpx.Response(
            status, headers={"Date": date, **(headers or {})}, stream=httpx.ByteStream(text)
        )

    def _events(self) -> list[Any]:
        doc, stamp_us = self.doc, self.stamp_us
        other = {
            "id": "price",
            "programID": "44",
            "eventName": "price",
            "intervalPeriod": {"start": iso(0), "duration": "PT9000H"},
            "intervals": [{"id": 0, "payloads": [{"type": "PRICE", "values": [0.17]}]}],
        }
        return [other, self._limit(doc, stamp_us), {**other, "id": "unknown", "eventName": "unknown"}]

    def _limit(self, doc: Doc, stamp_us: int) -> dict[str, Any]:
        limits_w = [limit_w for _, limit_w in doc]
        if self.trouble is not None and self.trouble in NONSENSE:
            limits_w[0] = NONSENSE[self.trouble]
        instants = [at_us for at_us, _ in doc]
        return {
            "id": "limit",
            "programID": "44",
            "eventName": "feeder 12",
            "createdDateTime": iso(0),
            "modificationDateTime": iso(stamp_us),
            "payloadDescriptors": [
                {
                    "objectType": "EVENT_PAYLOAD_DESCRIPTOR",
                    "payloadType": "IMPORT_CAPACITY_LIMIT",
                    "units": "KW",
                }
            ],
            "intervals": [
                {
                    "id": n,
                    "intervalPeriod": {"start": iso(at_us), "duration": f"PT{(until_us - at_us) / 1e6:.6f}S"},
                    "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [limit_w / 1e3]}],
                }
                for n, ((at_us, until_us), limit_w) in enumerate(
                    zip(pairwise([*instants, instants[-1] + FAR_US]), limits_w, strict=True)
                )
            ],
        }
