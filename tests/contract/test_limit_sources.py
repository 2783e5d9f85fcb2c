"""What the loop may rely on, whatever gives the limit. Enter a new source in `SOURCES`."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from scheduler.core.envelope import Envelope, Segment, limit_of
from scheduler.core.steady import NOTHING, SteadyRule, steadied
from scheduler.errors import SettingsError
from scheduler.ports import LimitSource, ListeningSource
from scheduler.signals.http_poll import open_source as open_poll
from scheduler.signals.http_push import Inbox, Push, open_source as open_push, read_push_options
from scheduler.signals.manual import Manual
from scheduler.signals.openadr3 import open_source as open_openadr
from scheduler.signals.price import open_source as open_price
from scheduler.signals.surplus import open_source as open_surplus
from scheduler.wire import dumps, loads
from tests.json_served import served as served_json
from tests.modbus_peer import served_peer
from tests.mqtt_told import OVER_MQTT, a_broker_that_knows
from tests.vtn import event, served as served_vtn

T0 = datetime(2026, 6, 1, 0, 0, tzinfo=UTC)
HOUR_S = 3600.0
READINGS_S = (0.0, 1.0, 60.0, 1800.0, 3600.0, 4 * HOUR_S, 11.5 * HOUR_S, 23.9 * HOUR_S, 30 * HOUR_S)

Make = Callable[[Path], LimitSource]


def after(seconds: float) -> datetime:
    """So many seconds after the first reading."""
    return T0 + timedelta(seconds=seconds)


def opened(module: str, **options: Any) -> Make:
    """A source as the site file describes it."""

    def make(folder: Path) -> LimitSource:
        (folder / "day.csv").write_text(
            "time,limit\n" + "".join(f"2026-06-01T{h:02d}:00Z,{100 + 10 * (h % 5)}\n" for h in range(24)),
            encoding="utf-8",
        )
        source: LimitSource = import_module(f"scheduler.signals.{module}").open_source(
            "grid", options, base=folder, reaction_s=30.0
        )
        return source

    return make


def by_hand(_: Path) -> LimitSource:
    """Two limits set by people, one of them for two hours."""
    limits = [
        Envelope(
            source="operator",
            issued_at=T0,
            read_at=T0,
            reaction_s=30.0,
            segments=(Segment(starts_at=T0, limit_w=limit_w, provenance="feeder work (asma)", giver_id="7"),),
            valid_until=valid_until,
        )
        for limit_w, valid_until in ((200_000.0, None), (90_000.0, after(2 * HOUR_S)))
    ]
    return Manual(lambda: limits, reaction_s=30.0, name="grid")


def foreseeing(folder: Path) -> LimitSource:
    """A schedule that gives limits for half a day, and foresees the whole of it."""
    source = opened("schedule_file", path="day.csv", unit="kW")(folder)
    rows = (f"2026-06-01T{h:02d}:00Z,{200 if h < 12 else ''},{100 - h},{150 + h}\n" for h in range(24))
    (folder / "day.csv").write_text("time,limit,limit_p10,limit_p50\n" + "".join(rows), encoding="utf-8")
    return source


PEERS = ExitStack()


@pytest.fixture(autouse=True)
def _peers_end() -> Iterator[None]:
    """What was served for a source ends with its test."""
    yield
    PEERS.close()


def over_openadr(_: Path) -> LimitSource:
    """A VTN that published a day's schedule before it began."""
    vtn = PEERS.enter_context(served_vtn())
    vtn.is_open, vtn.ahead_s = True, None  # the times of these tests are not those of its clock
    vtn.publish(event("day", [140, 100, 120], start=T0, each="PT8H"), at=after(-HOUR_S))
    vtn.publish(event("cut", [40], start=after(HOUR_S), each="PT2H", priority=0), at=after(-60))
    options = {"vtn_url": vtn.url, "subscription_w": 20_000, "timeout_s": 30}
    return open_openadr("grid", options, base=Path(), reaction_s=30.0)


def over_http(_: Path) -> LimitSource:
    """A document that holds a limit and two later steps."""
    page = PEERS.enter_context(served_json())
    ahead = [{"starts_at": after(h * HOUR_S).isoformat(), "limit": kw} for h, kw in ((1, 40), (9, 120))]
    page.say({"limit": 90.5, "at": T0.isoformat(), "ahead": ahead}, tag='"1"')
    options = {"url": page.url, "field": "limit", "unit": "kW", "timestamp_field": "at", "timeout_s": 30}
    return open_poll("grid", options | {"steps_field": "ahead"}, base=Path(), reaction_s=30.0)


def pushed(folder: Path) -> LimitSource:
    """A limit and two later steps, pushed a second before the first reading."""
    options = {"secret_env": "PUSH_SECRET", "stale_after_s": 600}
    steps = tuple(
        Segment(starts_at=after(h * HOUR_S), limit_w=limit_w, provenance="pushed: notice 118")
        for h, limit_w in ((1, 40_000.0), (9, 120_000.0))
    )
    push = Push(delivery="d1", at=after(-2), limit_w=90_500.0, steps=steps, document="notice 118")
    inbox = Inbox("grid", read_push_options("grid", options), base=folder)
    inbox.take(push, "digest", signed_at=after(-1), at=T0)
    return open_push("grid", options, base=folder, reaction_s=30.0)


def priced(folder: Path) -> LimitSource:
    """A day of prices behind a URL, of which some are low."""
    page = PEERS.enter_context(served_json())
    rows = [{"time": after(h * HOUR_S).isoformat(), "price": 20 + 10 * (h % 5)} for h in range(24)]
    page.say(rows, tag='"1"')
    options = {"url": page.url, "below": 30, "above": 45, "on_w": 480_000, "off_w": 20_000, "timeout_s": 30}
    return open_price("grid", options, base=folder, reaction_s=30.0)


def over_modbus(_: Path) -> LimitSource:
    """Two meters: the site draws 1000 W, and 500 W are exported."""
    site, grid = PEERS.enter_context(served_peer()), PEERS.enter_context(served_peer())
    grid.shows(-500.0)
    options = {"site": site.options(), "grid": grid.options(), "rise_w_per_s": 10, "floor_w": 600}
    return open_surplus("grid", options, base=Path(), reaction_s=30.0)


SOURCES: dict[str, Make] = {
    "constant": opened("constant", limit_w=12_000),
    "schedule_file": opened("schedule_file", path="day.csv", unit="kW"),
    "schedule_file, with a forecast": foreseeing,
    "replay": opened("replay", path="day.csv", column="limit", max_w=500_000, min_w=100_000),
    "replay, told ahead, again and again": opened(
        "replay", path="day.csv", column="limit", max_w=500_000, notice_s=2 * HOUR_S, loop=True, speed=2
    ),
    "synthetic_day": opened("synthetic_day", max_w=500_000, min_w=100_000, notice_s=HOUR_S),
    "synthetic_day, in winter, once": opened("synthetic_day", max_w=5e5, season="winter", loop=False),
    "openadr3": over_openadr,
    "http_poll": over_http,
    "http_push": pushed,
    "price": priced,
    "price, of a file": opened(
        "price",
        path="day.csv",
        price_column="limit",
        below=110,
        hysteresis=20,
        on_w=5e5,
        off_w=0,
        min_on_s=5e3,
    ),
    "surplus": over_modbus,
    "blueprint": opened("_blueprint", limit_w=12_000),
    "manual": by_hand,
}


@pytest.fixture(scope="module")
def broker_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Of a broker that keeps a limit."""
    with a_broker_that_knows(tmp_path_factory.mktemp("broker"), T0) as port:
        yield port


@pytest.fixture(params=[*SOURCES, *OVER_MQTT])
async def make(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Callable[[], LimitSource]]:
    """Makes the source, as often as wanted."""
    made: list[LimitSource] = []

    def one() -> LimitSource:
        if request.param in OVER_MQTT:
            made.append(OVER_MQTT[request.param](request.getfixturevalue("broker_port"), T0))
        else:
            made.append(SOURCES[request.param](tmp_path))
        return made[-1]

    yield one
    for source in made:
        if isinstance(source, ListeningSource):
            await source.close()


async def test_it_says_who_it_is(make: Callable[[], LimitSource]) -> None:
    """Under the name that the site file gives it, in every envelope."""
    source = make()
    assert source.name == "grid"
    assert (await source.read(T0)).source == "grid"


@pytest.mark.parametrize("at_s", READINGS_S)
async def test_its_envelopes_make_sense(make: Callable[[], LimitSource], at_s: float) -> None:
    """Watts that can be, aware times that rise, issued before they were read, a reaction time."""
    source = make()
    await source.read(T0)
    envelope = await source.read(after(at_s))
    assert envelope.issued_at <= envelope.read_at <= after(at_s)
    assert all(math.isfinite(s.limit_w) and s.limit_w >= 0 for s in envelope.segments)
    assert all(s.provenance for s in envelope.segments)
    assert all(a.starts_at < b.starts_at for a, b in pairwise(envelope.segments))
    times = [envelope.issued_at, envelope.read_at, *(s.starts_at for s in envelope.segments)]
    assert all(t.utcoffset() == timedelta(0) for t in times)
    assert envelope.reaction_s > 0
    assert envelope.stale_after_s is None or envelope.stale_after_s > 0


@pytest.mark.parametrize("at_s", READINGS_S)
async def test_its_forecasts_make_sense(make: Callable[[], LimitSource], at_s: float) -> None:
    """Aware times that rise; of quantiles the shares rise and the watts, that can be, do not fall."""
    forecast = (await make().read(after(at_s))).forecast
    assert all(f.starts_at.utcoffset() == timedelta(0) for f in forecast)
    assert all(a.starts_at < b.starts_at for a, b in pairwise(forecast))
    for quantiles in (f.quantiles for f in forecast):
        assert all(0 < q.share < 1 and math.isfinite(q.limit_w) and q.limit_w >= 0 for q in quantiles)
        assert all(a.share < b.share and a.limit_w <= b.limit_w for a, b in pairwise(quantiles))


@pytest.mark.parametrize("at_s", READINGS_S)
async def test_asked_again_it_says_the_same(make: Callable[[], LimitSource], at_s: float) -> None:
    """Reading has no effect."""
    source = make()
    await source.read(T0)
    assert await source.read(after(at_s)) == await source.read(after(at_s))


async def test_the_limit_in_force_is_among_its_segments(make: Callable[[], LimitSource]) -> None:
    """At least at the beginning, each of these has something to say about now."""
    source = make()
    assert (await source.read(T0)).limit_at(T0) is not None


async def test_what_it_told_ahead_comes_true(make: Callable[[], LimitSource]) -> None:
    """Up to the next segment that it kept to itself, the limit is the one that was known before."""
    source = make()
    for at_s in READINGS_S:
        told = await source.read(after(at_s))
        for segment in told.segments:
            if segment.starts_at > after(at_s):
                then = await source.read(segment.starts_at)
                in_force = then.limit_at(segment.starts_at)
                assert in_force is not None
                assert (in_force.limit_w, in_force.provenance) == (segment.limit_w, segment.provenance)


async def test_its_rises_can_be_held_back(make: Callable[[], LimitSource]) -> None:
    """Never above what it says, now or later; and the first that it says is not held back by itself."""
    source, past = make(), NOTHING
    counts: Envelope | None = None
    rule = SteadyRule(rise_w_per_s=0.01, settle_s=60.0, turns=1)
    for at_s in READINGS_S[:5]:
        told = await source.read(after(at_s))
        counted = None if counts is None else limit_of(counts, after(at_s), now=after(at_s), firm_w=math.inf)
        past, counts = steadied(past, told, after(at_s), rule, counted=counted)
        for at in (after(at_s), *(s.starts_at for e in (told, counts) for s in e.segments)):
            says, holds = told.limit_at(at), counts.limit_at(at)
            if at >= after(at_s) and says is not None:
                assert holds is not None
                assert holds.limit_w <= says.limit_w


async def test_its_envelopes_survive_the_wire(make: Callable[[], LimitSource]) -> None:
    """A snapshot that is recorded holds them."""
    envelope = await make().read(T0)
    assert loads(Envelope, dumps(envelope)) == envelope


RELAYED = {
    "schedule_file": "",
    "openadr3": "day",
    "http_poll": "",
    "http_push": "d1",
    "manual": "7",
    "mqtt": "",
    "dsx_flex": "f0a4b0de-1d9f-4a0e-9d1c-0c3f0f5d1b11",
}
"""Sources that hand on what a giver tells, and what that is called; empty = it gave no name."""


async def test_what_a_giver_told_is_told_apart_from_what_was_worked_out(
    make: Callable[[], LimitSource], request: pytest.FixtureRequest
) -> None:
    """Only who relays a giver's word says so, with the giver's name for it: that makes it a dispatch instruction."""
    name = request.node.callspec.params["make"].partition(",")[0]
    in_force = (await make().read(T0)).limit_at(T0)
    assert in_force is not None
    assert in_force.giver_id == RELAYED.get(name)


@pytest.mark.parametrize(
    "module",
    [
        "constant",
        "schedule_file",
        "replay",
        "synthetic_day",
        "_blueprint",
        "mqtt",
        "dsx_flex",
        "openadr3",
        "http_poll",
        "http_push",
        "price",
        "surplus",
    ],
)
def test_options_that_it_does_not_know_are_refused(module: str, tmp_path: Path) -> None:
    """By name, with those that it knows: a misspelt key must not be a default."""
    with pytest.raises(SettingsError, match=r"signals: grid: limit_kw is not known; use one of "):
        opened(module, limit_kw=12)(tmp_path)
