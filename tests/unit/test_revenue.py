"""What mining brings by the MWh: of machines, fleets and partners, and what a site makes of it."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import pytest

from scheduler.core.decide import PowerAware
from scheduler.core.hashprice import ChainFigures
from scheduler.core.inventory import Condition, MachineDetail
from scheduler.core.modes import DivisionCode, Revenue
from scheduler.core.partners import HashpriceShare, Partner, PoolTerms
from scheduler.core.revenue import (
    earning,
    earning_of_machine,
    efficiency,
    fleet_efficiency,
    not_usable,
    priced,
)
from scheduler.core.snapshot import Snapshot
from scheduler.wire import dumps, loads
from tests.builders import T0, site
from tests.chain import figures, mines

NODE_W = 600 + 4 * 55
OLD = T0 - timedelta(hours=30)
FOLLOWS = Partner(partner_id="a", groups=("a",), follows=HashpriceShare())


def machine(joule_per_th: float | None) -> MachineDetail:
    """One of a fleet."""
    return MachineDetail(
        miner_id="m",
        address="",
        condition=Condition.RUNNING,
        nameplate_w=3500,
        rest_w=20,
        target_w=3500,
        draw_w=3400,
        joule_per_th=joule_per_th,
    )


def by_revenue(*joules_per_th: float, chain: ChainFigures | None, ai: int = 10_000) -> Snapshot:
    """A site of one partner whose price follows hashprice; four GPUs that a job waits for."""
    built = site(partners=(FOLLOWS,), mode=Revenue(gpu_h_micro=ai)).node("n").miners("a", max_w=9000.0)
    mines(built, "a", *joules_per_th).limit_w(NODE_W + 2000).job("j", gpus=4)
    return replace(built.snapshot(), chain=chain)


def starts(snapshot: Snapshot) -> list[str]:
    """Jobs that are started."""
    return sorted(a.job_id for a in PowerAware().decide(snapshot).attempts.values())


def test_a_machine_brings_what_its_live_efficiency_makes_of_hashprice() -> None:
    """17.5 J/TH at a hashprice of 38.0 come to 90.5 per MWh, less two percent for the pool."""
    found = earning_of_machine(machine(17.5), figures(), T0, pool=PoolTerms(fee_ppm=20_000))

    assert found.micro_per_mwh is not None
    assert found.micro_per_mwh / 1e6 == pytest.approx(90.5 * 0.98, rel=2e-3)
    assert found.why == ""


@pytest.mark.parametrize("unknown", [None, 0.0, -3.0, math.nan, math.inf])
def test_a_machine_that_was_not_measured_says_so(unknown: float | None) -> None:
    """No nameplate takes its place."""
    found = earning(unknown, figures(), T0)

    assert found.micro_per_mwh is None
    assert "was not measured" in found.why


def test_stale_and_missing_figures_say_nothing_and_why() -> None:
    """With their age, and how long they are trusted."""
    assert (
        not_usable(figures(as_of_at=OLD), T0) == "the figures of desk are 30.0 h old, and trusted for 24.0 h"
    )
    assert earning(17.5, figures(as_of_at=OLD), T0).micro_per_mwh is None
    assert "nobody has told" in earning(17.5, None, T0).why


def test_a_fleet_counts_by_watts_and_says_how_much_of_it_is_known() -> None:
    """Hashes of all over the energy of all, not the mean of figures."""
    found = efficiency([(3000.0, 15.0), (1000.0, 30.0), (1000.0, 0.0)])

    assert found.joule_per_th == pytest.approx(4000 / (3000 / 15 + 1000 / 30))
    assert found.known_share == pytest.approx(0.8)
    assert efficiency([]).joule_per_th is None


def test_a_fleet_that_sleeps_is_ranked_by_what_it_was() -> None:
    """Or nobody would ever wake it."""
    group = mines(site().miners("a"), "a", 20.0, 20.0).groups["a"]

    assert fleet_efficiency([group]).joule_per_th == pytest.approx(20.0)


def test_a_partner_pays_its_part_and_no_less_than_agreed() -> None:
    """Half of 79.2 per MWh at 20 J/TH, or the least that was agreed on."""
    groups = mines(site().miners("a"), "a", 20.0).groups
    half = replace(FOLLOWS, follows=HashpriceShare(share_ppm=500_000))
    least = replace(FOLLOWS, follows=HashpriceShare(share_ppm=1, floor_micro_per_mwh=45_000_000))

    [first, second] = priced((half, least), groups, figures())
    assert first.price is not None
    assert first.price.micro_per_mwh / 1e6 == pytest.approx(79.2 / 2, rel=2e-3)
    assert first.price.source == "hashprice by desk"
    assert second.price is not None
    assert second.price.micro_per_mwh == 45_000_000


def test_by_revenue_a_thrifty_fleet_goes_before_ai_and_a_wasteful_one_behind() -> None:
    """AI brings about 30 per MWh here; hashing 79 at 20 J/TH and 16 at 100."""
    assert starts(by_revenue(20.0, 20.0, chain=figures())) == []
    assert starts(by_revenue(100.0, chain=figures())) == ["j"]


@pytest.mark.parametrize(
    "joules, chain, words, remedy",
    [
        ((20.0,), figures(as_of_at=OLD), "(hashprice by desk) is 30.0 h old, and trusted for 24.0 h", "hashprice set"),
        ((20.0,), None, "nobody has told the price of bitcoin", "barq hashprice set"),
        ((0.0,), figures(), "make up 0% of its fleet", "let them run"),
        ((20.0, 0.0, 0.0), figures(), "make up 33% of its fleet", "price_per_mwh"),
    ],
)  # fmt: skip
def test_what_cannot_be_ranked_leaves_ai_first_and_says_why(
    joules: tuple[float, ...], chain: ChainFigures | None, words: str, remedy: str
) -> None:
    """Stale, missing, or of a fleet that was not measured."""
    snapshot = by_revenue(*joules, chain=chain)
    reason = PowerAware().decide(snapshot).sharing[0]

    assert starts(snapshot) == ["j"]
    assert reason.code == DivisionCode.NOT_RANKED
    assert words in reason.text
    assert "AI comes first meanwhile" in reason.text
    assert remedy in reason.remedy


def test_a_recorded_snapshot_decides_the_same() -> None:
    """The figures travel in it."""
    snapshot = by_revenue(20.0, chain=figures())
    again = loads(Snapshot, dumps(snapshot))

    assert again.chain == figures()
    assert PowerAware().decide(again).miners_w == PowerAware().decide(snapshot).miners_w
