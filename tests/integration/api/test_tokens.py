"""Tokens over the API: made, listed, taken back, and what is told of one that opens nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scheduler.store.tokens import NewToken
from tests.api_site import ApiSite, refused

NEW: dict[str, Any] = {"user": "ada", "role": "researcher"}


def bearer(text: str) -> dict[str, str]:
    """The header that shows a token."""
    return {"Authorization": f"Bearer {text}"}


async def test_a_token_opens_the_door_until_it_is_revoked(site: ApiSite) -> None:
    """Made with its text, listed without, taken back at once; the refusal says what became of it."""
    made = (await site.client.post("/api/v1/tokens", json={**NEW, "name": "laptop"})).json()
    text = made.pop("token")

    async with site.client_with(bearer(text)) as ada:
        me = (await ada.get("/api/v1/me")).json()
        assert me == {**NEW, "site": "t", "token": "laptop", "expires_at": None}
        listed = await site.get("/tokens")
        assert made in listed["tokens"]
        assert text not in str(listed)

        assert (await site.client.delete("/api/v1/tokens/laptop")).json() == made
        problem = refused(await ada.get("/api/v1/me"), 401, "unauthorized")

    assert "the token laptop of ada was revoked at 20" in problem["detail"]
    assert "barq token create" in problem["remedy"]
    assert "barq login" in problem["remedy"]


async def test_a_token_ends_when_it_was_to_end(site: ApiSite) -> None:
    """Days are seconds on the wire; afterwards the refusal says since when, and what to do."""
    before = datetime.now(UTC)
    made = (await site.client.post("/api/v1/tokens", json={**NEW, "expires_in_s": "90d"})).json()
    ends_at = datetime.fromisoformat(made["expires_at"])
    assert before + timedelta(days=90) <= ends_at <= datetime.now(UTC) + timedelta(days=90)

    past = datetime.now(UTC) - timedelta(seconds=1)
    _, text = site.context.desk.make_token(NewToken(**NEW, expires_at=past))
    async with site.client_with(bearer(text)) as late:
        problem = refused(await late.get("/api/v1/me"), 401, "unauthorized")
    assert f"the token ada-2 of ada expired at {past.isoformat(timespec='seconds')}" in problem["detail"]
    assert "barq token create" in problem["remedy"]


async def test_a_role_that_this_version_does_not_know_opens_nothing(site: ApiSite) -> None:
    """A database of a newer version must not let anybody in by accident."""
    text = site.context.desk.create_token("ada", "emperor")

    async with site.client_with(bearer(text)) as ada:
        refused(await ada.get("/api/v1/me"), 401, "unauthorized")


async def test_nobody_gives_or_takes_more_than_they_have(site: ApiSite) -> None:
    """An operator makes operators and no admins, and does not lock the site out of itself."""
    async with site.client_of("olga", "operator") as olga:
        refused(await olga.post("/api/v1/tokens", json={**NEW, "role": "admin"}), 403, "forbidden")
        refused(await olga.delete("/api/v1/tokens/site"), 403, "forbidden")
        assert (await olga.post("/api/v1/tokens", json={**NEW, "role": "operator"})).status_code == 201
        assert (await olga.delete("/api/v1/tokens/ada")).status_code == 200
    assert (await site.client.post("/api/v1/tokens", json={**NEW, "role": "admin"})).status_code == 201


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"role": "king"}, "role"),
        ({"user": ""}, "user"),
        ({"user": "a b"}, "user"),
        ({"user": "a" * 64}, "user"),
        ({"user": "\0"}, "user"),
        ({"name": "a/b"}, "name"),
        ({"expires_in_s": "soon"}, "expires_in_s"),
        ({"expires_in_s": -1}, "expires_in_s"),
        ({"expires_in_s": 1e300}, "expires_in_s"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_token_that_makes_no_sense_is_refused(
    site: ApiSite, changes: dict[str, Any], field: str
) -> None:
    """By field, value and remedy; nothing is made."""
    response = await site.client.post("/api/v1/tokens", json={**NEW, **changes})

    assert response.status_code == 422
    assert response.json()["field"] == field
    assert response.json()["remedy"]
    assert [token["name"] for token in (await site.get("/tokens"))["tokens"]] == ["site"]


async def test_names_are_taken_once(site: ApiSite) -> None:
    """Until the token of that name is revoked."""
    body = {**NEW, "name": "laptop"}
    assert (await site.client.post("/api/v1/tokens", json=body)).status_code == 201
    refused(await site.client.post("/api/v1/tokens", json=body), 409, "token_name_taken")
    await site.client.delete("/api/v1/tokens/laptop")
    assert (await site.client.post("/api/v1/tokens", json=body)).status_code == 201


@pytest.mark.parametrize("name", ["nobody", "%00", "é", "x" * 5000])
async def test_a_token_that_is_not_there_is_not_found(site: ApiSite, name: str) -> None:
    """Whatever its name."""
    refused(await site.client.delete(f"/api/v1/tokens/{name}"), 404, "token_not_found")
