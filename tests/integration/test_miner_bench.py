"""The measurement of a miner LAN, small: its parts work, and exactly those who do not obey are named."""

from __future__ import annotations

import pytest

from benchmarks.miners import Plan, faults_of, measure, summed_up
from scheduler.core.obedience import Rules
from tests.miners.emulator import Fault

HASTY = Rules(cut_after_s=5.0)


@pytest.mark.parametrize("pdus, cut", [("none", 0), ("mixed", 3)])
def test_exactly_who_does_not_obey_is_named_and_cut(pdus: str, cut: int) -> None:
    """One hangs, one lies, one drops its sockets: what they draw is counted; where they have outlets, it ends."""
    plan = Plan(
        machines=12,
        share=1 / 4,
        pdus=pdus,
        ramp_s=0.1,
        settle_s=0.0,
        within_s=HASTY.cut_after_s,
        patience_s=60.0,
        rules=HASTY,
    )
    (seen,) = measure(plan, runs=1)

    assert (seen["faulty"], seen["named"], seen["cut"], seen["wrongly"]) == (3, 3, cut, 0)
    assert (seen["at_rest_s"] is None) is (pdus == "none")
    assert seen["asleep_s"] is not None
    assert (seen["counted_share"] or 0.0) >= 0.99


def test_faults_are_spread_over_firmwares() -> None:
    """Each kind of fault, on each of the four that follow each other in the LAN."""
    names = [str(n) for n in range(1000)]
    faults = faults_of(names, 0.05)

    assert len(faults) == 50
    assert {(int(name) % 4, fault) for name, fault in faults.items()} == {
        (firmware, fault) for firmware in range(4) for fault in (Fault.HANGS, Fault.DEAF, Fault.DROPS)
    }


def test_a_figure_that_one_run_lacks_is_not_made_up() -> None:
    """A median of those that had it would hide the worst."""
    figures = summed_up(
        [{"asleep_s": 1.0, "named": 3}, {"asleep_s": None, "named": 2}, {"asleep_s": 2.0, "named": 3}]
    )

    assert figures == {"asleep_s": None, "asleep_worst_s": None, "named": 3}
