"""Documents behind a URL: a limit, and prices. The client's own code runs, over a transport within the process."""

from __future__ import annotations

from typing import Any

import httpx

from scheduler.ports import LimitSource
from scheduler.signals.http_poll import HttpPoll, open_source as open_poll
from scheduler.signals.price import Price, open_source as open_price
from tests.giving.giver import NONSENSE, REACTION_S, Fetched, Scene, iso, spoilt
from tests.giving.plan import Doc, Trouble


class OverHttp(Fetched):
    """A server of one document, with an ETag now and then."""

    def client(self) -> httpx.AsyncClient:
        """What the source asks with."""
        return httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if self.trouble is Trouble.SILENT:
            raise self.chance.choice([httpx.ConnectError("gone"), httpx.ReadTimeout("it hangs")])
        if self.trouble is Trouble.ERROR:
            return httpx.Response(self.chance.choice([500, 503, 401, 302]))
        self.messages += 1
        tag = f'"{self.stamp_us}"'
        if self.trouble is None and request.headers.get("If-None-Match") == tag:
            return httpx.Response(304)
        headers = {"ETag": tag} if self.trouble is None else {}
        return httpx.Response(
            200, headers=headers, stream=httpx.ByteStream(spoilt(self.document(), self.trouble, self.chance))
        )

    def document(self) -> Any:
        """What is served."""
        raise NotImplementedError


class Polled(OverHttp):
    """`http_poll`: what holds and what follows."""

    name = "http_poll"
    troubles = (
        Trouble.SILENT,
        Trouble.ERROR,
        Trouble.GARBAGE,
        Trouble.TORN,
        Trouble.NAN,
        Trouble.NEGATIVE,
        Trouble.ABSURD,
        Trouble.OLD,
        Trouble.AHEAD,
    )

    def open(self) -> LimitSource:
        options = {
            "url": "https://dso.example/limit.json",
            "field": "/limit/kw",
            "unit": "kW",
            "timestamp_field": "issued",
            "steps_field": "ahead",
            "step_time_field": "from",
            "step_limit_field": "kw",
            "max_age_s": 180,
            "max_w": 1e6,
            "stale_after_s": self.stale_after_s,
            "timeout_s": 60,
        }
        source = open_poll(self.name, options, base=self.scene.base, reaction_s=REACTION_S)
        assert isinstance(source, HttpPoll)
        source._page._http = self.client()
        return source

    def document(self) -> Any:
        doc, stamp_us = self.shown()
        first_w = NONSENSE.get(self.trouble, doc[0][1]) if self.trouble else doc[0][1]
        ahead = [{"from": iso(at_us), "kw": limit_w / 1e3} for at_us, limit_w in doc[1:]]
        return {"issued": iso(stamp_us), "limit": {"kw": first_w / 1e3}, "ahead": ahead}


class Priced(OverHttp):
    """`price` behind a URL: cheap is all that the site may have, dear is the firm level."""

    name = "price"
    poll_s = 2.0
    asked_s = 20.0
    stale_after_s = 120.0
    troubles = (
        Trouble.SILENT,
        Trouble.ERROR,
        Trouble.GARBAGE,
        Trouble.TORN,
        Trouble.NAN,
    )

    def open(self) -> LimitSource:
        options = {
            "url": "https://prices.example/today.json",
            "prices_field": "/day/prices",
            "below": 30,
            "above": 45,
            "on_w": self.scene.top_w,
            "off_w": self.scene.firm_w,
            "last_row_s": 3600,
            "every_s": 20,
            "stale_after_s": self.stale_after_s,
            "timeout_s": 60,
        }
        source = open_price(self.name, options, base=self.scene.base, reaction_s=REACTION_S)
        assert isinstance(source, Price)
        assert source._page is not None
        source._page._http = self.client()
        return source

    def document(self) -> Any:
        prices = [
            {"time": iso(at_us), "price": price} for at_us, price in prices_of(self.doc, self.scene.top_w)
        ]
        if self.trouble is Trouble.NAN:
            prices[0]["price"] = float("nan")
        return {"day": {"prices": prices}}

    def meant(self, doc: Doc) -> Doc:
        return on_off(doc, self.scene)


def on_off(doc: Doc, scene: Scene) -> Doc:
    """The limits that follow from prices that are low where all may be drawn."""
    return tuple((at_us, scene.top_w if w == scene.top_w else scene.firm_w) for at_us, w in doc)


def prices_of(doc: Doc, top_w: float) -> list[tuple[int, float]]:
    """A price for each step: low where all may be drawn, high elsewhere."""
    return [(at_us, -4.2 if limit_w == top_w else 60.0) for at_us, limit_w in doc]
