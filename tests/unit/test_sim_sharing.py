"""Simulated hours of AI work and mining partners, under each mode."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from scheduler.core.modes import AiFirst, Mode, Revenue, Shares, Threshold
from scheduler.core.partners import HashpriceShare, Partner as Owner, Price
from scheduler.sim.outcome import RunOutcome
from scheduler.sim.site_file import load_sim_site
from tests.simulated import SITE, busy_day, energy_wh, job, power, simulated

PARTNERS = Path(__file__).parents[2] / "configs" / "sites" / "partners.yaml"
REVENUE = PARTNERS.with_name("revenue.yaml")
HOURS = 3.0
PRICE = Price(micro_per_mwh=50_000_000, source="contract")
OWNERS = (
    Owner(partner_id="north", groups=("m1",), weight=1, tier=2, price=PRICE),
    Owner(partner_id="south", groups=("m2",), weight=3, floor_w=500, price=PRICE),
)
MODES: dict[str, Mode] = {
    "ai-first": AiFirst(),
    "shares": Shares(mining=0.3),
    "revenue": Revenue(gpu_h_micro=10_000),
    "threshold": Threshold(from_w=8000, reserve_w=500),
}


def run_under(mode: Mode) -> RunOutcome:
    """Three busy hours on the small site, its miners with two partners."""
    jobs, trace = busy_day(3, hours=HOURS, jobs_per_hour=30.0)
    return simulated(jobs, trace, hours=HOURS, site=replace(SITE, owners=OWNERS, mode=mode))


def mined_wh(outcome: RunOutcome) -> float:
    """By all partners."""
    return energy_wh(outcome, "site_w") - energy_wh(outcome, "ai_w", "idle_w")


@pytest.fixture(scope="module")
def outcomes() -> dict[str, RunOutcome]:
    """One run for each mode."""
    return {name: run_under(mode) for name, mode in MODES.items()}


@pytest.mark.parametrize("name", MODES)
def test_the_limit_is_kept_under_every_mode(name: str, outcomes: dict[str, RunOutcome]) -> None:
    """Outside the reaction time, and all watts are accounted for."""
    outcome = outcomes[name]
    limits = [(i.starts_s, i.limit_w) for i in outcome.intervals]
    for index, i in enumerate(outcome.intervals):
        since_s = i.starts_s - outcome.reaction_s
        lately_w = [
            w for n, (s, w) in enumerate(limits[: index + 1]) if s >= since_s or limits[n + 1][0] > since_s
        ]
        assert i.site_w <= max(lately_w) + 1e-6
        assert i.site_w == pytest.approx(i.ai_w + i.idle_w + sum(i.miners_w.values()))


def test_the_modes_differ_in_what_is_mined(outcomes: dict[str, RunOutcome]) -> None:
    """Shares and revenue give mining more than AI first does, a threshold less."""
    found = {name: mined_wh(outcome) for name, outcome in outcomes.items()}

    assert found["threshold"] < found["ai-first"] < found["shares"] < found["revenue"]
    assert energy_wh(outcomes["shares"], "ai_w") < energy_wh(outcomes["ai-first"], "ai_w")


def test_partners_get_their_weights_whatever_the_size_of_their_groups() -> None:
    """3:1 of what is mined where the machines of both can take it."""
    site = replace(SITE, owners=OWNERS)
    outcome = simulated([], power((0.0, 10_000.0)), hours=0.2, site=site)
    last = outcome.intervals[-1].miners_w

    assert last["m2"] == pytest.approx(3 * last["m1"], rel=0.01)


def test_miners_rise_along_the_ramp_of_the_site() -> None:
    """No second of the run adds more watts than the ramp says."""
    site = replace(SITE, owners=OWNERS, mining_ramp_up_w_per_s=50.0)
    outcome = simulated([], power((0.0, 7700.0), (60.0, 10_000.0)), hours=0.1, site=site)
    drawn = [(i.starts_s, sum(i.miners_w.values())) for i in outcome.intervals]

    assert drawn[-1][1] == pytest.approx(max(w for _, w in drawn))
    assert drawn[-1][1] > 1500
    begin_s, begin_w = next((s, w) for s, w in drawn if s >= 60.0)
    assert all(w - begin_w <= 50.0 * (s - begin_s + 1.0) + 1e-6 for s, w in drawn if s >= 60.0)


def test_a_site_file_brings_its_partners_and_mode() -> None:
    """The example's, as `barq up` reads them; on the grid's site weights are 5:3:2."""
    policy = load_sim_site(PARTNERS).policy()

    assert [(p.partner_id, p.weight, p.groups) for p in policy.partners] == [
        ("north", 3, ("miners-north",)),
        ("south", 2, ("miners-south",)),
    ]
    assert policy.mode == Shares(mining=0.2)
    assert policy.mining_ramp_up_w_per_s == 2000.0
    done = simulated([job("a", gpus=4)], power((0.0, 60_000.0)), hours=0.5, site=load_sim_site(PARTNERS))
    assert done.jobs[0].finished_s is not None


def test_a_site_file_brings_its_figures_for_all_the_time() -> None:
    """Hashing at 90 per MWh goes before AI at 68, and behind it where nobody knows what hashing brings."""
    site = replace(load_sim_site(REVENUE), mode=Revenue(gpu_h_micro=30_000))
    site = replace(site, owners=tuple(replace(o, follows=HashpriceShare()) for o in site.owners))
    told, untold = (
        simulated([job("a", gpus=4)], power((0.0, 30_000.0)), hours=0.5, site=replace(site, chain=chain))
        for chain in (site.chain, None)
    )

    assert told.jobs[0].finished_s is None
    assert untold.jobs[0].finished_s is not None
