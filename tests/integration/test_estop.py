"""The emergency stop on a whole site: it works without a scheduler, and holds until a person releases it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from barq.cli import app
from barq.site import emergency
from tests.site_harness import RunningSite, running_site
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(180)
FIRM_W = 4600.0
PATIENCE_S = 60.0
GROUPS = ("node-1", "node-2", "miners")


def all_hold(site: RunningSite) -> bool:
    """Whether every guard holds to a stop."""
    return all(site.report(g).stop is not None for g in GROUPS)


def test_a_stop_needs_no_scheduler_and_holds_until_it_is_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scheduler dead: all fall at once; scheduler back: nothing rises; released: work goes on where it was saved."""
    monkeypatch.setattr(emergency, "GUARD_TIMEOUT_S", PATIENCE_S)  # the machine is busy with a whole site
    monkeypatch.setattr(emergency, "FALL_TIMEOUT_S", PATIENCE_S)
    with running_site(tmp_path / "state") as site:
        flexible = site.submit("counter.py", "--steps=1000000", "--step-ms=5", name="flex", gpus=4)
        firm = site.submit("counter.py", "--steps=1000000", "--step-ms=5", name="firm", flex=0)
        for job_id in (flexible, firm):
            site.wait_state(job_id, "RUNNING")
        wait_for(lambda: site.report("miners").draw_w > 1000.0, timeout_s=PATIENCE_S, what="miners at work")

        keeper = site.kill("keeper", signal.SIGSTOP)
        try:
            site.kill("scheduler")
            state = ["--state", str(site.state)]
            stopped = CliRunner().invoke(app, ["estop", *state, "--reason", "smoke in hall 2"])
            assert stopped.exit_code == 0, stopped.output
            assert all_hold(site)
            wait_for(
                lambda: site.draw_w() <= FIRM_W, timeout_s=PATIENCE_S, what="a draw within the firm level"
            )
            site.wait_steps(firm, 20, timeout_s=PATIENCE_S)
        finally:
            assert keeper.send(signal.SIGCONT)

        reason = wait_for(
            lambda: _why(site, flexible), timeout_s=PATIENCE_S, what="the scheduler back, and the job saved"
        )
        assert "smoke in hall 2" in str(reason)
        wait_for(
            lambda: all(node["estop"] for node in site.client.nodes()),
            timeout_s=PATIENCE_S,
            what="the stop of all guards is shown",
        )
        assert all_hold(site)
        assert site.draw_w() <= FIRM_W
        stop = site.client.power().get("estop")
        assert stop is not None

        released = CliRunner().invoke(app, ["estop", "release", *state, "--reason", "false alarm"])
        assert released.exit_code == 0, released.output
        site.wait_state(flexible, "RUNNING", timeout_s=PATIENCE_S)
        site.wait_steps(flexible, 10, timeout_s=PATIENCE_S)
        steps = [s["step"] for s in site.steps(flexible)]
        assert steps == list(range(len(steps)))
        assert site.client.job(firm)["attempts"] == 1
        wait_for(
            lambda: not any(site.report(g).stop for g in GROUPS),
            timeout_s=PATIENCE_S,
            what="all are released",
        )


def _why(site: RunningSite, job_id: str) -> str | None:
    """Why it waits, once it is paused for the stop."""
    answer = site.client.why(job_id)
    reason = answer["reason"]
    paused = answer["state"] == "PAUSED" and reason is not None and reason["code"] == "EmergencyStop"
    return reason["text"] if paused and reason is not None else None
