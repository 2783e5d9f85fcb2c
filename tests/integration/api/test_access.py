"""Who may ask, and what is told when things go wrong."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from api.app import create_app
from api.body_limit import MAX_BODY_BYTES
from scheduler.errors import StoreError
from scheduler.store.desk import Desk
from tests.api_site import BAD_TOKENS, ApiSite, refused


async def restart(site: ApiSite) -> None:
    """Start a second API on the same state, and stop it."""
    app = create_app(site.settings)
    async with app.router.lifespan_context(app):
        pass


async def test_every_path_but_health_wants_a_token(site: ApiSite) -> None:
    """Also those that do not exist, and the document that describes them."""
    paths = site.app.openapi()["paths"]
    asked = [(method, path) for path, methods in paths.items() for method in methods]
    asked += [("get", "/openapi.json"), ("get", "/nothing"), ("get", "/healthz/"), ("delete", "/api/v1/jobs")]

    async with site.client_with({}) as nobody:
        answers = {(m, p): (await nobody.request(m, p)).status_code for m, p in asked}

    opened = {path for (_, path), status in answers.items() if status != 401}
    assert opened == {"/healthz", "/readyz"}


@pytest.mark.parametrize("headers", BAD_TOKENS, ids=range(len(BAD_TOKENS)))
async def test_a_token_that_the_site_does_not_know_is_refused(site: ApiSite, headers: dict[str, str]) -> None:
    """Before anything of the body is read, and with the scheme that is wanted."""
    async with site.client_with(headers) as stranger:
        response = await stranger.post("/api/v1/jobs", content=b"{")

    problem = refused(response, 401, "unauthorized")
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert "Bearer TOKEN" in problem["remedy"]


async def test_two_tokens_at_once_are_none(site: ApiSite) -> None:
    """Nobody knows which of them a proxy in between has checked."""
    good = ("Authorization", f"Bearer {site.token}")

    response = await site.client.get("/api/v1/jobs", headers=[good, ("Authorization", "Bearer other")])

    refused(response, 401, "unauthorized")


async def test_a_token_ends(site: ApiSite) -> None:
    """One that has expired is one that the site does not know."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    text = site.context.desk.create_token("guest", "viewer", expires_at=past)

    async with site.client_with({"Authorization": f"Bearer {text}"}) as guest:
        refused(await guest.get("/api/v1/jobs"), 401, "unauthorized")


async def test_the_sites_token_is_private_and_stored_as_a_hash(site: ApiSite) -> None:
    """Who reads the database learns no token; who is not the owner reads no file."""
    file = site.state / "token"

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert all(site.token.encode() not in part.read_bytes() for part in site.state.glob("barq.db*"))


async def test_the_sites_token_stays_while_it_works_and_is_renewed_when_not(site: ApiSite) -> None:
    """A restart changes nothing; a file that the database does not know is replaced."""
    file = site.state / "token"
    await restart(site)
    assert file.read_text("utf-8").strip() == site.token

    file.write_text("forgotten\n", "utf-8")
    file.chmod(0o644)
    await restart(site)

    renewed = file.read_text("utf-8").strip()
    assert renewed not in (site.token, "forgotten")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    async with site.client_with({"Authorization": f"bearer {renewed}"}) as client:
        assert (await client.get("/api/v1/jobs")).status_code == 200


async def test_a_body_that_is_too_large_is_not_read(site: ApiSite) -> None:
    """Whether its size is announced or comes in pieces without end."""

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 1_000_000

    announced = await site.client.post("/api/v1/jobs", content=b" " * (MAX_BODY_BYTES + 1))
    in_pieces = await site.client.post(
        "/api/v1/jobs", content=endless(), headers={"Content-Type": "application/json"}
    )

    for response in (announced, in_pieces):
        refused(response, 413, "body_too_large")


async def test_unknown_paths_and_methods_are_problems_too(site: ApiSite) -> None:
    """In the same form as all others."""
    refused(await site.client.get("/api/v1/nothing"), 404, "not_found")
    wrong = await site.client.delete("/api/v1/jobs")
    refused(wrong, 405, "method_not_allowed")
    assert wrong.headers["allow"]


async def test_a_bug_tells_nothing_of_the_inside(site: ApiSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is a problem; the trace is for the log."""

    def broken(*_: object) -> None:
        raise RuntimeError("the secret is 42")

    monkeypatch.setattr(Desk, "get", broken)

    response = await site.client.get("/api/v1/jobs/t-1")

    refused(response, 500, "internal")
    assert "secret" not in response.text


@pytest.mark.parametrize("method", ["list", "find_token"])
async def test_a_database_that_fails_is_told_without_its_path(
    site: ApiSite, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Whether it fails for the route or already for the token; trying again later makes sense."""

    def broken(*_: object, **__: object) -> None:
        raise StoreError("database /srv/secret.db: disk I/O error")

    monkeypatch.setattr(site.context.desk, method, broken)
    if method == "find_token":
        site.app.middleware_stack = None
        asks = next(m for m in site.app.user_middleware if "find" in m.kwargs)
        asks.kwargs["find"] = broken

    response = await site.client.get("/api/v1/jobs")

    refused(response, 503, "store_unavailable")
    assert response.headers["retry-after"]
    assert "secret" not in response.text
