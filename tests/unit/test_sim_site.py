"""Simulated sites from site files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from scheduler.errors import SettingsError
from scheduler.settings import load_site
from scheduler.sim.site import Partner, SimSite
from scheduler.sim.site_file import load_sim_site

GRID = Path(__file__).parents[2] / "configs" / "sites" / "grid.yaml"
PLAIN = """
name: try
power: {firm_w: 9000, margin: 0.01}
nodes: [{count: 3, gpus: 4, simulated: true}]
miners: [{name: m, count: 10, max_w: 620, rest_w: 20, ramp_down_w_per_s: 300, ramp_up_w_per_s: 60, simulated: true}]
"""


def _site(tmp_path: Path, text: str) -> SimSite:
    path = tmp_path / "site.yaml"
    path.write_text(text, encoding="utf-8")
    return load_sim_site(path)


def test_the_file_of_a_real_site_will_do(tmp_path: Path) -> None:
    """Its power and pace are kept; its leases outlast the window."""
    site = _site(tmp_path, PLAIN)
    assert (site.nodes, site.gpus, site.margin, site.standby) == (3, 4, 0.01, None)
    assert site.partners == (Partner(name="m", max_w=6200.0, base_w=200.0, down_s=2.0, up_s=10.0),)
    policy = site.policy()
    assert (policy.fall_s, policy.restart_s) == (3.0, 20.0)
    assert policy.lease_s > 30 * 86_400


def test_a_simulation_adds_what_a_site_finds_out_by_itself(tmp_path: Path) -> None:
    """Standby, notice, the time of a save; and its own leases, if they are to be tried."""
    text = (
        PLAIN
        + "simulation: {notice_s: 300, pace: {save_s: 12}, leases: real, standby: {draw_w: 9, down_s: 1, boot_s: 2}}"
    )
    site = _site(tmp_path, text)
    assert (site.notice_s, site.pace.save_s, site.timing.lease_s, site.timing.heartbeat_s) == (
        300.0,
        12.0,
        15.0,
        1.0,
    )
    assert site.standby is not None
    assert all(s.standby == site.standby for s in site.specs().values() if s.gpus)


@pytest.mark.parametrize(
    "extra, named",
    [
        ("simulation: {pace: {save: 3}}", "simulation.pace.save"),
        ("simulation: {notice_s: -1}", "simulation.notice_s"),
        ("simulation: {leases: none}", "simulation.leases"),
        ("signalz: []", "signalz"),
    ],
)
def test_a_mistake_is_named_with_its_file(tmp_path: Path, extra: str, named: str) -> None:
    """File and field, whether it is the site's or the simulation's."""
    with pytest.raises(SettingsError, match=f"site.yaml: {named}"):
        _site(tmp_path, PLAIN + extra)


def test_nodes_of_several_kinds_are_refused(tmp_path: Path) -> None:
    """A simulated site has one kind of node, and says so."""
    text = PLAIN.replace("nodes: [", "nodes: [{prefix: big, count: 1, gpus: 8, simulated: true}, ")
    with pytest.raises(SettingsError, match="2 kinds of node"):
        _site(tmp_path, text)


def test_the_default_is_the_site_of_the_standard_grid() -> None:
    """512 GPUs of 400 W, 400 kW of miners at 5:3:2, 160 kW firm; and the example file says the same, to 1 ms."""
    site = SimSite()
    written = load_sim_site(GRID)
    assert replace(written, timing=replace(written.timing, fall_s=0.0)) == site
    assert site.total_gpus == 512
    assert [p.max_w for p in site.partners] == [200_000.0, 120_000.0, 80_000.0]
    assert (site.firm_w, site.overhead, site.reaction_s, site.notice_s) == (160_000.0, 1.25, 30.0, 0.0)


def test_a_site_starts_from_the_file_of_a_simulation(tmp_path: Path) -> None:
    """`barq up` reads the same file, and passes over what only a simulation needs; any other stray key is named."""
    path = tmp_path / "site.yaml"
    path.write_text(PLAIN + "simulation: {notice_s: 300}", encoding="utf-8")
    assert load_site(path).name == "try"
    path.write_text(PLAIN + "simulations: {notice_s: 300}", encoding="utf-8")
    with pytest.raises(SettingsError, match="simulations"):
        load_site(path)
