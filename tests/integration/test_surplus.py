"""The limit that two real Modbus meters give: export + own draw, down at once and up slowly."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from scheduler.core.envelope import Envelope
from scheduler.errors import SettingsError, SignalError
from scheduler.settings import load_site
from scheduler.signal_settings import SignalSettings
from scheduler.signals.surplus import Climb, Surplus, SurplusOptions, climbed, open_source
from scheduler.wiring import open_source as open_signal
from tests.builders import T0
from tests.modbus_peer import Peer, peer

FIRM_W = 2000.0
PLACE = {"host": "meter", "map": "sunspec"}
OPTIONS = SurplusOptions.model_validate(
    {"grid": PLACE, "site": PLACE, "rise_w_per_s": 100, "floor_w": FIRM_W, "stale_after_s": 10}
)
WATTS = st.floats(-1e6, 1e6)


class Bench:
    """Two meters and the source over them."""

    def __init__(self, grid: Peer, site: Peer, **changes: Any) -> None:
        self.grid, self.site, self.after_s = grid, site, 0.0
        options = {"rise_w_per_s": 100, "floor_w": FIRM_W, "stale_after_s": 10, "step_w": 1} | changes
        meters = {"grid": grid.options(), "site": site.options()}
        self.source: Surplus = open_source("solar", {**options, **meters}, base=Path(), reaction_s=30)
        self.source._grid._monotonic_s = self.source._site._monotonic_s = lambda: self.after_s

    async def envelope(self, after_s: float = 0.0) -> Envelope:
        """As read so much later."""
        self.after_s += after_s
        return await self.source.read(T0 + timedelta(seconds=self.after_s))

    async def limit_w(self, after_s: float = 0.0) -> float:
        """In force then."""
        return (await self.envelope(after_s)).segments[-1].limit_w


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """The site draws 3000 W, and 5000 W are exported."""
    async with peer() as grid, peer() as site:
        grid.shows(-5000.0)
        site.shows(3000.0)
        made = Bench(grid, site)
        yield made
        await made.source.close()


async def test_the_limit_is_export_and_own_draw(bench: Bench) -> None:
    """From what the site draws it rises as fast as it may, and no further than the surplus."""
    assert await bench.limit_w() == 3000.0
    assert await bench.limit_w(1) == 3100.0
    assert await bench.limit_w(5) == 3600.0
    assert [await bench.limit_w(9) for _ in range(10)][-1] == 8000.0


async def test_it_falls_at_once_and_not_below_the_floor(bench: Bench) -> None:
    """A cloud; then power is bought."""
    await bench.limit_w()
    await bench.limit_w(10)
    bench.grid.shows(-500.0)
    assert await bench.limit_w(0.5) == 3500.0
    bench.grid.shows(600.0)
    assert await bench.limit_w(0.5) == 2400.0
    bench.grid.shows(2500.0)
    assert await bench.limit_w(0.5) == FIRM_W
    bench.grid.shows(-5000.0)
    assert await bench.limit_w(1) == FIRM_W + 100


async def test_what_stays_is_no_news_and_noise_is_none(bench: Bench) -> None:
    """The same segment again; the limit is rounded down to its step."""
    source = Bench(bench.grid, bench.site, step_w=100)
    bench.grid.shows(-40.0)
    first = await source.envelope()
    bench.grid.shows(-70.0)
    second = await source.envelope(1)
    assert first.segments == second.segments
    assert second.segments[0].limit_w == 3000.0
    assert second.read_at > first.read_at
    await source.source.close()


@pytest.mark.parametrize("which", ["grid", "site"])
async def test_without_either_meter_there_is_no_limit(bench: Bench, which: str) -> None:
    """The source is silent and goes stale; when it is back it begins at what the site draws."""
    await bench.limit_w()
    assert await bench.limit_w(10) == 4000.0
    device: Peer = getattr(bench, which)
    await device.stop()
    with pytest.raises(SignalError, match=rf"{which}: 127.0.0.1:\d+ unit 1: "):
        await bench.limit_w(1)
    await device.start()
    assert await bench.limit_w(60) == 3000.0


async def test_a_meter_that_has_no_reading_gives_no_limit(bench: Bench) -> None:
    """Nor one that counts the wrong way round."""
    bench.grid.lacks_power()
    with pytest.raises(SignalError, match=r"grid: .*the device has no reading"):
        await bench.limit_w()
    bench.grid.shows(0.0)
    bench.site.shows(-3000.0)
    with pytest.raises(SignalError, match=r"site: .* below 0 W; correct site\.import_is"):
        await bench.limit_w()


@given(st.lists(st.tuples(st.floats(0, 20), st.floats(0, 1e6), WATTS), min_size=1, max_size=20))
def test_no_climb_passes_the_surplus_or_its_pace(readings: list[tuple[float, float, float]]) -> None:
    """Whatever is read: never above export + own draw, never faster than it may."""
    climb: Climb | None = None
    at = T0
    for gap_s, own_w, export_w in readings:
        at += timedelta(seconds=gap_s)
        before, surplus_w = climb, own_w + export_w
        climb = climbed(before, at, own_w=own_w, surplus_w=surplus_w, options=OPTIONS)
        assert climb.limit_w <= surplus_w
        if before is not None and (at - before.at).total_seconds() <= 10:
            allowed_w = max(before.limit_w, FIRM_W) + 100 * (at - before.at).total_seconds()
            assert climb.limit_w <= allowed_w
        else:
            assert climb.limit_w <= max(own_w, FIRM_W)


def test_the_floor_is_the_firm_level_of_the_site(tmp_path: Path) -> None:
    """Where the source does not say otherwise."""
    path = tmp_path / "site.yaml"
    path.write_text(
        "name: t\npower: {firm_w: 20000}\nnodes: [{count: 1, gpus: 4, simulated: true}]\n", encoding="utf-8"
    )
    told = {"type": "surplus", "grid": PLACE, "site": PLACE, "rise_w_per_s": 5}
    floors = []
    for more in ({}, {"floor_w": 7.0}):
        source = open_signal(SignalSettings.model_validate(told | more), load_site(path), tmp_path)
        assert isinstance(source, Surplus)
        floors.append(source._options.floor_w)
    assert floors == [20_000.0, 7.0]


def test_what_makes_no_sense_is_refused_by_name() -> None:
    """Also inside of one of its meters."""
    with pytest.raises(SettingsError, match=r"signals: solar: grid.host"):
        open_source(
            "solar",
            {"grid": {"host": "", "map": "sunspec"}, "site": PLACE, "rise_w_per_s": 1, "floor_w": 1},
            base=Path(),
            reaction_s=30,
        )
