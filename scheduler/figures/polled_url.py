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

HTTPS only, but for this machine itself (or `allow_http: true`, in a closed network); `timeout_s` is for one whole
answer; no redirect is followed. A server that goes on serving what nobody writes any more is only seen by its
timestamp: name it.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Final

from scheduler.connections.http import Page
from scheduler.connections.messages import Refused, read_json
from scheduler.core.hashprice import ChainFigures
from scheduler.figures.reading import figures_of, look_into
from scheduler.revenue_settings import UrlSource

MOST_BYTES: Final = 4_000_000


class PolledUrl:
    """Asks for the document at each reading."""

    def __init__(self, settings: UrlSource, *, base: Path, stale_after_s: float) -> None:
        self.name = settings.name
        self._settings = settings
        self._stale_after_s = stale_after_s
        self._page = Page(settings, base=base, most_bytes=MOST_BYTES)
        self._known: bytes | None = None

    async def read(self, at: datetime) -> ChainFigures:
        """What the document says now. Raises `SignalError` and `Refused` that name server, field, value and remedy."""
        payload = await self._page.get()
        if payload is None:
            payload = self._known
        try:
            if payload is None:
                raise Refused("it is said to be unchanged, and was never read; have the server send it")
            told = await asyncio.to_thread(self._figures, payload, at)
        except Refused as error:
            raise Refused(f"{self._settings.url_shown()}: {error}") from error
        self._page.taken()
        self._known = payload
        return told

    async def close(self) -> None:
        """End the connection."""
        await self._page.close()

    def _figures(self, payload: bytes, at: datetime) -> ChainFigures:
        look = look_into(read_json(payload, most_bytes=MOST_BYTES))
        by = self._settings.url_shown()
        return figures_of(look, self._settings, by=by, at=at, stale_after_s=self._stale_after_s)
