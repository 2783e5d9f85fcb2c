"""What a document behind a URL is taken for, which of them count, and what becomes of a server that fails."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from scheduler.connections.messages import Refused
from scheduler.core.envelope import Envelope
from scheduler.errors import SettingsError, SignalError
from scheduler.signals import read_options
from scheduler.signals.http_poll import (
    HttpPoll,
    PollOptions,
    Told,
    open_source,
    read_document,
    segments_of,
    succeed,
)
from tests.json_served import Served, served

T0 = datetime(2026, 6, 1, tzinfo=UTC)
URL = "https://dso.example/limit.json"


def after(seconds: float) -> datetime:
    """So many seconds after the first reading."""
    return T0 + timedelta(seconds=seconds)


def stamp(seconds: float) -> str:
    """The same, as a document writes it."""
    return after(seconds).isoformat()


def options(**more: Any) -> PollOptions:
    """As in a site file."""
    return read_options(PollOptions, "grid", {"url": URL, "field": "limit"} | more)


def told(limit_w: float, *, at_s: float | None = None) -> Told:
    """A document that names its time, or not."""
    at = None if at_s is None else after(at_s)
    return Told(limit_w=limit_w, steps=(), provenance="dso.example", stamp_at=at)


@pytest.fixture
def page() -> Iterator[Served]:
    """A server on this machine."""
    with served() as page:
        page.say({"limit": 12_000})
        yield page


@pytest.fixture
async def opened(page: Served, tmp_path: Path) -> AsyncIterator[Any]:
    """Opens sources on it, and closes them."""
    sources: list[HttpPoll] = []

    def one(**more: Any) -> HttpPoll:
        given = {"url": page.url, "field": "limit", "timeout_s": 30} | more
        sources.append(open_source("grid", given, base=tmp_path, reaction_s=30.0))
        return sources[-1]

    yield one
    for source in sources:
        await source.close()


def limit_w(envelope: Envelope, at: datetime) -> float | None:
    """What it says for then."""
    segment = envelope.limit_at(at)
    return None if segment is None else segment.limit_w


# -- what a document says ----------------------------------------------------------------------------------------------


def test_fields_are_where_the_site_file_says() -> None:
    """The limit, its time, its end, its document and what follows."""
    document = {
        "v": {"mw": 1.5},
        "t": stamp(0),
        "until": stamp(7200),
        "doc": "notice 118",
        "ahead": [{"from": stamp(-60), "mw": 9}, {"from": stamp(3600), "mw": 0.5}],
    }
    there = options(
        field="/v/mw",
        unit="MW",
        timestamp_field="t",
        valid_until_field="until",
        provenance_field="doc",
        steps_field="/ahead",
        step_time_field="from",
        step_limit_field="mw",
    )

    said = read_document(json.dumps(document).encode(), there)
    known = succeed(None, said, after(1), there)

    assert said.valid_until == after(7200)
    assert [(s.starts_at, s.limit_w) for s in segments_of(known)] == [(T0, 1.5e6), (after(3600), 0.5e6)]
    assert {s.provenance for s in segments_of(known)} == {"dso.example: 'notice 118'"}


@given(st.binary(max_size=80) | st.text().map(lambda s: json.dumps({"limit": s, "steps": [s]}).encode()))
def test_any_document_is_read_or_refused(payload: bytes) -> None:
    """There is no third way."""
    for there in (options(field="", max_w=1e6), options(steps_field="steps", valid_until_field="limit")):
        try:
            said = read_document(payload, there)
        except Refused:
            continue
        assert said.limit_w is not None
        assert 0 <= said.limit_w <= there.max_w


@pytest.mark.parametrize(
    "document,why",
    [
        ('{"limit": NaN}', "NaN"),
        ('{"limit": -1}', "below 0"),
        ('{"limit": 1e30}', "above the"),
        ('{"limit": "12"}', "no number"),
        ('{"limit": 1, "limit": 2}', "twice"),
        ('{"limit_w": 1}', "it has no 'limit'"),
        ("<html>", "no JSON"),
    ],
)
def test_what_cannot_be_a_limit_is_refused(document: str, why: str) -> None:
    """With what it is and what to do."""
    with pytest.raises(Refused, match=why):
        read_document(document.encode(), options())


def test_steps_have_to_rise_in_time() -> None:
    """Else nobody knows which of them holds."""
    steps = [{"starts_at": stamp(60), "limit": 1}, {"starts_at": stamp(60), "limit": 2}]
    with pytest.raises(Refused, match="send steps that rise in time"):
        read_document(json.dumps({"s": steps}).encode(), options(field=None, steps_field="s"))


def test_an_older_document_is_refused() -> None:
    """Some cache between answers with what it kept."""
    known = succeed(None, told(9, at_s=10), after(11), options())
    with pytest.raises(Refused, match="have the newest one served"):
        succeed(known, told(12, at_s=9), after(12), options())


def test_a_document_from_the_future_is_refused() -> None:
    """One of the two clocks is wrong."""
    with pytest.raises(Refused, match="more than 5 s ahead"):
        succeed(None, told(9, at_s=10), T0, options())


def test_a_document_that_nobody_renews_is_not_heard_for_ever() -> None:
    """The server answers still, and what it says is too old."""
    there = options(max_age_s=60, timestamp_field="t")
    known = succeed(None, told(9, at_s=0), after(60), there)
    with pytest.raises(Refused, match="see why nobody writes a new one"):
        succeed(known, told(9, at_s=0), after(61), there)


@pytest.mark.parametrize(
    "wrong,why",
    [
        ({"url": "http://dso.example/x"}, "url is not https"),
        ({"url": "https://me:secret@dso.example/x"}, "url is not https without a user"),
        ({"url": "ftp://dso.example/x"}, "url is not https"),
        ({"token_env": "A", "token_file": "b"}, "keep the one that holds it"),
        ({"token_env": "A", "username_env": "B", "password_env": "C"}, "not both"),
        ({"username_env": "B"}, "give both or neither"),
        ({"field": None}, "say where the limit is"),
        ({"max_age_s": 5}, "give timestamp_field too"),
        ({"url": "http://localhost/x", "ca_file": "ca.pem"}, "remove one of them"),
    ],
)
def test_options_that_do_not_go_together_are_refused(wrong: dict[str, Any], why: str) -> None:
    """When the site file is read, without a word of what may be secret."""
    given = {"url": URL, "field": "limit"} | wrong
    with pytest.raises(SettingsError, match=why) as raised:
        open_source("grid", given, base=Path(), reaction_s=30.0)
    assert "secret@" not in str(raised.value)


# -- over a socket -----------------------------------------------------------------------------------------------------


async def test_a_new_limit_counts_from_the_next_reading(page: Served, opened: Any) -> None:
    """And an unchanged one keeps its beginning."""
    source = opened(unit="kW")
    page.say({"limit": 12})
    first = await source.read(T0)
    again = await source.read(after(5))
    page.say({"limit": 4})
    changed = await source.read(after(10))

    assert (limit_w(first, T0), limit_w(changed, after(10))) == (12_000, 4000)
    assert (again.segments, again.read_at) == (first.segments, after(5))


async def test_an_unchanged_document_is_not_sent_again(page: Served, opened: Any) -> None:
    """It counts as heard all the same."""
    source = opened()
    page.say({"limit": 12_000}, tag='"v1"')
    first = await source.read(T0)
    again = await source.read(after(5))

    assert page.statuses == [200, 304]
    assert (again.segments, again.read_at) == (first.segments, after(5))


async def test_garbage_is_told_and_the_last_limit_ages(page: Served, opened: Any) -> None:
    """Also with a tag of its own: what was refused is asked for again, whole."""
    source = opened()
    page.say({"limit": 12_000}, tag='"v1"')
    first = await source.read(T0)
    page.say({"limit": -5}, tag='"v2"')
    then = await source.read(after(5))
    await source.read(after(10))

    assert then == first
    assert page.statuses == [200, 200, 200]
    assert [text[:20] for text in source.refused()] == ["limit is -5 W, below"] * 2
    assert not source.refused()


async def test_a_refused_document_is_never_taken_for_an_unchanged_one(page: Served, opened: Any) -> None:
    """Also if the good one came back in between."""
    source = opened()
    for document, tag in (({"limit": 12_000}, '"v1"'), ({"limit": -5}, '"v2"'), ({"limit": 12_000}, '"v1"')):
        page.say(document, tag=tag)
        await source.read(T0)
    source.refused()
    page.say({"limit": -5}, tag='"v2"')
    last = await source.read(after(5))

    assert page.statuses == [200, 200, 304, 200]
    assert last.read_at == T0
    assert len(source.refused()) == 1


@pytest.mark.parametrize(
    "status,headers,why",
    [
        (401, {}, "check what token_file"),
        (404, {}, "answered 404; check url"),
        (500, {}, "answered 500"),
        (302, {"Location": "http://elsewhere.example/"}, "no redirect is followed"),
        (200, {"Content-Encoding": "gzip"}, "packed"),
    ],
)
async def test_a_server_that_fails_is_an_error_with_a_remedy(
    page: Served, opened: Any, status: int, headers: dict[str, str], why: str
) -> None:
    """And once it answers again, it is read again."""
    source = opened()
    await source.read(T0)
    page.status, page.headers = status, headers
    with pytest.raises(SignalError, match=why):
        await source.read(after(5))
    page.status, page.headers = 200, {}

    assert (await source.read(after(10))).read_at == after(10)


async def test_a_document_without_end_is_not_read_to_its_end(page: Served, opened: Any) -> None:
    """However much the server has."""
    page.body = b" " * 1_000_001
    with pytest.raises(SignalError, match="more than 1000000 bytes"):
        await opened().read(T0)


async def test_a_server_that_hangs_is_given_up(page: Served, opened: Any) -> None:
    """Within `timeout_s`."""
    page.hangs = True
    with pytest.raises(SignalError, match=r"no whole answer within 0.2 s"):
        await opened(timeout_s=0.2).read(T0)


async def test_a_server_that_is_gone_is_an_error(opened: Any) -> None:
    """Until it is back."""
    with pytest.raises(SignalError, match="cannot be reached: ConnectError"):
        await opened(url="http://127.0.0.1:1/").read(T0)


async def test_a_token_is_read_anew_each_time(page: Served, opened: Any, tmp_path: Path) -> None:
    """Whoever renews it writes it into its file."""
    place = {"token_file": "token"}
    source = opened(**place)
    for token in ("first-5d1", "second-8c2"):
        (tmp_path / "token").write_text(f"{token}\n", encoding="utf-8")
        await source.read(T0)

    assert [asked["authorization"] for asked in page.asked] == ["Bearer first-5d1", "Bearer second-8c2"]


async def test_name_and_password_come_from_the_environment(
    page: Served, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Basic authentication; without them nothing is asked."""
    places = {"username_env": "DSO_USER", "password_env": "DSO_PASSWORD"}
    source = opened(**places)
    monkeypatch.setenv("DSO_USER", "site")
    with pytest.raises(SignalError, match="password_env: DSO_PASSWORD is not set"):
        await source.read(T0)
    monkeypatch.setenv("DSO_PASSWORD", "quite secret")
    await source.read(T0)

    wanted = base64.b64encode(b"site:quite secret").decode()
    assert [asked["authorization"] for asked in page.asked] == [f"Basic {wanted}"]


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """Of this machine, signed by itself; and its key."""
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    make += ["-days", "1", "-subj", "/CN=dso", "-addext", "subjectAltName=IP:127.0.0.1"]
    ca, key = tmp_path / "ca.pem", tmp_path / "key.pem"
    subprocess.run([*make, "-keyout", key, "-out", ca], check=True, capture_output=True)
    return ca, key


async def test_a_private_authority_counts_where_it_is_named(
    opened: Any, certificate: tuple[Path, Path]
) -> None:
    """Otherwise the certificate is not vouched for, and nothing is asked."""
    with served(certificate) as page:
        page.say({"limit": 12_000})
        trusting = await opened(url=page.url, ca_file="ca.pem").read(T0)
        with pytest.raises(SignalError, match="check ca_file"):
            await opened(url=page.url).read(T0)

    assert limit_w(trusting, T0) == 12_000
    assert len(page.asked) == 1
