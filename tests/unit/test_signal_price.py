"""When a price switches the site on and off, and what becomes of a series that cannot be read."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from scheduler.connections.messages import Refused
from scheduler.core.envelope import Envelope
from scheduler.errors import SettingsError, SignalError
from scheduler.signals import read_options
from scheduler.signals.price import (
    Price,
    Priced,
    PriceOptions,
    Series,
    on_before,
    open_source,
    read_document,
    switched,
)
from tests.json_served import Served, served

T0 = datetime(2026, 6, 1, tzinfo=UTC)
ON_W, OFF_W = 480_000.0, 20_000.0


def hours(number: float) -> datetime:
    """So many hours after the first price."""
    return T0 + timedelta(hours=number)


def options(**more: Any) -> PriceOptions:
    """On at 30 or less, off above 50."""
    given = {"path": "p.csv", "below": 30, "above": 50, "on_w": ON_W, "off_w": OFF_W}
    return read_options(PriceOptions, "grid", given | more)


def series(*prices: float, first_h: float = 0) -> Series:
    """A price for each hour."""
    rows = tuple(Priced(starts_at=hours(first_h + n), price=price) for n, price in enumerate(prices))
    return Series(prices=rows, ends_at=hours(first_h + len(prices)), document="")


def switches(known: Series, there: PriceOptions, on_since: datetime | None = None) -> list[tuple[float, str]]:
    """The hours at which it goes on and off."""
    return [
        ((s.starts_at - T0) / timedelta(hours=1), "on" if s.limit_w == ON_W else "off")
        for s in switched(known, there, on_since=on_since)
    ]


def limit_w(envelope: Envelope, at: datetime) -> float | None:
    """What it says for then."""
    segment = envelope.limit_at(at)
    return None if segment is None else segment.limit_w


# -- switching ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prices,wanted",
    [
        ((40, 30, 50, 51), [(0, "off"), (1, "on"), (3, "off")]),
        ((20, 40, 20, 40), [(0, "on"), (4, "off")]),
        ((60, 40, 60), [(0, "off")]),
        ((-5, 70, -5), [(0, "on"), (1, "off"), (2, "on"), (3, "off")]),
    ],
)
def test_it_goes_on_at_one_price_and_off_at_another(
    prices: tuple[float, ...], wanted: list[tuple[float, str]]
) -> None:
    """In between nothing changes; when no price is known it is off."""
    assert switches(series(*prices), options()) == wanted
    assert switches(series(*prices), options(above=None, hysteresis=20)) == wanted


def test_without_a_gap_one_price_decides() -> None:
    """At most that, or above it."""
    assert switches(series(30, 30.5, 30), options(above=None)) == [
        (0, "on"),
        (1, "off"),
        (2, "on"),
        (3, "off"),
    ]


@pytest.mark.parametrize(
    "prices,wanted",
    [
        ((20, 60, 60, 60, 60), [(0, "on"), (2.5, "off")]),
        ((20, 60, 40, 60, 60), [(0, "on"), (3, "off")]),
        ((60, 20), [(0, "off"), (1, "on"), (3.5, "off")]),
    ],
)
def test_once_on_it_stays_on_for_a_while(prices: tuple[float, ...], wanted: list[tuple[float, str]]) -> None:
    """Whatever the price does, also past the last one."""
    assert switches(series(*prices), options(min_on_s=2.5 * 3600)) == wanted


def test_what_was_on_before_the_series_began_stays_on() -> None:
    """A server that shows only what is to come does not switch anything off by that."""
    before = switched(series(20, 40, 40), options(), on_since=None)
    since = on_before(before, hours(1), options())

    assert since == T0
    assert switches(series(40, 60, first_h=1), options(), since) == [(0, "on"), (2, "off")]
    assert on_before(before, hours(3), options()) is None


def by_the_minute(known: Series, there: PriceOptions, *, step_s: float) -> list[bool]:
    """Whether it is on, asked again and again: the same, written down in another way."""
    answer, on_at = [], None
    at = known.prices[0].starts_at
    while at < known.ends_at:
        price = [p.price for p in known.prices if p.starts_at <= at][-1]
        if on_at is not None and price > there.off_above() and (at - on_at).total_seconds() >= there.min_on_s:
            on_at = None
        if on_at is None and price <= there.below:
            on_at = at
        answer.append(on_at is not None)
        at += timedelta(seconds=step_s)
    return answer


@given(
    st.lists(st.sampled_from([-10.0, 30.0, 40.0, 50.0, 60.0]), min_size=1, max_size=12),
    st.sampled_from([0.0, 1800.0, 3600.0, 5400.0, 9000.0]),
)
def test_switching_is_what_a_thermostat_would_do(prices: list[float], min_on_s: float) -> None:
    """Asked every half an hour, the steps say what a switch with a gap says that looks at one price after the other."""
    known, there = series(*prices), options(min_on_s=min_on_s)
    steps = switched(known, there, on_since=None)
    asked = [hours(n / 2) for n in range(2 * len(prices))]

    assert [[s.limit_w for s in steps if s.starts_at <= at][-1] == ON_W for at in asked] == by_the_minute(
        known, there, step_s=1800
    )
    assert all(a.starts_at < b.starts_at and a.limit_w != b.limit_w for a, b in pairwise(steps))
    assert steps[-1].limit_w == OFF_W


@given(st.binary(max_size=80) | st.text().map(lambda s: json.dumps([{"time": s, "price": 1}, s]).encode()))
def test_any_document_is_read_or_refused(payload: bytes) -> None:
    """There is no third way."""
    try:
        known = read_document(payload, options())
    except Refused:
        return
    assert known.prices


@pytest.mark.parametrize(
    "wrong,why",
    [
        ({"url": "https://prices.example/"}, "either path or url"),
        ({"path": None}, "either path or url"),
        ({"hysteresis": 5}, "give one of them"),
        ({"above": 29}, "less than below"),
        ({"off_w": ON_W}, "is not less than on_w"),
        ({"path": None, "url": "https://prices.example/", "stale_after_s": 60}, "shorter than every_s"),
        ({"path": None, "url": "http://prices.example/"}, "url is not https"),
        ({"zone": "Mars/Olympus"}, "there is no such time zone"),
    ],
)
def test_options_that_do_not_go_together_are_refused(wrong: dict[str, Any], why: str) -> None:
    """When the site file is read."""
    given = {"path": "p.csv", "below": 30, "above": 50, "on_w": ON_W, "off_w": OFF_W} | wrong
    with pytest.raises(SettingsError, match=why):
        open_source("grid", given, base=Path(), reaction_s=30.0)


# -- a file ------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Any]:
    """Opens sources, and closes them."""
    sources: list[Price] = []

    def one(**more: Any) -> Price:
        given = {"below": 30, "above": 50, "on_w": ON_W, "off_w": OFF_W, "timeout_s": 30} | more
        sources.append(open_source("grid", given, base=tmp_path, reaction_s=30.0))
        return sources[-1]

    yield one
    for source in sources:
        await source.close()


async def test_known_prices_are_known_steps(opened: Any, tmp_path: Path) -> None:
    """With the price as the reason; local times where the site file names the zone."""
    (tmp_path / "p.csv").write_text(
        "time,price\n2026-06-01T05:00,31.2\n2026-06-01T06:00,12\n2026-06-01T07:00,80\n", encoding="utf-8"
    )
    source = opened(path="p.csv", zone="Asia/Karachi", price_unit="PKR/kWh")
    envelope = await source.read(hours(0.5))

    assert [(s.starts_at, s.limit_w) for s in envelope.segments] == [
        (T0, OFF_W),
        (hours(1), ON_W),
        (hours(2), OFF_W),
    ]
    assert envelope.segments[1].provenance == "price 12 PKR/kWh: on, until it is above 50"
    assert all(s.document.startswith("p.csv (SHA-256 ") for s in envelope.segments)
    assert limit_w(await source.read(hours(-1)), hours(-1)) == OFF_W


async def test_a_file_that_makes_no_sense_ages(opened: Any, tmp_path: Path) -> None:
    """It is an error with line, value and remedy, until it is mended."""
    file = tmp_path / "p.csv"
    file.write_text("time,price\n2026-06-01T00:00Z,20\n2026-06-01T01:00Z,20\n", encoding="utf-8")
    source = opened(path="p.csv")
    await source.read(T0)
    file.write_text("time,price\n2026-06-01T00:00Z,20\n2026-06-01T01:00Z,nan\n", encoding="utf-8")
    with pytest.raises(SignalError, match=r"line 3: price: 'nan' is no price; give a number"):
        await source.read(T0)
    file.unlink()
    with pytest.raises(SignalError, match="put the prices there"):
        await source.read(T0)
    file.write_text("time,price\n2026-06-01T00:00Z,60\n2026-06-01T01:00Z,60\n", encoding="utf-8")

    assert limit_w(await source.read(hours(1)), hours(1)) == OFF_W


async def test_half_a_file_is_waited_for(opened: Any, tmp_path: Path) -> None:
    """Its last price may be cut short: 5 of 55. Once it has lain there for a while it is taken as it is."""
    file = tmp_path / "p.csv"
    file.write_text("time,price\n2026-05-31T23:00Z,60\n2026-06-01T00:00Z,5", encoding="utf-8")
    os.utime(file, (T0.timestamp(), T0.timestamp()))
    source = opened(path="p.csv")
    with pytest.raises(SignalError, match="its last line is not ended"):
        await source.read(T0 + timedelta(seconds=9))

    late = T0 + timedelta(seconds=10)
    assert limit_w(await source.read(late), late) == ON_W


# -- over a socket -----------------------------------------------------------------------------------------------------


@pytest.fixture
def page() -> Iterator[Served]:
    """A server of prices on this machine."""
    with served() as page:
        say(page, 20, 60)
        yield page


def say(page: Served, *prices: Any) -> None:
    """Serve a price for each hour."""
    rows = [{"from": hours(n).isoformat(), "eur": price} for n, price in enumerate(prices)]
    page.say({"data": rows}, tag=f'"{prices}"')


FIELDS = {"prices_field": "/data", "time_field": "from", "price_field": "eur"}


async def test_prices_come_from_a_server_now_and_then(page: Served, opened: Any) -> None:
    """It is asked every `every_s`; what did not change is not sent again."""
    source = opened(url=page.url, every_s=600, **FIELDS)
    first = await source.read(T0)
    between = await source.read(T0 + timedelta(seconds=599))
    again = await source.read(T0 + timedelta(seconds=600))

    assert [(s.starts_at, s.limit_w) for s in first.segments] == [(T0, ON_W), (hours(1), OFF_W)]
    assert page.statuses == [200, 304]
    assert (between.read_at, again.read_at) == (T0, T0 + timedelta(seconds=600))
    assert again.segments == first.segments


@pytest.mark.parametrize("wrong", [(20, "60"), (20, None), ()])
async def test_prices_that_make_no_sense_are_an_error(
    page: Served, opened: Any, wrong: tuple[Any, ...]
) -> None:
    """Until the server says something better; it is asked again soon."""
    source = opened(url=page.url, **FIELDS)
    await source.read(T0)
    say(page, *wrong)
    with pytest.raises(SignalError, match="send"):
        await source.read(T0 + timedelta(seconds=300))
    say(page, 60, 20)

    assert limit_w(await source.read(T0 + timedelta(seconds=315)), T0) == OFF_W
