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
from scheduler.sim.trial import METER, Played, Tally, main, metered_trial, trial, trial_case

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


def test_runs_side_by_side_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """Each in a process of its own."""
    assert main(["--seed", "3", "--runs", "2", "--minutes", "3", "--processes", "2"]) == 0
    assert capsys.readouterr().out == "0.1 simulated hours with faults; broken promises: 0 (none)\n"


def test_a_soak_says_how_far_it_is_and_tells_what_broke_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Once a minute; nobody has to wait for the end."""
    clock = iter([0.0, 30.0, 60.0, 70.0, 120.0])
    tally = Tally(5, 600.0, clock=lambda: next(clock))
    tally.add(Played(0, "", 0.0))
    assert capsys.readouterr() == ("", "")
    tally.add(Played(1, "it broke; again: so", 0.0))
    said = capsys.readouterr()
    assert said.out == "seed 1: it broke; again: so\n"
    hours = "20.0 simulated hours with faults; broken promises: 1 (one in 20.0 hours)"
    assert said.err == f"2 of 5 runs, 2 min left; {hours}\n"
    tally.add(Played(2, "", 0.0))
    assert capsys.readouterr() == ("", "")
    tally.add(Played(3, "", 0.0))
    assert capsys.readouterr().err.startswith("4 of 5 runs, 0 min left; 40.0 simulated hours")


@pytest.mark.parametrize(
    "words", [["--runs", "0"], ["--runs", "x"], ["--processes", "-1"], ["--minutes", "inf"]]
)
def test_a_soak_of_nothing_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With the option and what it takes."""
    with pytest.raises(SystemExit):
        main(words)
    assert words[0] in capsys.readouterr().err
