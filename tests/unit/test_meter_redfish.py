"""The sum of what controllers read, what stands in for one that is silent, and the chain of meters around it."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from barq.doctor.bmcs import bmcs as examined
from barq.doctor.finding import Grade
from barq.doctor.place import Place
from scheduler.core.orders import GroupKind
from scheduler.core.reasons import Event
from scheduler.core.snapshot import MeterReading, Quality, SitePolicy
from scheduler.core.trust import Trust
from scheduler.errors import MeterError, MeterRefused, SettingsError
from scheduler.hosts import Device, Hosts
from scheduler.meters import open_meter
from scheduler.settings import load_site
from scheduler.signals.meter_redfish import RedfishMeter
from scheduler.signals.meter_simulated import SimulatedMeter
from scheduler.signals.meter_trusted import Link, TrustedMeter
from tests.builders import T0
from tests.fake_host import FakeHost
from tests.redfish_peer import PASSWORD, controller

SITE = SitePolicy(name="t", firm_w=1.0, overhead=1.25, auxiliary_w=100.0)
TRUST = Trust(fresh_s=2, stale_after_s=5, tolerance=0.1, tolerance_w=100, disagree_after_s=3)


class Bench:
    """Two nodes with controllers, one miner group, and what was told."""

    def __init__(self) -> None:
        self.hosts = {name: FakeHost(name) for name in ("a", "b")}
        self.told: list[Event] = []
        self.more: list[Device] = []
        self.meter = RedfishMeter("bmcs", self.devices, SITE, tell=self.told.append, now=lambda: T0)

    def devices(self) -> list[Device]:
        """As the site has them."""
        nodes = [
            Device(group_id=n, kind=GroupKind.NODE, host=h, reported_w=500.0, at_most_w=1500.0)
            for n, h in self.hosts.items()
        ]
        return [*nodes, self.miners(), *self.more]

    @staticmethod
    def miners(reported_w: float = 50.0) -> Device:
        """They have no controllers."""
        return Device(group_id="m", kind=GroupKind.MINERS, host=None, reported_w=reported_w, at_most_w=9000.0)

    @property
    def kinds(self) -> list[str]:
        """Of what was told."""
        return [e.kind for e in self.told]


async def test_nodes_are_summed_and_the_hall_is_added() -> None:
    """Miners as they report, outside the overhead."""
    reading = await Bench().meter.read()
    assert reading == MeterReading(draw_w=1600 * 1.25 + 50 + 100, measured_at=T0, source="bmcs")


async def test_a_silent_controller_counts_at_what_its_orders_allow() -> None:
    """Never at less than the node may draw; and then it is an estimate. Told once, as is its return."""
    bench = Bench()
    bench.hosts["b"].silent = True
    for _ in range(3):
        reading = await bench.meter.read()
        assert reading.draw_w == (800 + 1500) * 1.25 + 150
        assert reading.quality is Quality.ESTIMATED
    bench.hosts["b"].silent = False
    assert (await bench.meter.read()).quality is Quality.GOOD
    assert bench.kinds == ["bmc.lost", "bmc.back"]
    assert bench.told[0].data == {"meter": "bmcs", "node": "b"}
    assert "counts at what its orders let it draw" in bench.told[0].text


async def test_a_node_that_reports_more_than_it_may_counts_at_that() -> None:
    """As one without a controller does; of that nobody has to be told."""
    bench = Bench()
    bench.more = [Device(group_id="c", kind=GroupKind.NODE, host=None, reported_w=2000.0, at_most_w=900.0)]
    reading = await bench.meter.read()
    assert (reading.draw_w, reading.quality) == ((1600 + 2000) * 1.25 + 150, Quality.ESTIMATED)
    assert bench.told == []


@pytest.mark.parametrize("fault, error", [("silent", MeterError), ("refused", MeterRefused)])
async def test_without_any_reading_there_is_none(fault: str, error: type[MeterError]) -> None:
    """Then those behind it count."""
    bench = Bench()
    for host in bench.hosts.values():
        host.silent, host.draws_w = fault == "silent", -1.0
    with pytest.raises(MeterError, match="meter bmcs: a") as raised:
        await bench.meter.read()
    assert type(raised.value) is error


class Chain:
    """A site's meter, the controllers behind it, and the reports, each as a test sets it; NaN = not to be had."""

    def __init__(self) -> None:
        self.at, self.told = T0, list[Event]()
        self.draws_w = {"main": 1000.0, "bmcs": 1000.0, "reports": 1000.0}
        made = {
            n: SimulatedMeter(partial(self.draws_w.__getitem__, n), now=self.now, source=n)
            for n in self.draws_w
        }
        links = [Link(name=n, meter=made[n], trust=TRUST, poll_s=1) for n in ("main", "bmcs")]
        self.meter = TrustedMeter(links, made["reports"], tell=self.told.append, now=self.now)

    def now(self) -> datetime:
        """The time of the test."""
        return self.at

    async def later(self, seconds: int = 1) -> tuple[str, Quality]:
        """Who counts after so many seconds, and what it is worth."""
        for _ in range(seconds):
            self.at += timedelta(seconds=1)
            await self.meter.read()
            await asyncio.wait([w.asked for w in self.meter._watched if w.asked is not None])
        reading = await self.meter.read()
        return reading.source, reading.quality

    @property
    def news(self) -> list[tuple[str, Any]]:
        """What was told, and of which meter, since this was last asked."""
        told = [(e.kind, e.data["meter"]) for e in self.told]
        self.told.clear()
        return told


NAN = float("nan")


async def test_the_next_in_order_takes_over_and_gives_back() -> None:
    """The meter, then the controllers, then the reports; each loss says who counts instead, if it was its turn."""
    chain = Chain()
    assert await chain.later() == ("main", Quality.GOOD)
    chain.draws_w["main"] = NAN
    assert await chain.later(3) == ("main", Quality.STALE)
    assert await chain.later(4) == ("bmcs", Quality.ESTIMATED)
    assert "estimated, what bmcs shows" in chain.told[-1].text
    chain.draws_w["bmcs"] = NAN
    assert await chain.later(8) == ("reports", Quality.ESTIMATED)
    assert "estimated, the sum of what devices report" in chain.told[-1].text
    chain.draws_w["bmcs"] = 990.0
    assert await chain.later(2) == ("bmcs", Quality.ESTIMATED)
    chain.draws_w["main"] = 980.0
    assert await chain.later(2) == ("main", Quality.GOOD)
    assert chain.news == [
        ("meter.lost", "main"),
        ("meter.lost", "bmcs"),
        ("meter.back", "bmcs"),
        ("meter.back", "main"),
    ]
    await chain.meter.close()


async def test_a_meter_that_does_not_count_is_missed_quietly() -> None:
    """The first goes on counting, and nobody is said to take over."""
    chain = Chain()
    await chain.later()
    chain.draws_w["bmcs"] = NAN
    assert await chain.later(8) == ("main", Quality.GOOD)
    assert "until it is back" not in chain.told[-1].text
    assert chain.news == [("meter.lost", "bmcs")]
    await chain.meter.close()


async def test_neighbours_that_disagree_are_an_alarm_with_both_figures() -> None:
    """Each meter is held against the next one that has something to say, the last against the reports."""
    chain = Chain()
    await chain.later()
    chain.draws_w["reports"] = 2000.0
    await chain.later(6)
    (told,) = chain.told
    assert told.data == {"meter": "bmcs", "draw_w": 1000.0, "other": "reports", "reported_w": 2000.0}
    assert chain.news == [("meter.disagrees", "bmcs")]
    chain.draws_w["main"] = 2000.0
    await chain.later(6)
    assert "meter main shows 2.00 kW, bmcs 1.00 kW" in chain.told[0].text
    assert chain.news == [("meter.disagrees", "main")]
    chain.draws_w["bmcs"] = 2000.0
    await chain.later(3)
    assert sorted(chain.news) == [("meter.agrees", "bmcs"), ("meter.agrees", "main")]
    chain.draws_w |= {"main": 9000.0, "bmcs": NAN}
    await chain.later(10)
    assert ("meter.disagrees", "main") in chain.news
    await chain.meter.close()


# -- the site file ---------------------------------------------------------------------------------------------------

FILE = "name: t\npower: {firm_w: 20000}\nnodes: [{count: 1, gpus: 4, simulated: true}]\n"
BMC = "bmcs: [{nodes: [gpu-1], url: 'https://{node}.example', %s}]\n"


async def test_a_site_names_its_chain(tmp_path: Path) -> None:
    """A real meter first, the controllers behind it."""
    path = tmp_path / "site.yaml"
    meters = "meter: {type: modbus, host: 127.0.0.1, map: sunspec}\nmeters_behind: [{type: redfish}]\n"
    path.write_text(FILE + BMC % "" + meters, encoding="utf-8")
    meter = open_meter(load_site(path), lambda: 7.0, tell=lambda _: None)
    assert isinstance(meter, TrustedMeter)
    assert [w.link.name for w in meter._watched] == ["meter", "bmcs"]
    await meter.close()


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("meter: {type: redfish}\n", "add bmcs"),
        ("meters_behind: [{type: redfish}]\n" + BMC % "", "no meter before them"),
        ("meter: {type: redfish}\nmeters_behind: [{type: redfish}]\n" + BMC % "", "called alike"),
        (BMC % "colour: red", "colour"),
        (BMC.replace("https:", "http:") % "", "https"),
        (BMC.replace("https://", "https://u:p@") % "", "without a user"),
        (BMC.replace(".example", ".example/redfish") % "", "path"),
        (BMC % "username_file: a", "both or neither"),
        (BMC % "username_file: a, username_env: A", "keep the one"),
        (BMC % "ca_file: a, pinned_file: b", "keep one"),
        (BMC % "standby: {draw_w: -1}", "draw_w"),
        (BMC.replace("gpu-1", "GPU 1") % "", "nodes"),
        (BMC.replace("gpu-1", "gpu-*").replace("{node}", "bmc") % "", "may be several"),
        (BMC.replace("gpu-1", "gpu-1, gpu-2").replace("{node}", "bmc") % "", "may be several"),
    ],
)
def test_controllers_that_make_no_sense_are_refused(tmp_path: Path, text: str, complaint: str) -> None:
    """When the site file is read, by field."""
    path = tmp_path / "site.yaml"
    path.write_text(FILE + text, encoding="utf-8")
    with pytest.raises(SettingsError, match=complaint):
        load_site(path)


async def test_controllers_are_opened_once_and_closed(tmp_path: Path) -> None:
    """The first that fits a node; none for one that none fits."""
    path = tmp_path / "site.yaml"
    path.write_text(
        FILE + "bmcs: [{nodes: [gpu-1], url: 'https://a'}, {nodes: ['gpu-*'], url: 'https://{node}-b'}]\n",
        encoding="utf-8",
    )
    opened: list[FakeHost] = []

    def open_host(node: str, bmc: Any, base: Path) -> FakeHost:
        opened.append(FakeHost(bmc.of(node).url))
        return opened[-1]

    hosts = Hosts(load_site(path).bmcs, tmp_path, open_host)
    found = [hosts.of(node) for node in ("gpu-1", "gpu-2", "gpu-1", "cpu-1")]
    assert [getattr(f, "name", None) for f in found] == ["https://a", "https://gpu-2-b", "https://a", None]
    await hosts.close()
    assert [h.closed for h in opened] == [1, 1]


def test_the_doctor_asks_each_controller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong is said without a secret; what is well, with the draw."""
    monkeypatch.setattr("barq.doctor.bmcs.ASK_S", 60.0)
    place = Place(root=tmp_path, environ={}, state=tmp_path)
    (found,) = examined(place)
    assert found.grade is Grade.OK
    with controller() as peer:
        options = ", ".join(f"{k}: {v}" for k, v in peer.options(tmp_path).items() if k != "url")
        others = "{nodes: ['cpu-*'], url: 'https://{node}'}"
        bmc = f"bmcs: [{{nodes: [gpu-1], url: '{peer.url}', {options}}}, {others}]\n"
        (tmp_path / "site.yaml").write_text(FILE + bmc, encoding="utf-8")
        well, pattern = examined(place)
        assert (well.check, well.grade) == ("bmc-gpu-1", Grade.OK)
        assert well.found == "answers, over plain http; on, draws 800 W"
        assert "cpu-*: which nodes those are" in pattern.found
        peer.draw_w = None
        bad, _ = examined(place)
        assert "PowerConsumedWatts is missing" in bad.found
        assert PASSWORD not in bad.found
    (unreachable, _) = examined(place)
    assert unreachable.grade is Grade.WARN
    (tmp_path / "site.yaml").write_text(FILE + BMC % "colour: red", encoding="utf-8")
    assert "see signals" in examined(place)[0].found
