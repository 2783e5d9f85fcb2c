"""`barq commission` walks through a site: what it finds, and how it gives everything back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from barq.commissioning.fragment import document
from barq.commissioning.walk import Walk, load_of
from barq.commissioning.watching import Interrupted
from barq.errors import Refused, Unreachable
from barq.request import JobRequest
from tests.commissioned_site import BEGAN_S, CommissionedSite, facts, node

MINERS = {"miners": 4000.0}


def measured(site: CommissionedSite, falls: int = 2) -> dict[str, Any]:
    """What is written after a whole walk."""
    told = site.told
    walk = Walk(told, site.watcher(), tell=lambda _: None, falls=falls)
    found = walk.run(list(told.nodes.values()), list(told.miners.values()))
    return document(found, told, {"nodes": {}, "miners": {}}, measured_at="2026-03-01T12:00:00+00:00")


def is_given_back(site: CommissionedSite) -> bool:
    """Whether nothing of the walk is left on the site."""
    return not site.limits and all(job["state"] == "CANCELLED" for job in site.job_of.values())


def test_a_walk_finds_what_the_site_is_like() -> None:
    """Overhead and base, though the site file has others; nameplate and ramps of the miners; times of the job."""
    site = CommissionedSite(facts(2, MINERS))
    found = measured(site)

    assert found["figures"]["overhead"] == pytest.approx(1.32, abs=0.01)
    assert found["figures"]["base_w"]["node"] == pytest.approx(650.0, rel=0.02)
    assert found["fit"]["rmse_w"] < 10
    assert found["miners"]["miners"]["of_nameplate"] == pytest.approx(1.0, abs=0.01)
    assert found["miners"]["miners"]["meter_per_report"] == pytest.approx(1.0, abs=0.01)
    assert found["miners"]["miners"]["rise"]["ramp_w_per_s"] == pytest.approx(500.0, rel=0.1)
    assert found["figures"]["fall_s"] <= 4.0
    assert found["figures"]["restart_s"] == pytest.approx(3.0, abs=1.0)
    assert [step["name"] for step in found["steps"] if step["group"] == "node-2"] == [
        "start",
        "cap 300 W",
        "cap 200 W",
        "suspend",
        "resume",
        "leave",
    ]
    assert is_given_back(site)


@pytest.mark.parametrize("seed", range(3))
def test_a_noisy_meter_that_lags_gives_the_same_within_its_error(seed: int) -> None:
    """Noise of 10 W and a lag of 2 s: the file says both."""
    site = CommissionedSite(facts(1, MINERS), noise_w=10.0, lag_s=2.0, seed=seed)
    found = measured(site)

    assert found["figures"]["overhead"] == pytest.approx(1.32, abs=0.05)
    assert found["figures"]["base_w"]["node"] == pytest.approx(650.0, rel=0.12)
    assert 0.5 <= found["meter"]["lag_s"] <= 3.0
    assert 4.0 <= found["meter"]["noise_w"] <= 20.0


def test_every_limit_of_the_walk_is_below_what_stands() -> None:
    """It only ever asks for less than the site may draw."""
    site = CommissionedSite(facts(1, {"north": 30_000.0, "south": 30_000.0}))
    measured(site, falls=1)

    assert max(site.set_w) <= site.site_limit_w


def test_miners_are_woken_for_their_own_steps_only() -> None:
    """Watts that a job has not taken yet, or gave back, are not theirs: machines rest as long as they must."""
    site = CommissionedSite(facts(2, MINERS))
    measured(site, falls=2)

    assert site.woken == 2


def stranger(site: CommissionedSite) -> None:
    """Somebody submits a job."""
    site.others.append({"id": "twin-99", "state": "RUNNING"})


def less_power(site: CommissionedSite) -> None:
    """The grid takes some away."""
    site.site_limit_w = 1500.0


def stopped(site: CommissionedSite) -> None:
    """Somebody stops the site."""
    site.stop = {"engaged": True}


def blind(site: CommissionedSite) -> None:
    """The meter falls silent."""
    site.quality = "estimated"


def silent(site: CommissionedSite) -> None:
    """A guard is not heard any more."""
    site.reachable = False


def failing(site: CommissionedSite) -> None:
    """The job fails."""
    for job in site.job_of.values():
        job["state"] = "FAILED"


@pytest.mark.parametrize("after_s", [14.0, 40.0, 62.0])
@pytest.mark.parametrize(
    "event, says",
    [
        (stranger, "twin-99"),
        (less_power, "limit"),
        (stopped, "emergency stop"),
        (blind, "estimated"),
        (silent, "silent"),
    ],
)
def test_what_comes_between_ends_it_and_all_is_given_back(
    event: Callable[[CommissionedSite], None], says: str, after_s: float
) -> None:
    """Wherever the walk is: nothing of it stays, and nothing is written."""
    site = CommissionedSite(facts(1, MINERS))
    site.at(after_s, lambda: event(site))

    with pytest.raises(Interrupted, match=says):
        measured(site, falls=1)
    assert is_given_back(site)


def test_ctrl_c_gives_all_back() -> None:
    """At the worst moment: the job runs under a limit."""
    site = CommissionedSite(facts(1))

    def pressed() -> None:
        raise KeyboardInterrupt

    site.at(20.0, pressed)
    with pytest.raises(KeyboardInterrupt):
        measured(site)
    assert site.job_of
    assert is_given_back(site)


def test_a_job_that_ends_by_itself_ends_the_walk() -> None:
    """The remedy is its log."""
    site = CommissionedSite(facts(1))
    site.at(13.0, lambda: failing(site))

    with pytest.raises(Interrupted) as refusal:
        measured(site)
    assert "barq logs twin-1" in str(refusal.value)


def test_a_change_that_does_not_come_ends_it_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that is never started, for whatever reason of the site."""
    site = CommissionedSite(facts(1))
    monkeypatch.setattr(site, "_lead", lambda *_: None)

    with pytest.raises(Interrupted, match="the job to start took longer than 120 s"):
        measured(site)
    assert is_given_back(site)


def test_what_cannot_be_given_back_ends_by_itself_and_a_person_hears_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The API is gone when the walk ends."""
    site, told = CommissionedSite(facts(0)), list[str]()

    def gone(**_: object) -> None:
        raise Unreachable("no site answers", remedy="see that it is up")

    site.at(12.0, lambda: stopped(site))
    monkeypatch.setattr(site, "release_limits", gone)
    with pytest.raises(Interrupted):
        Walk(site.told, site.watcher(window_s=30.0), tell=told.append).run([], [])

    assert "the limit ends by itself at 1970-01-12" in told[-1]
    site.sleep(600.0)
    assert not site.limits


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"mode": "shares"}, "mode = shares"),
        ({"site_limit_w": 1500.0}, "needs"),
        ({"others": [{"id": "twin-7", "state": "RUNNING"}]}, "twin-7"),
    ],
)
def test_a_site_that_is_not_fit_is_refused_before_anything_is_touched(
    changes: dict[str, Any], says: str
) -> None:
    """With numbers, and with what to do."""
    site = CommissionedSite(facts(1))
    for name, value in changes.items():
        setattr(site, name, value)

    with pytest.raises(Refused, match=says):
        measured(site)
    assert not site.set_w


def test_the_job_is_one_that_a_site_takes() -> None:
    """On the node that is measured, and for its GPUs."""
    request = JobRequest.model_validate(load_of(node(3)))

    assert (request.resources.gpus, request.resources.node) == (4, "node-3")


def test_caps_are_no_lower_than_jobs_run() -> None:
    """Whole steps of 5 W, each once, and none where nothing may be capped."""
    assert node().caps_w() == [300.0, 200.0]
    assert node(floor_w=420.0, tdp_w=700.0).caps_w() == [525.0, 420.0]
    assert node(floor_w=400.0).caps_w() == []


def test_several_groups_of_miners_are_seen_by_their_own_reports() -> None:
    """The meter sees them fall together; what each is worth at the meter it cannot say."""
    site = CommissionedSite(facts(0, {"north": 3000.0, "south": 3000.0}))
    found = measured(site, falls=1)

    assert {gid: one["of_nameplate"] for gid, one in found["miners"].items()} == {"north": 1.0, "south": 1.0}
    assert {one["meter_per_report"] for one in found["miners"].values()} == {None}
    assert 1.0 <= found["figures"]["fall_s"] <= 4.0


def test_machines_are_given_their_least_times() -> None:
    """On at least `min_on_s`, off at least `min_off_s`; the limits outlive them."""
    told = facts(0, {"miners": 3000.0})
    slow = replace(told.miners["miners"], min_on_s=600.0, min_off_s=300.0)
    site = CommissionedSite(replace(told, miners={"miners": slow}))
    found = measured(site, falls=1)

    assert site.now_s - BEGAN_S > 900.0
    assert found["miners"]["miners"]["of_nameplate"] == 1.0
    assert is_given_back(site)
