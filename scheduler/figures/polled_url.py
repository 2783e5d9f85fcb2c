"""Figures in a JSON document behind a URL, which is asked for every `poll_s`.

In the site file:

    revenue:
      sources:
        - type: url
          name: node
          url: https://figures.example/chain.json
          poll_s: 300
          token_file: secrets/figures-token   # a bearer token; or username_file and password_file; or ..._env for each
          btc_field: /market/btc              # JSON pointer, or the name of a key; so for the others
          difficulty_field: /chain/difficulty
          height_field: /chain/height
          fees_field: /chain/fees
          fees_unit: sat                      # BTC (default) or sat
          timestamp_field: /updated           # ISO 8601 or Unix; null = as of when it is asked for
          also:                               # other documents, for figures that the first one does not hold
            - url: https://market.example/ticker.json
              btc_field: /bitcoin/price       # token_file and the like are its own
              timestamp_field: /bitcoin/at    # of several dates the earliest counts

HTTPS only, but for this machine itself (or `allow_http: true`, in a closed network); `timeout_s` is for one whole
answer; no redirect is followed. A server that goes on serving what nobody writes any more is only seen by its
timestamp: name it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from scheduler.connections.http import HttpOptions, Page
from scheduler.connections.messages import Refused, at_field, instant, read_json
from scheduler.core.hashprice import ChainFigures
from scheduler.figures.reading import figures_of, look_into
from scheduler.revenue_settings import AlsoUrl, UrlSource

MOST_BYTES: Final = 4_000_000
_KEYS: Final = ("btc_field", "difficulty_field", "height_field", "fees_field", "source_field")
_NOTHING: Final = object()


class Document:
    """One document, as it was when it was asked for last."""

    def __init__(self, options: HttpOptions, *, base: Path) -> None:
        self.host = options.url_shown()
        self._page = Page(options, base=base, most_bytes=MOST_BYTES)
        self._known: bytes | None = None

    async def ask(self) -> object:
        """What it holds now. Raises `SignalError`, `Refused`."""
        payload = await self._page.get()
        if payload is None:
            payload = self._known
        try:
            if payload is None:
                raise Refused("it is said to be unchanged, and was never read; have the server send it")
            found = await asyncio.to_thread(read_json, payload, most_bytes=MOST_BYTES)
        except Refused as error:
            raise Refused(f"{self.host}: {error}") from error
        self._page.taken()
        self._known = payload
        return found

    async def close(self) -> None:
        """End the connection."""
        await self._page.close()


class PolledUrl:
    """Asks for the documents at each reading."""

    def __init__(self, settings: UrlSource, *, base: Path, stale_after_s: float) -> None:
        self.name = settings.name
        self._settings = settings
        self._stale_after_s = stale_after_s
        self._parts: tuple[UrlSource | AlsoUrl, ...] = (settings, *settings.also)
        self._documents = tuple(Document(part, base=base) for part in self._parts)

    async def read(self, at: datetime) -> ChainFigures:
        """What the documents say now. Raises `SignalError` and `Refused` that name server, field, value and remedy."""
        found = [await document.ask() for document in self._documents]
        return self._figures(found, at)

    async def close(self) -> None:
        """End the connections."""
        await asyncio.gather(*(document.close() for document in self._documents))

    def _figures(self, documents: Sequence[object], at: datetime) -> ChainFigures:
        hosts = ", ".join(dict.fromkeys(d.host for d in self._documents))
        try:
            told = {key: value for key in _KEYS if (value := self._value(key, documents)) is not _NOTHING}
            places: dict[str, str | None] = {key: key if key in told else None for key in _KEYS}
            return figures_of(
                look_into(told),
                self._settings.model_copy(update={**places, "timestamp_field": None}),
                by=hosts,
                at=self._as_of(documents, at),
                stale_after_s=self._stale_after_s,
            )
        except Refused as error:
            raise Refused(f"{hosts}: {error}") from error

    def _value(self, key: str, documents: Sequence[object]) -> object:
        """What stands where the last part that says so has this figure."""
        places = [(d, f) for d, f in zip(documents, self._places(key), strict=True) if f is not None]
        return at_field(*places[-1]) if places else _NOTHING

    def _as_of(self, documents: Sequence[object], at: datetime) -> datetime:
        """The earliest date that any of them has; `at` where none has one."""
        dated = zip(documents, self._places("timestamp_field"), strict=True)
        return min(
            (instant(at_field(d, field), field) for d, field in dated if field is not None), default=at
        )

    def _places(self, key: str) -> list[str | None]:
        """Where each part has it."""
        return [getattr(part, key, None) for part in self._parts]
