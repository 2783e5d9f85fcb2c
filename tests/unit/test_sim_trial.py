"""Runs with faults: the promises hold, and a broken one is found and can be repeated."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from scheduler.core import proving
from scheduler.sim.fault_rates import Fault, FaultRates
from scheduler.sim.faults import Mishaps
from scheduler.sim.faulty import Breach, Faulty
from scheduler.sim.site import SimSite
from scheduler.sim.trial import METER, metered_trial, trial, trial_case

CALM = FaultRates(order_lost=0.0, order_late=0.0, report_lost=0.0, report_late=0.0, save_fails=0.0, per_h=())


@pytest.mark.parametrize("seed", range(4))
def test_the_promises_hold_whatever_goes_wrong(seed: int) -> None:
    """Ten minutes of lost messages, dead hosts, lying miners and a scheduler that comes and goes."""
    outcome = trial(seed, minutes=10.0)
    assert any(j.kept_gpu_s > 0 for j in outcome.jobs)


def test_a_run_with_faults_repeats_to_the_byte() -> None:
    """Its seed is all it needs."""
    first, second = (replace(trial(11, minutes=4.0), wall_s=0.0) for _ in range(2))
    assert first == second


def test_miners_that_do_not_obey_are_found_out_by_the_meter_alone() -> None:
    """Without the meter the site breaks its promise, and the run says how to repeat it; with it, others make room."""
    stubborn = ((Fault.STUBBORN, 60.0, 600.0),)
    rates = replace(CALM, per_h=stubborn)
    trial(2, minutes=10.0, rates=rates)
    with pytest.raises(
        Breach, match=r"the site draws .* python -m scheduler\.sim\.trial --seed 2 --minutes 10"
    ):
        trial(2, minutes=10.0, rates=rates, has_meter=False)


@pytest.mark.parametrize("seed", range(2))
def test_the_limit_is_kept_by_a_margin_that_the_meter_proved(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same faults, a meter that lies now and then, work at its caps, and a hall that its file knows badly."""
    monkeypatch.setattr(proving, "PROVE_S", 60.0)
    trusted = replace(METER, give_s=60.0)
    assert metered_trial(seed, minutes=10.0, trim=trusted) > 60.0


def test_faults_come_from_the_seed_alone() -> None:
    """In order of time, and never two that deceive the meter at once."""
    drawn = [Mishaps(5, FaultRates()).spans(["a", "b"], ["m"], 36_000.0) for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert [s.starts_s for s in drawn[0]] == sorted(s.starts_s for s in drawn[0])
    assert {s.fault for s in drawn[0]} == set(Fault)
    lies = [s for s in drawn[0] if s.fault in (Fault.LIE, Fault.BLIND, Fault.STUBBORN)]
    assert all(late.starts_s > early.ends_s for early, late in pairwise(lies))


def test_faults_need_guards_that_report_by_themselves() -> None:
    """Else nobody would know a dead one from one that has nothing to say."""
    with pytest.raises(ValueError, match=r"timing\.heartbeat_s"):
        Faulty(replace(trial_case(0, 1.0), site=SimSite()), CALM)
