"""The limit over OpenADR 3, from a VTN on a real socket, with all that goes wrong there."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scheduler.core.envelope import limit_of
from scheduler.core.reasons import Event
from scheduler.errors import SettingsError, SignalError
from scheduler.hearing import Hearing
from scheduler.openadr.schedule import Skew
from scheduler.ports import ListeningSource
from scheduler.signals.openadr3 import OpenAdr, open_source, skew_of
from tests.vtn import CLIENT_ID, SECRET, Vtn, event, served

EVERY_S = 10.0
STALE_S = 60.0


@pytest.fixture
def peers() -> Iterator[ExitStack]:
    """What is served ends with the test, unless the test ends it."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def vtn(peers: ExitStack) -> Vtn:
    """A VTN with one schedule: 50 kW, then 40 kW."""
    vtn = peers.enter_context(served())
    vtn.publish(event("plan", [50, 40]))
    return vtn


class Site:
    """Reads the source as the service does; time passes as the test says."""

    def __init__(self, source: OpenAdr) -> None:
        self.source = source
        self.now = datetime.now(UTC)
        self.told: list[Event] = []
        self._hearing = Hearing(self.told.append)

    async def limit_w(self, *, after_s: float = 0.0) -> float:
        """What the source says for now, `after_s` later."""
        self.now += timedelta(seconds=after_s)
        try:
            envelope = await self.source.read(self.now)
        except SignalError as error:
            self._hearing.failed(self.source, error, self.now)
            raise
        self._hearing.heard(self.source, self.now)
        segment = envelope.limit_at(self.now)
        assert segment is not None
        return segment.limit_w

    async def is_lost(self, match: str, *, after_s: float = 0.0) -> None:
        """It cannot be read, says why, and says no secret."""
        with pytest.raises(SignalError, match=match) as lost:
            await self.limit_w(after_s=after_s)
        assert SECRET not in str(lost.value)

    def kinds(self) -> list[str]:
        return [e.kind for e in self.told]


def a_source(vtn: Vtn, tmp_path: Path, **options: Any) -> OpenAdr:
    """As the site file describes it."""
    (tmp_path / "secret").write_text(f"{SECRET}\n", encoding="utf-8")
    described = {
        "vtn_url": vtn.url,
        "client_id": CLIENT_ID,
        "client_secret_file": "secret",
        "subscription_w": 20_000,
        "every_s": EVERY_S,
        "stale_after_s": STALE_S,
        "timeout_s": 30.0,
    }
    return open_source("utility", described | options, base=tmp_path, reaction_s=30.0)


@pytest.fixture
async def site(vtn: Vtn, tmp_path: Path) -> AsyncIterator[Site]:
    """A site that listens to it."""
    site = Site(a_source(vtn, tmp_path))
    yield site
    await site.source.close()


async def test_a_changed_signal_is_known_within_one_period(vtn: Vtn, site: Site) -> None:
    """Changed just after it was asked, it is heard at the next asking; in between the VTN is left alone."""
    assert await site.limit_w() == 50_000
    vtn.publish(event("plan", [30, 40]))
    asked = len(vtn.asked)
    assert await site.limit_w(after_s=EVERY_S / 2) == 50_000
    assert len(vtn.asked) == asked
    assert await site.limit_w(after_s=EVERY_S / 2) == 30_000


async def test_a_deleted_event_ends(vtn: Vtn, site: Site) -> None:
    """What is left without any is the subscription, and not what was said last."""
    assert await site.limit_w() == 50_000
    vtn.delete("plan")
    assert await site.limit_w(after_s=EVERY_S) == 20_000


async def test_a_dead_peer_leaves_the_lower_of_its_last_value_and_the_firm_level(
    peers: ExitStack, vtn: Vtn, site: Site
) -> None:
    """Its envelope ages; once it is too old, it counts no more than the firm level."""
    await site.limit_w()
    last = await site.source.read(site.now)
    peers.close()
    await site.is_lost("cannot be reached", after_s=EVERY_S)

    def counted_w(after_s: float) -> float | None:
        now = last.read_at + timedelta(seconds=after_s)
        limit = limit_of(last, now, now=now, firm_w=10_000)
        return limit.limit_w if limit else None

    assert counted_w(STALE_S - 1) == 50_000
    assert counted_w(STALE_S + 1) == 10_000
    assert site.kinds() == ["signal.lost"]


async def test_a_token_that_ended_is_fetched_anew_once(vtn: Vtn, site: Site) -> None:
    """Refused in mid-run, the same reading succeeds with another token."""
    await site.limit_w()
    vtn.revoke()
    assert await site.limit_w(after_s=EVERY_S) == 50_000
    assert vtn.tokens_given == 2


async def test_a_token_is_renewed_before_it_ends(vtn: Vtn, site: Site) -> None:
    """One that lives no time at all is asked for each time, and no request is refused."""
    vtn.expires_in = 1e-9
    await site.limit_w()
    assert vtn.tokens_given == len([path for path in vtn.asked if "skip" in path])


async def test_a_secret_that_is_wrong_is_named_by_its_place(vtn: Vtn, site: Site, tmp_path: Path) -> None:
    """And the next reading takes the right one from there."""
    (tmp_path / "secret").write_text("wrong", encoding="utf-8")
    await site.is_lost("check client_id and the secret")
    (tmp_path / "secret").unlink()
    await site.is_lost("client_secret_file: secret cannot be read", after_s=EVERY_S)
    (tmp_path / "secret").write_text(SECRET, encoding="utf-8")
    assert await site.limit_w(after_s=EVERY_S) == 50_000
    assert site.kinds() == ["signal.lost", "signal.lost", "signal.back"]


async def test_nothing_secret_is_logged_or_recorded(
    vtn: Vtn, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the secret nor a token, at whatever level of the log."""
    caplog.set_level("DEBUG")
    await site.limit_w()
    vtn.revoke()
    vtn.fail("token", 500, SECRET.encode())
    await site.is_lost("POST for a token with 500", after_s=EVERY_S)
    said = caplog.text + repr(site.told) + repr(await site.limit_w(after_s=EVERY_S)) + repr(site.source)
    assert SECRET not in said
    assert "token-1" not in said


async def test_the_secret_may_be_in_the_environment(
    vtn: Vtn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the name of its variable, which alone is ever said."""
    options = {"client_secret_file": None, "client_secret_env": "OPENADR_SECRET"}
    site = Site(a_source(vtn, tmp_path, **options))
    await site.is_lost("OPENADR_SECRET holds no secret")
    monkeypatch.setenv("OPENADR_SECRET", SECRET)
    assert await site.limit_w(after_s=EVERY_S) == 50_000
    await site.source.close()


@pytest.mark.parametrize("cap", [1, 2, 50])
async def test_all_pages_are_read(vtn: Vtn, site: Site, cap: int) -> None:
    """However few a VTN gives at once: the event that counts may be the last."""
    vtn.page_cap = cap
    vtn.programs.append({"id": "45", "programName": "prices"})
    vtn.publish(*(event(f"other-{n}", [60], priority=5) for n in range(60 if cap == 50 else 5)))
    vtn.publish(event("last", [7], priority=0))
    assert await site.limit_w() == 7_000


async def test_no_event_slips_between_two_pages(vtn: Vtn, site: Site) -> None:
    """One that is deleted meanwhile moves the rest up: the list is read again from its beginning."""
    vtn.page_cap = 2
    vtn.events.clear()
    vtn.publish(*(event(f"e{n}", [60]) for n in range(3)), event("drop", [7]))
    vtn.before_page = [lambda: None, lambda: vtn.delete("e0")]
    assert await site.limit_w() == 7_000


async def test_only_the_programs_that_are_named_count(vtn: Vtn, tmp_path: Path) -> None:
    """And a name that the VTN does not know is said, with those it knows."""
    vtn.programs.append({"id": "45", "programName": "prices"})
    vtn.publish(event("other", [1], programID="45"))
    site = Site(a_source(vtn, tmp_path, programs=["surplus"]))
    assert await site.limit_w() == 50_000
    await site.source.close()
    site = Site(a_source(vtn, tmp_path, programs=["surpluss"]))
    await site.is_lost("no 'surpluss', but: surplus, prices; correct the name")
    await site.source.close()


@pytest.mark.parametrize("after_s, is_asked", [(EVERY_S, False), (39.0, False), (40.0, True)])
async def test_a_busy_vtn_is_left_alone_as_long_as_it_asks(
    vtn: Vtn, site: Site, after_s: float, is_asked: bool
) -> None:
    """503 with Retry-After: meanwhile the last envelope ages, and the reason stands."""
    vtn.fail("events", 503, Retry_After="40")
    await site.is_lost("busy")
    asked = len(vtn.asked)
    if is_asked:
        assert await site.limit_w(after_s=after_s) == 50_000
    else:
        await site.is_lost("busy", after_s=after_s)
    assert (len(vtn.asked) > asked) == is_asked


@pytest.mark.parametrize(
    "body, match",
    [
        (b"<html>welcome", "is no JSON"),
        (b'{"events": []}', "with no list"),
        (b"[" * 100_000, "no JSON|without end"),
        (b'["' + b"x" * 4_000_000 + b'"]', "more than 4000000 bytes"),
        (b"\xff\xfe[]", "no JSON|no list"),
    ],
)
async def test_an_answer_that_makes_no_sense_is_no_answer(
    vtn: Vtn, site: Site, body: bytes, match: str
) -> None:
    """The schedule that was known stands, and ages; the next good answer ends that."""
    await site.limit_w()
    vtn.fail("events", 200, body)
    await site.is_lost(match, after_s=EVERY_S)
    assert await site.limit_w(after_s=EVERY_S) == 50_000


@pytest.mark.parametrize("value", [float("nan"), -5, 1e12, "50", None, True, [50]])
async def test_a_limit_that_cannot_be_leaves_the_last_good_version(vtn: Vtn, site: Site, value: Any) -> None:
    """Refused with its reason, once, while the VTN goes on to list it; other events count as ever."""
    await site.limit_w()
    vtn.publish(event("new", [45]), event("plan", [value, 40]))
    for _ in range(3):
        assert await site.limit_w(after_s=EVERY_S) == 45_000
    vtn.delete("new")
    assert await site.limit_w(after_s=EVERY_S) == 50_000
    (told,) = site.told
    assert told.kind == "signal.refused"
    assert "event the plan (plan): interval 0: IMPORT_CAPACITY_LIMIT: " in told.text
    assert told.text.endswith("its last good version stands")


async def test_an_unknown_payload_is_told_and_the_rest_of_its_event_counts(vtn: Vtn, site: Site) -> None:
    """Whoever publishes it learns that this site does not act on it."""
    plan = event("plan", [30])
    plan["intervals"][0]["payloads"].append({"type": "DISPATCH_SETPOINT", "values": [3]})
    vtn.publish(plan)
    assert await site.limit_w() == 30_000
    (told,) = site.told
    assert "DISPATCH_SETPOINT: this source does not act on it; the rest of the event counts" in told.text


@pytest.mark.parametrize("ahead_s", [-20.0, 20.0])
async def test_clocks_that_differ_are_told_and_no_drop_comes_late(
    vtn: Vtn, site: Site, ahead_s: float
) -> None:
    """By whichever clock is earlier a drop is there, by whichever is later a rise."""
    vtn.ahead_s = ahead_s
    at = (site.now + timedelta(hours=1)).replace(microsecond=0)
    vtn.events.clear()
    vtn.publish(event("steps", [30, 10, 30], start=at, each="PT1H"))
    await site.limit_w()
    steps = [(s.starts_at - at, s.limit_w) for s in (await site.source.read(site.now)).segments]
    hour = timedelta(hours=1)
    (drop,) = [t for t, limit_w in steps if limit_w == 10_000]
    (rise,) = [t for t, limit_w in steps if limit_w == 30_000 and t > drop]
    if ahead_s > 0:
        assert hour - timedelta(seconds=25) <= drop <= hour - timedelta(seconds=20)
        assert rise == 2 * hour
    else:
        assert drop == hour
        assert 2 * hour + timedelta(seconds=20) <= rise <= 2 * hour + timedelta(seconds=25)
    (told,) = site.told
    assert "clock" in told.text
    assert ("ahead" if ahead_s > 0 else "behind") in told.text


@pytest.mark.parametrize(
    "offset_s, before_s, expected_s",
    [
        ((-0.4, 0.7), 0, 0),  # within a second, as far as the header tells
        ((0.9, 2.1), 0, 0),
        ((1.1, 2.2), 0, 5),
        ((0.3, 1.4), 5, 5),  # the same clock, told at another part of its second
        ((-0.2, 0.9), 5, 0),
        ((18.9, 20.1), 0, 25),
        ((18.2, 19.4), 25, 25),
        ((8.9, 9.9), 25, 10),
        ((-20.1, -18.9), 0, -25),
        ((9e9, 9e9), 0, 172_800),
    ],
)
def test_noise_of_a_clock_moves_no_schedule(
    offset_s: tuple[float, float], before_s: float, expected_s: float
) -> None:
    """A difference counts in steps, upward, and a step that is enough stays."""

    def skew(seconds: float) -> Skew:
        return Skew(ahead=timedelta(seconds=max(0.0, seconds)), behind=timedelta(seconds=max(0.0, -seconds)))

    assert skew_of(offset_s, skew(before_s)) == skew(expected_s)


async def test_a_vtn_that_hangs_is_given_up(vtn: Vtn, tmp_path: Path) -> None:
    """After its deadline the reading fails; once it answers again, so does the source."""
    site = Site(a_source(vtn, tmp_path, timeout_s=0.05))
    vtn.hangs = True
    await site.is_lost("no whole answer within 0.05 s")
    await site.source.close()


async def test_over_https_only_a_trusted_vtn_is_told_the_secret(peers: ExitStack, tmp_path: Path) -> None:
    """Its own authority is given by `ca_file`; without it nothing is asked, not even for a token."""
    vtn = peers.enter_context(served(_certificate(tmp_path)))
    vtn.publish(event("plan", [50, 40]))
    distrustful = Site(a_source(vtn, tmp_path))
    await distrustful.is_lost("cannot be reached")
    assert vtn.asked == []
    site = Site(a_source(vtn, tmp_path, ca_file="cert.pem"))
    assert await site.limit_w() == 50_000
    await distrustful.source.close()
    await site.source.close()
    site = Site(a_source(vtn, tmp_path, ca_file="none.pem"))
    await site.is_lost("ca_file: none.pem: ")


def _certificate(folder: Path) -> Path:
    """One for localhost that its owner signed, cert.pem, and with its key in one file."""
    asked = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    asked += ["-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    both, certificate = folder / "both.pem", folder / "cert.pem"
    subprocess.run([*asked, "-keyout", both, "-out", certificate], check=True, capture_output=True)
    both.write_bytes(both.read_bytes() + certificate.read_bytes())
    return both


async def test_a_token_server_without_https_is_sent_no_secret(vtn: Vtn, site: Site) -> None:
    """A secret goes to https, or to this machine."""
    vtn.fail("server", 200, b'{"tokenURL": "http://example.org/token"}')
    await site.is_lost("names no https tokenURL")


@pytest.mark.parametrize(
    "options, match",
    [
        ({"vtn_url": "http://vtn.example.org/"}, "vtn_url is not https"),
        ({"vtn_url": "https://user:pass7@vtn.example.org/"}, "vtn_url is not https without a user"),
        ({"token_url": "http://vtn.example.org/"}, "token_url is not https"),
        ({"client_secret_env": "X"}, "client_id goes with either"),
        ({"client_id": None}, "client_id goes with either"),
        ({"stale_after_s": 5}, "stale_after_s = 5 is shorter"),
        ({"client_secret": SECRET}, "client_secret is not known"),
        ({"subscription_w": -1}, "subscription_w"),
    ],
)
def test_settings_that_make_no_sense_are_named(
    vtn: Vtn, tmp_path: Path, options: dict[str, Any], match: str
) -> None:
    """And nothing that may be secret is repeated."""
    with pytest.raises(SettingsError, match=match) as refused:
        a_source(vtn, tmp_path, **options)
    assert "pass7" not in str(refused.value)
    assert SECRET not in str(refused.value)


def test_it_is_a_source_that_listens(vtn: Vtn, tmp_path: Path) -> None:
    """So that what it refuses is told, and its connection ends with the service."""
    assert isinstance(a_source(vtn, tmp_path), ListeningSource)
