"""What a VTN is told over a real socket: reports that it keeps, and faults that keep nothing of the limit back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scheduler.core.draw_record import SLOT_S
from scheduler.core.site_state import SiteState
from scheduler.errors import SettingsError, SignalError
from scheduler.ports import ToldSource
from scheduler.signals.openadr3 import OpenAdr, open_source
from tests.site_told import record, state
from tests.vtn import CLIENT_ID, SECRET, Vtn, event, served
from tests.waiting import wait_until

NOW = datetime.fromtimestamp(time.time() // SLOT_S * SLOT_S, UTC)
HALF = timedelta(minutes=30)
MEAN_DEMAND = {"payloadType": "DEMAND", "numIntervals": 1, "startInterval": 1, "repeat": -1}
SHEDDABLE = "LOAD_SHED_DELTA_AVAILABLE"


@pytest.fixture
def vtn() -> Iterator[Vtn]:
    """A VTN with an event of half-hours that began an hour ago, and wants the demand of each."""
    with served() as vtn:
        vtn.publish(an_event(MEAN_DEMAND))
        yield vtn


def an_event(*descriptors: dict[str, Any]) -> dict[str, Any]:
    """50 kW for two hours, in half-hours, of which two are over."""
    start = NOW - 2 * HALF
    return event("plan", [50, 50, 40, 40], start=start, each="PT30M", reportDescriptors=list(descriptors))


def site_at(at: datetime = NOW) -> SiteState:
    """2 kW for half an hour, then 4 kW, and so on until then."""
    minutes = (at - NOW).total_seconds() / 60
    parts = [(1800.0, 2000.0), (1800.0, 4000.0), *([(minutes * 60, 3000.0)] if minutes else [])]
    return state(at=at, past=record(*parts, until=at, every_s=5.0).slots())


@asynccontextmanager
async def a_source(vtn: Vtn, tmp_path: Path, **reports: Any) -> AsyncIterator[OpenAdr]:
    """As the site file describes it, read once."""
    (tmp_path / "secret").write_text(f"{SECRET}\n", encoding="utf-8")
    options = {
        "vtn_url": vtn.url,
        "client_id": CLIENT_ID,
        "client_secret_file": "secret",
        "subscription_w": 20_000,
        "ven_name": "barq-lahore",
        "every_s": 1.0,
        "stale_after_s": 90.0,
        "timeout_s": 30.0,
        "reports": reports,
    }
    source = open_source("utility", options, base=tmp_path, reaction_s=30.0)
    try:
        await source.read(NOW)
        yield source
    finally:
        await source.close()


def demands(vtn: Vtn) -> list[float]:
    """What the one report tells of each interval."""
    (report,) = vtn.reports
    (resource,) = report["resources"]
    return [i["payloads"][0]["values"][0] for i in resource["intervals"]]


async def test_the_site_is_registered_and_its_report_kept_up_to_date(vtn: Vtn, tmp_path: Path) -> None:
    """Made once, put again when the next interval is over, and left alone in between."""
    async with a_source(vtn, tmp_path) as source:
        assert isinstance(source, ToldSource)
        await source.tell(site_at())
        first = demands(vtn)
        await source.tell(site_at(NOW + timedelta(minutes=1)))
        await source.tell(site_at(NOW + HALF))

    assert [v["venName"] for v in vtn.objects["vens"].values()] == ["barq-lahore"]
    assert [r["resourceName"] for r in vtn.objects["resources"].values()] == ["site-meter"]
    assert (first, demands(vtn)) == ([2.0, 4.0], [2.0, 4.0, 3.0])
    reports = [write for write in vtn.written if "reports" in write[1]]
    assert reports == [("POST", "/reports"), ("PUT", f"/reports/{vtn.reports[0]['id']}")]


async def test_a_restarted_site_goes_on_with_its_reports(vtn: Vtn, tmp_path: Path) -> None:
    """No second report, no second VEN, and what it does not know any more stays told."""
    async with a_source(vtn, tmp_path) as source:
        await source.tell(site_at())
    later = NOW + HALF
    async with a_source(vtn, tmp_path) as source:
        await source.tell(state(at=later, past=record((1800.0, 1000.0), until=later).slots()))

    assert demands(vtn) == [2.0, 4.0, 1.0]
    assert [len(objects) for objects in vtn.objects.values()] == [1, 1, 1]


async def test_a_vtn_that_hangs_over_a_report_is_read_as_before(vtn: Vtn, tmp_path: Path) -> None:
    """A telling in flight shares neither connection nor lock nor token with the reading of the limit."""
    async with a_source(vtn, tmp_path) as source:
        vtn.writes_hang = True
        telling = asyncio.ensure_future(source.tell(site_at()))
        await wait_until(lambda: vtn.held, timeout_s=60, what="the VTN hangs over a write")
        vtn.publish(event("plan", [30], start=NOW - HALF))

        limit = (await source.read(NOW + timedelta(seconds=2))).limit_at(NOW + timedelta(seconds=2))

        assert limit is not None
        assert limit.limit_w == 30_000
        assert not telling.done()
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)


async def test_faults_of_a_vtn_are_got_over(vtn: Vtn, tmp_path: Path) -> None:
    """A token that was revoked, a VEN that another made first, a report that was deleted."""
    async with a_source(vtn, tmp_path) as source:
        vtn.fail("vens", 200, b"[]")
        vtn.objects["vens"]["there"] = {"id": "there", "venName": "barq-lahore"}
        await source.tell(site_at())
        assert {r["venID"] for r in vtn.objects["resources"].values()} == {"there"}

        vtn.revoke()
        vtn.objects["reports"].clear()
        await source.tell(site_at(NOW + HALF))
        assert demands(vtn) == [2.0, 4.0, 3.0]


async def test_an_interval_is_told_when_it_is_over_by_both_clocks(vtn: Vtn, tmp_path: Path) -> None:
    """A VTN whose clock differs is not told of an interval of which the site may not know the end."""
    vtn.ahead_s = 120.0
    async with a_source(vtn, tmp_path) as source:
        await source.tell(site_at())
        assert demands(vtn) == [2.0]
        await source.tell(site_at(NOW + timedelta(minutes=3)))
    assert demands(vtn) == [2.0, 4.0]


async def test_a_busy_vtn_is_left_alone_as_long_as_it_asks(vtn: Vtn, tmp_path: Path) -> None:
    """What was not told then is told with the next report."""
    async with a_source(vtn, tmp_path) as source:
        vtn.fail("reports", 503, Retry_After="120")
        with pytest.raises(SignalError, match="busy"):
            await source.tell(site_at())
        asked = len(vtn.asked)
        with pytest.raises(SignalError, match="busy"):
            await source.tell(site_at())
        assert len(vtn.asked) == asked


async def test_a_site_without_the_right_to_report_still_reads(vtn: Vtn, tmp_path: Path) -> None:
    """It is said which right it lacks; one report that is not wanted keeps no other back."""
    async with a_source(vtn, tmp_path, scope="read_ven_objects", registers=False) as source:
        with pytest.raises(SignalError, match=r"POST /reports with 403; check its rights"):
            await source.tell(site_at())
        assert (await source.read(NOW + timedelta(seconds=2))).segments

    vtn.publish(an_event(MEAN_DEMAND, {"payloadType": "USAGE"} | {"startInterval": 2}))
    async with a_source(vtn, tmp_path) as source:
        vtn.fail("reports", 200, b"[]")
        vtn.fail("reports", 400)
        with pytest.raises(SignalError, match="400"):
            await source.tell(site_at())
        assert len(vtn.reports) == 1


async def test_what_could_go_is_told_live(vtn: Vtn, tmp_path: Path) -> None:
    """Told unasked, and anew when it changed and some time went by; wanted capacity by the name of the enumeration."""
    payloads = [SHEDDABLE, "IMPORT_CAPACITY_RESERVATION"]
    async with a_source(vtn, tmp_path, payloads=payloads, renew_s=1.0, registers=False) as source:
        await source.tell(site_at())
        ahead = next(r for r in vtn.reports if r["reportName"] == "barq-lahore ahead")
    told = ahead["resources"][0]["intervals"][0]["payloads"]
    assert told == [
        {"type": SHEDDABLE, "values": [3.5]},
        {"type": "IMPORT_RESERVATION_CAPACITY", "values": [1.25]},
    ]


async def test_a_report_that_cannot_be_made_is_refused_aloud(vtn: Vtn, tmp_path: Path) -> None:
    """Once, with what could be told; a site that tells nothing is not asked and refuses nothing."""
    vtn.publish(an_event({"payloadType": "STORAGE_CHARGE_LEVEL"}))
    async with a_source(vtn, tmp_path) as source:
        await source.tell(site_at())
        await source.read(NOW + timedelta(seconds=1))
        (text,) = source.refused()
        assert "STORAGE_CHARGE_LEVEL: this site tells only" in text
        await source.read(NOW + timedelta(seconds=2))
        assert source.refused() == []

    silent = open_source("utility", {"vtn_url": vtn.url, "subscription_w": 1}, base=tmp_path, reaction_s=30.0)
    assert silent.tell_every_s is None


def test_a_payload_that_does_not_exist_is_refused_at_the_start(tmp_path: Path) -> None:
    """By its name, with those that do."""
    options = {"vtn_url": "https://vtn.example", "subscription_w": 1, "reports": {"payloads": ["DEMANDS"]}}
    with pytest.raises(SettingsError, match=r"signals: u: reports: payloads: DEMANDS: this site tells only"):
        open_source("u", options, base=tmp_path, reaction_s=30.0)
