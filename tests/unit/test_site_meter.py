"""The meter in the site file, and what people are told of it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from barq.cli.power import _draw
from barq.doctor.finding import Grade
from barq.doctor.meter import meter as examined
from barq.doctor.place import Place
from scheduler.core.decide import decide
from scheduler.core.reasons import Event
from scheduler.core.snapshot import MeterReading, Quality
from scheduler.core.trust import Trust
from scheduler.documents import power_document, sample
from scheduler.errors import MeterError, SettingsError
from scheduler.meters import open_meter, sum_of_reports
from scheduler.settings import Site, load_site
from scheduler.signals.meter_modbus import ModbusMeter
from scheduler.signals.meter_simulated import SimulatedMeter
from scheduler.signals.meter_trusted import Link, TrustedMeter
from scheduler.view import View
from scheduler.wire import dumps, loads
from tests.builders import T0, SiteBuilder, site
from tests.fakes import FakeClock
from tests.reports import quiet_report

SITE = "name: t\npower: {firm_w: 20000}\nnodes: [{count: 1, gpus: 4, simulated: true}]\n"
MODBUS = "{type: modbus, host: 10.0.0.7, map: sunspec%s}"


def a_site(folder: Path, meter: str = "") -> Site:
    """A site with this meter in its file."""
    path = folder / "site.yaml"
    path.write_text(SITE + (f"meter: {meter}\n" if meter else ""), encoding="utf-8")
    return load_site(path)


def told(_: Event) -> None:
    """Nobody listens."""


async def test_a_site_without_a_meter_counts_its_reports(tmp_path: Path) -> None:
    """As it always did."""
    meter = open_meter(a_site(tmp_path), lambda: 7.0, tell=told)
    assert isinstance(meter, SimulatedMeter)
    reading = await meter.read()
    assert (reading.draw_w, reading.source, reading.quality) == (7.0, "simulated", Quality.GOOD)


async def test_a_site_with_a_meter_reads_it_and_has_its_reports_behind(tmp_path: Path) -> None:
    """Until it answers they count, as an estimate."""
    text = MODBUS % ", name: main, port: 5020, stale_after_s: 9, poll_s: 2"
    meter = open_meter(a_site(tmp_path, text), lambda: 7.0, tell=told)
    assert isinstance(meter, TrustedMeter)
    (link,) = [w.link for w in meter._watched]
    assert isinstance(link.meter, ModbusMeter)
    assert link.meter._line.address == "10.0.0.7:5020 unit 1"
    assert (link.trust.stale_after_s, link.trust.fresh_s, link.poll_s) == (9, 4, 2)
    reading = await meter._reported.read()
    assert (reading.draw_w, reading.source) == (7.0, "reports")
    await meter.close()


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("{type: profibus}", "profibus"),
        ("{type: simulated, host: a}", "host"),
        (MODBUS % ", colour: red", "colour"),
        (MODBUS % ", stale_after_s: 1.5", "less than two readings"),
        (MODBUS % ", unit_id: 300", "unit_id"),
        (MODBUS % ", import_is: up", "import_is"),
        ("{type: modbus, host: a, map: registers}", "register is missing"),
        ("{type: modbus, map: sunspec}", "host"),
    ],
)
def test_a_meter_that_makes_no_sense_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    """When the site file is read, by field."""
    with pytest.raises(SettingsError, match=complaint):
        a_site(tmp_path, text)


class Broken:
    """A meter with a fault in its driver."""

    async def read(self) -> MeterReading:
        raise ZeroDivisionError

    async def close(self) -> None:
        """Nothing is open."""


async def test_a_meter_that_breaks_is_one_that_cannot_be_read() -> None:
    """What devices report stands in, and the scheduler goes on."""
    trust = Trust(fresh_s=2, stale_after_s=5, tolerance=0.1, tolerance_w=100, disagree_after_s=3)
    links = [Link(name="main", meter=Broken(), trust=trust, poll_s=0)]
    meter = TrustedMeter(links, SimulatedMeter(lambda: 1000.0, source="reports"), tell=told)
    await meter.read()
    await asyncio.sleep(0)

    reading = await meter.read()
    assert (reading.draw_w, reading.quality) == (1000.0, Quality.ESTIMATED)
    assert "an error in Barq: ZeroDivisionError" in meter._watched[0].complaint()
    await meter.close()


def test_a_reading_of_before_there_were_qualities_is_good() -> None:
    """Snapshots that were recorded then replay."""
    old = b'{"draw_w":5.0,"measured_at":"2026-03-01T00:00:00Z","source":"simulated"}'
    reading = loads(MeterReading, old)
    assert reading.quality is Quality.GOOD
    assert loads(MeterReading, dumps(reading)) == reading


def test_the_power_document_says_what_the_draw_is_worth() -> None:
    """And who measured it; before the first reading nobody did."""
    built = site().node("a").limit_w(5000)
    documents = []
    for reading in (None, MeterReading(draw_w=9.0, measured_at=T0, source="m", quality=Quality.STALE)):
        built.meter = reading
        snapshot = built.snapshot()
        decision = decide(snapshot)
        documents.append(power_document(snapshot, decision, sample(snapshot, decision, over_limit=False)))
    assert [(d["draw_quality"], d["draw_source"]) for d in documents] == [(None, None), ("stale", "m")]
    assert "kW: what is drawn is not known yet. " in documents[0]["sentence"]
    assert "kW: AI 0.0, mining 0.0, site 0.0, unused 5.0. " in documents[1]["sentence"]


@pytest.mark.parametrize(
    "quality, words",
    [
        ("estimated", "9 W, ESTIMATED - from what devices report: the meter cannot be read"),
        ("stale", "9 W, measured -: the meter does not answer"),
        ("bad", "9 W, measured -: what the meter answers now is refused"),
        ("good", "9 W, measured -"),
        (None, "not known yet: nothing was read since the scheduler started"),
    ],
)
def test_barq_power_says_it_where_the_draw_is_not_measured(quality: str | None, words: str) -> None:
    """Never silently."""
    view: Any = {"draw_w": 9.0, "draw_measured_at": None, "draw_quality": quality}
    assert _draw(view) == words


def test_barq_power_names_what_stands_in_for_the_meter() -> None:
    """The controllers of the nodes, for one."""
    view: Any = {"draw_w": 9.0, "draw_measured_at": None, "draw_quality": "estimated", "draw_source": "bmcs"}
    assert _draw(view).startswith("9 W, ESTIMATED - by bmcs: another meter cannot be read, or some")


def test_the_doctor_knocks_at_the_meter(tmp_path: Path) -> None:
    """Where the site file names one."""
    place = Place(root=tmp_path, environ={}, state=tmp_path)
    assert examined(place).grade is Grade.OK
    (tmp_path / "site.yaml").write_text("a: [", encoding="utf-8")
    assert "none of its own" in examined(place).found
    with socket.create_server(("127.0.0.1", 0)) as there:
        port = there.getsockname()[1]
        a_site(tmp_path, f"{{type: modbus, host: 127.0.0.1, port: {port}, map: sunspec}}")
        assert (
            examined(place).found == f"127.0.0.1:{port} accepts connections; `barq power` shows what it says"
        )
    found = examined(place)
    assert found.grade is Grade.WARN
    assert "the draw is estimated" in found.means


def _reports(built: SiteBuilder) -> tuple[View, FakeClock, Callable[[], float]]:
    clock = FakeClock()
    view = View(built.site, {gid: g.spec for gid, g in built.groups.items()}, epoch=1, at=T0)
    return view, clock, sum_of_reports(view, load_site(Path("configs/sites/local.yaml")), clock)


def test_a_node_that_has_not_reported_since_the_start_draws_nobody_knows_what() -> None:
    """Taken for 0 W, it would be a baseline, and a limit that is kept."""
    built = site().node("a").node("b")
    view, clock, draw_w = _reports(built)
    with pytest.raises(MeterError, match="a has not reported yet"):
        draw_w()
    view.take_report(quiet_report(built.groups["a"].spec, draw_w=800.0), at=clock.now(), heard_s=0.0)
    with pytest.raises(MeterError, match="b has not reported yet"):
        draw_w()
    view.take_report(quiet_report(built.groups["b"].spec, draw_w=800.0), at=clock.now(), heard_s=0.0)
    assert draw_w() == 1.25 * 1600 + 100


def test_a_node_that_stays_away_does_not_keep_the_others_from_being_read() -> None:
    """Not for longer than a lease after they were heard of: it has had orders from nobody since."""
    built = site().node("a").node("b")
    view, clock, draw_w = _reports(built)
    clock.now_ms = 60_000
    view.take_report(quiet_report(built.groups["a"].spec, draw_w=800.0), at=clock.now(), heard_s=60.0)
    with pytest.raises(MeterError, match="b has not reported yet"):
        draw_w()
    clock.now_ms += round(1000 * built.site.lease_s)
    view.take_report(quiet_report(built.groups["a"].spec, draw_w=800.0), at=clock.now(), heard_s=75.0)
    assert draw_w() == 1.25 * 800 + 100
