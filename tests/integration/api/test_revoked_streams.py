"""Answers that last end with the token that they were begun with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from scheduler.store.tokens import NewToken
from tests.api_site import ApiSite, log_of

LOGS = "/api/v1/jobs/t-1/logs"


@dataclass
class Guest:
    """A person with a token of their own at a site that is served."""

    site: ApiSite
    client: httpx.AsyncClient


@pytest.fixture
async def guest(state: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Guest]:
    """An operator of a site with one job; tokens are looked at all the time."""
    monkeypatch.setattr("api.welcome.Welcome.__init__.__kwdefaults__", {"look_s": 0.0})
    async with ApiSite(state) as site:
        await site.submit()
        log_of(site).write_bytes(b"one\n")
        _, text = site.context.desk.make_token(NewToken(user="rana", role="operator"))
        headers = {"Authorization": f"Bearer {text}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
            yield Guest(site, client)


@pytest.mark.parametrize("path", [f"{LOGS}?follow=true", "/stream"])
async def test_a_revoked_token_opens_no_further_piece(guest: Guest, path: str) -> None:
    """Neither of a log that grows nor of the dashboard."""
    async with guest.client.stream("GET", path) as response:
        pieces = response.aiter_text()
        assert await anext(pieces)
        assert guest.site.context.desk.revoke_token("rana")

        async for _ in pieces:
            continue  # to its end, which comes

    assert (await guest.client.get(LOGS)).status_code == 401


async def test_a_token_of_the_same_name_is_another_token(guest: Guest) -> None:
    """Who gets the name next does not give the answer back to who had it before."""
    async with guest.client.stream("GET", f"{LOGS}?follow=true") as response:
        pieces = response.aiter_text()
        assert await anext(pieces) == "one\n"
        desk = guest.site.context.desk
        desk.revoke_token("rana")
        desk.make_token(NewToken(user="rana", role="operator"))

        assert [piece async for piece in pieces] == []
