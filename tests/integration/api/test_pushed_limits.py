"""Limits that their giver pushes: who may, what counts, what is answered, and what the scheduler hears of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.settings import Settings
from barq.webhook import SIGNATURE, sign
from scheduler.core.given import Refusal
from scheduler.signals.http_push import HttpPush, open_source
from tests.api_site import ApiSite, refused

SECRET = "pushed-4f0c9a7e2b1d"  # noqa: S105
SITE = """\
name: t
power: {firm_w: 20000}
nodes: [{count: 1, gpus: 4, simulated: true}]
signals: [{type: http_push, name: feeder-12, secret_file: push-secret, max_w: 1.0e6, tolerance_s: 300}]
"""
PATH = "/api/v1/signals/feeder-12"


def now() -> datetime:
    """The API's clock."""
    return datetime.now(UTC)


def body_of(**fields: Any) -> bytes:
    """A push that would do, but for `fields`."""
    return json.dumps(
        {"delivery": "d1", "at": (now() - timedelta(seconds=5)).isoformat(), "limit_w": 9000.0} | fields
    ).encode()


class Giver:
    """Who has the secret, and the site that it pushes to."""

    def __init__(self, site: ApiSite) -> None:
        self.site = site
        self.client = site.client_with({})
        self.began_s = now().timestamp()

    async def push(self, body: bytes, *, secret: str = SECRET, ago_s: float = 0.0) -> httpx.Response:
        """Signed so long before the test began, or just now."""
        signature = sign(secret, body, now_s=self.began_s - ago_s if ago_s else None)
        return await self.send(body, {SIGNATURE: signature})

    async def send(self, body: bytes, headers: Mapping[str, str], *, path: str = PATH) -> httpx.Response:
        return await self.client.post(
            path, content=body, headers={"Content-Type": "application/json", **headers}
        )

    def source(self) -> HttpPush:
        """The scheduler's, as a process that was just started has it."""
        options = {"secret_file": "push-secret", "max_w": 1e6}
        return open_source("feeder-12", options, base=self.site.state, reaction_s=30.0)


@pytest.fixture
async def giver(tmp_path: Path) -> AsyncIterator[Giver]:
    """A site to which a limit is pushed."""
    state = tmp_path / "pushed"
    state.mkdir()
    (state / "site.yaml").write_text(SITE, encoding="utf-8")
    (state / "push-secret").write_text(f"{SECRET}\n", encoding="utf-8")
    async with ApiSite(state, Settings.of_state(state)) as site:
        giver = Giver(site)
        yield giver
        await giver.client.aclose()


async def test_a_pushed_limit_is_the_scheduler_s(giver: Giver) -> None:
    """Without a token, with what follows and its document; also of a scheduler that starts later."""
    at = now() - timedelta(seconds=5)
    later = at + timedelta(hours=1)
    steps = [{"starts_at": later.isoformat(), "limit_w": 4000}]

    response = await giver.push(body_of(at=at.isoformat(), steps=steps, document="notice 118"))
    envelope = await giver.source().read(now())

    assert response.status_code == 200, response.text
    assert {k: response.json()[k] for k in ("source", "delivery", "limit_w")} == {
        "source": "feeder-12",
        "delivery": "d1",
        "limit_w": 9000.0,
    }
    assert [(s.starts_at, s.limit_w) for s in envelope.segments] == [(at, 9000.0), (later, 4000.0)]
    assert {s.provenance for s in envelope.segments} == {"pushed: notice 118"}


async def test_the_source_says_when_something_was_pushed(giver: Giver) -> None:
    """And the next reading has it."""
    source = giver.source()
    await giver.push(body_of())
    await source.read(now())

    await giver.push(body_of(delivery="d2", at=now().isoformat(), limit_w=3000))
    await source.news()

    assert [s.limit_w for s in (await source.read(now())).segments] == [3000.0]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {SIGNATURE: "t=1,v1=" + "0" * 64},
        {SIGNATURE: "what"},
        {SIGNATURE: sign("another-secret-8c2", body_of())},
        {"Authorization": "Bearer TOKEN"},
    ],
)
async def test_without_the_secret_nothing_is_pushed(giver: Giver, headers: dict[str, str]) -> None:
    """Whatever else is shown, an admin's token too; and nothing of it is on record."""
    headers = {key: value.replace("TOKEN", giver.site.token) for key, value in headers.items()}
    problem = refused(await giver.send(body_of(), headers), 401, "unauthorized")

    assert problem["field"] == SIGNATURE
    assert SECRET not in str(problem)
    assert not (giver.site.state / "signals").exists()


async def test_a_body_that_was_changed_on_the_way_is_refused(giver: Giver) -> None:
    """The signature is over each byte of it."""
    signature = sign(SECRET, body_of(limit_w=9000.0))
    refused(await giver.send(body_of(limit_w=99000.0), {SIGNATURE: signature}), 401, "unauthorized")


@pytest.mark.parametrize("ago_s", [1000, -1000])
async def test_a_signature_of_another_time_is_refused(giver: Giver, ago_s: float) -> None:
    """A copy that comes late, or a clock that is wrong."""
    problem = refused(await giver.push(body_of(), ago_s=ago_s), 401, "unauthorized")
    assert "counts for 300 s" in problem["detail"]


async def test_a_copy_says_nothing_and_a_new_signature_that_it_still_holds(giver: Giver) -> None:
    """Also over a restart of both sides: what counts is on the disk."""
    body = body_of(at=(now() - timedelta(seconds=40)).isoformat())
    first = await giver.push(body, ago_s=30)
    copy = await giver.push(body, ago_s=30)
    older = await giver.push(body, ago_s=35)
    again = await giver.push(body, ago_s=10)
    envelope = await giver.source().read(now())

    assert {r.status_code for r in (first, copy, older, again)} == {200}
    assert first.json() == copy.json() == older.json()
    assert again.json()["heard_at"] > first.json()["heard_at"]
    assert envelope.read_at == datetime.fromisoformat(again.json()["heard_at"])


@pytest.mark.parametrize(
    "fields,status,code,field",
    [
        ({"limit_w": -1}, 422, None, "limit_w"),
        ({"limit_w": "9000"}, 422, None, "limit_w"),
        ({"limit_w": 2e6}, 422, "invalid_field", "limit_w"),
        ({"limit_kw": 9}, 422, "unknown_field", "limit_kw"),
        ({"at": "2199-01-01T00:00:00Z"}, 422, "invalid_field", "at"),
        ({"at": "2026-01-01T00:00:00"}, 422, None, "at"),
        ({"at": "2026-01-01T00:00:00Z"}, 409, "out_of_order", "at"),
        ({"at": None}, 422, None, "at"),
        ({"delivery": "d0", "limit_w": 1, "at": "NOW"}, 409, "out_of_order", "delivery"),
        ({"valid_until": "2026-01-01T00:00:00Z"}, 422, "invalid_field", "valid_until"),
        ({"steps": [{"starts_at": "2026-01-01T00:00:00Z", "limit_w": 1}]}, 422, "invalid_field", "steps"),
    ],
)
async def test_what_makes_no_sense_is_answered_and_on_record(
    giver: Giver, fields: dict[str, Any], status: int, code: str | None, field: str
) -> None:
    """Field, value, remedy; the last good push stands; and the scheduler tells it once."""
    await giver.push(body_of(delivery="d0"))
    source = giver.source()
    before = await source.read(now())
    if fields.get("at") == "NOW":
        fields = fields | {"at": now().isoformat()}

    response = await giver.push(body_of(**fields))
    problem = refused(response, status, code or response.json()["code"])
    after = await source.read(now())

    assert problem["field"] == field
    assert problem["remedy"]
    assert after.segments == before.segments
    (told,) = source.refused()
    assert field in told
    if status == 409:
        assert isinstance(told, Refusal)
        assert told.giver_id == json.loads(body_of(**fields))["delivery"]
    assert source.refused() == ()
    assert giver.source().refused() == ()


@pytest.mark.parametrize(
    "body,why",
    [
        (body_of().replace(b"9000.0", b"NaN"), "NaN"),
        (body_of().replace(b'"at"', b'"delivery"'), "delivery"),
        (b"limit 9000", "body"),
        (b"\xff", "UTF-8"),
        (b"", "body"),
    ],
    ids=["NaN", "key-twice", "no-json", "no-utf8", "empty"],
)
async def test_what_is_no_json_is_on_record_if_it_is_signed(giver: Giver, body: bytes, why: str) -> None:
    """And not even looked at if it is not."""
    source = giver.source()
    await giver.push(body_of(delivery="d0"))
    await source.read(now())
    refused(await giver.push(body, secret="another-secret-8c2"), 401, "unauthorized")  # noqa: S106
    problem = refused(await giver.push(body), 422, "invalid_json")
    await source.read(now())

    assert problem["remedy"]
    (told,) = source.refused()
    assert why in told


async def test_nobody_learns_to_whom_limits_are_pushed(giver: Giver) -> None:
    """A name that is not in the site file is answered as a wrong secret is."""
    body = body_of()
    headers = {SIGNATURE: sign("another-secret-8c2", body)}
    wrong = await giver.send(body, headers)
    unknown = await giver.send(body, headers, path="/api/v1/signals/feeder-13")

    assert refused(unknown, 401, "unauthorized") == refused(wrong, 401, "unauthorized")


async def test_a_body_that_is_too_long_is_not_read(giver: Giver) -> None:
    """Anybody may send one."""
    refused(await giver.push(body_of(document="x" * 70_000)), 413, "body_too_large")


async def test_a_secret_that_cannot_be_read_is_the_operator_s_business(giver: Giver) -> None:
    """The giver learns no more than that."""
    (giver.site.state / "push-secret").unlink()
    problem = refused(await giver.push(body_of()), 503, "not_ready")
    assert "push-secret" not in str(problem)


async def test_a_renewed_secret_counts_at_once(giver: Giver) -> None:
    """No restart is needed."""
    (giver.site.state / "push-secret").write_text("renewed-1d4c6f8e90ab", encoding="utf-8")
    refused(await giver.push(body_of()), 401, "unauthorized")
    assert (await giver.push(body_of(), secret="renewed-1d4c6f8e90ab")).status_code == 200  # noqa: S106
