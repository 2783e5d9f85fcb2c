"""Whatever is killed or stopped, the jobs go on: nothing is restarted, nothing is doubled, and the limit is kept."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from barq.cli import app
from barq.contract import EXIT_PAUSED
from barq.errors import Unreachable
from barq.site import emergency
from barq.site.processes import Process
from barq.site.stopping import read_processes
from scheduler.core.orders import AttemptFacts
from tests.site_harness import RunningSite, running_site
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(180)
FIRM_W = 4600.0
PATIENCE_S = 60.0
GROUPS = ("node-1", "node-2", "miners")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    """One site for all tests of this module."""
    with running_site(tmp_path_factory.mktemp("survival") / "state") as running:
        yield running


@pytest.fixture(autouse=True)
def orders_arrive(site: RunningSite) -> None:
    """No test begins while what another one killed is not back yet: guards would act on their own meanwhile."""
    site.wait_orders(*GROUPS)


@pytest.fixture
def jobs(site: RunningSite) -> Iterator[list[str]]:
    """Four jobs that train, and would for hours."""
    ids = [site.submit("counter.py", "--steps=1000000", f"--seed={i}", name=f"count-{i}") for i in range(4)]
    for job_id in ids:
        site.wait_state(job_id, "RUNNING")
    yield ids
    for job_id in ids:
        site.client.cancel(job_id)
    for job_id in ids:
        site.wait_state(job_id, "CANCELLED", "FAILED")


def processes_of(site: RunningSite, ids: list[str]) -> dict[str, Process]:
    """The job processes, by attempt."""
    attempts = [f"{i}.{site.client.job(i)['attempts']}" for i in ids]
    return {a: site.job_process(a) for a in attempts}


def all_go_on(site: RunningSite, ids: list[str], before: dict[str, Process]) -> None:
    """The same attempts, the same processes, and all make progress."""
    for job_id in ids:
        site.wait_state(job_id, "RUNNING", timeout_s=60.0)
        site.wait_steps(job_id, 10)
    assert processes_of(site, ids) == before, "\n".join(site.said(""))
    for job_id in ids:
        outcomes = [a["outcome"] for a in site.client.attempts(job_id)]
        assert outcomes == [None], "\n".join(site.said(""))
        done = [s["step"] for s in site.steps(job_id)]
        assert done == list(range(len(done)))


def renewed(site: RunningSite, name: str, old: Process) -> bool:
    """Whether the keeper has started it anew."""
    try:
        return site.process(name) != old and site.process(name).is_alive()
    except KeyError:
        return False


def answers(site: RunningSite) -> bool:
    """Whether the API does; on a busy machine one that was killed takes longer than a client asks again."""
    try:
        return bool(site.client.nodes())
    except Unreachable:
        return False


@pytest.mark.parametrize("victim", ["scheduler", "api", "guard:node-1"])
def test_a_killed_process_comes_back_and_adopts_what_runs(
    site: RunningSite, jobs: list[str], victim: str
) -> None:
    """Kill -9 the scheduler, the API or a guard while four jobs train: the same attempts go on."""
    before = processes_of(site, jobs)
    old = site.kill(victim)
    wait_for(lambda: renewed(site, victim, old), timeout_s=60, what=f"{victim} is back")
    wait_for(lambda: answers(site), timeout_s=60, what="the API answers")
    all_go_on(site, jobs, before)


def test_a_killed_agent_comes_back(site: RunningSite, jobs: list[str]) -> None:
    """Kill -9 an agent actor: Ray restarts it, and the same attempts go on."""
    before = processes_of(site, jobs)
    old = site.actor("node-1")
    assert old.send(signal.SIGKILL)
    wait_for(lambda: not old.is_alive(), timeout_s=60)
    all_go_on(site, jobs, before)
    wait_for(
        lambda: all(n["reachable"] for n in site.client.nodes()), timeout_s=60.0, what="all nodes reachable"
    )


def test_a_killed_raylet_costs_no_attempt(site: RunningSite, jobs: list[str]) -> None:
    """Kill -9 the raylet: guards hold the site by their leases, Ray comes back, the same attempts go on."""
    before = processes_of(site, jobs)
    raylet = next(p for name, p in _recorded(site).items() if name.startswith("ray/") and "raylet" in name)
    assert raylet.send(signal.SIGKILL)
    wait_for(lambda: not raylet.is_alive(), timeout_s=60)
    wait_for(
        lambda: all(n["in_fallback"] is False and n["reachable"] for n in site.client.nodes()),
        timeout_s=90.0,
        what="all nodes reachable again",
    )
    all_go_on(site, jobs, before)


def _recorded(site: RunningSite) -> dict[str, Process]:
    return read_processes(site.files)


def test_a_killed_job_is_retried_from_its_last_verified_commit(site: RunningSite) -> None:
    """Kill -9 a job process: its retry budget pays for one more attempt, which resumes from a commit."""
    job_id = site.submit(
        "counter.py", "--steps=1000000", name="killed", retry={"max_failures": 1, "backoff": 0.1}
    )
    site.wait_state(job_id, "RUNNING")
    wait_for(lambda: site.client.job(job_id)["last_commit"], timeout_s=60, what="a commit")
    assert site.job_process(f"{job_id}.1").send(signal.SIGKILL)
    wait_for(lambda: site.client.job(job_id)["attempts"] == 2, timeout_s=60, what="a second attempt")
    site.wait_state(job_id, "RUNNING")
    first, second = site.client.attempts(job_id)
    assert (first["outcome"], first["cause"]) == ("FAILED", "AppError")
    assert second["resumed_step"] is not None
    assert second["resumed_step"] > 0
    assert site.client.job(job_id)["failures"] == 1
    site.client.cancel(job_id)
    site.wait_state(job_id, "CANCELLED")


def test_without_a_scheduler_guards_fall_to_the_firm_level_by_themselves(site: RunningSite) -> None:
    """Scheduler gone for longer than the lease: at or under firm, jobs committed, the firm job goes on."""
    flexible = [
        site.submit("counter.py", "--steps=1000000", "--step-ms=1", name=f"flex-{i}", gpus=2)
        for i in range(3)
    ]
    firm = site.submit("counter.py", "--steps=1000000", "--step-ms=1", name="firm", flex=0)
    for job_id in [*flexible, firm]:
        site.wait_state(job_id, "RUNNING")
    wait_for(lambda: site.draw_w() > FIRM_W, timeout_s=60, what="a draw above the firm level")

    attempts = list(processes_of(site, flexible))
    keeper = site.kill("keeper", signal.SIGSTOP)
    try:
        site.kill("scheduler")
        wait_for(lambda: site.draw_w() <= FIRM_W, timeout_s=60, what="a draw at or under the firm level")
        wait_for(lambda: not _uncommitted(site, attempts), timeout_s=60, what="verified commits of all jobs")
        site.wait_steps(firm, 20)
        assert site.draw_w() <= FIRM_W
    finally:
        assert keeper.send(signal.SIGCONT)

    for job_id in flexible:
        site.wait_state(job_id, "RUNNING", timeout_s=60.0)
        assert [s["step"] for s in site.steps(job_id)] == list(range(len(site.steps(job_id))))
    assert site.client.job(firm)["attempts"] == 1
    for job_id in [*flexible, firm]:
        site.client.cancel(job_id)
        site.wait_state(job_id, "CANCELLED")


def _uncommitted(site: RunningSite, attempts: list[str]) -> list[AttemptFacts | None]:
    """Flexible attempts that have not (yet) left with a verified commit of their last step."""
    facts = {f.attempt_id: f for g in ("node-1", "node-2") for f in site.report(g).attempts}
    return [fact for a in attempts if not _left_well(fact := facts.get(a))]


def _left_well(fact: AttemptFacts | None) -> bool:
    return fact is not None and fact.exit_code == EXIT_PAUSED and fact.committed_step == fact.step


def test_a_flipped_bit_is_found_and_the_commit_before_is_used(site: RunningSite) -> None:
    """A damaged newest checkpoint is set aside, the one before it is resumed from, and `why` says so."""
    job_id = site.submit("counter.py", "--steps=1000000", "--state-mb=0.1", name="damaged")
    site.wait_state(job_id, "RUNNING")
    wait_for(lambda: len(_verified(site, job_id)) >= 2, timeout_s=60, what="two verified commits")
    site.client.hold(job_id)
    site.wait_state(job_id, "HELD")
    newest = max((site.state / "jobs" / job_id / "checkpoints").glob("step-*[0-9]"))
    shard = max((p for p in newest.iterdir() if p.name != "manifest.json"), key=lambda p: p.stat().st_size)
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 0b100
    shard.write_bytes(data)

    site.client.release(job_id)
    site.wait_state(job_id, "RUNNING")
    wait_for(
        lambda: any(c["state"] == "quarantined" for c in site.client.checkpoints(job_id)),
        timeout_s=60,
        what="a quarantined checkpoint",
    )
    resumed = site.client.attempts(job_id)[-1]["resumed_step"]
    assert resumed is not None
    assert 0 < resumed < int(newest.name.removeprefix("step-"))
    events = [e for e in site.client.events(job_id) if e["kind"] == "checkpoint.quarantined"]
    assert len(events) == 1
    assert newest.name in events[0]["text"]
    assert any("damaged" in line for line in site.client.why(job_id)["history"])
    site.client.cancel(job_id)
    site.wait_state(job_id, "CANCELLED")


def _verified(site: RunningSite, job_id: str) -> list[str]:
    return [c["path"] for c in site.client.checkpoints(job_id) if c["state"] == "verified"]


def all_hold(site: RunningSite) -> bool:
    """Whether every guard holds to a stop."""
    return all(site.report(g).stop is not None for g in GROUPS)


def test_a_stop_needs_no_scheduler_and_holds_until_it_is_released(
    site: RunningSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scheduler dead: all fall at once; scheduler back: nothing rises; released: work goes on where it was saved."""
    monkeypatch.setattr(emergency, "GUARD_TIMEOUT_S", PATIENCE_S)  # the machine is busy with a whole site
    monkeypatch.setattr(emergency, "FALL_TIMEOUT_S", PATIENCE_S)
    flexible = site.submit("counter.py", "--steps=1000000", "--step-ms=5", name="flex", gpus=4)
    firm = site.submit("counter.py", "--steps=1000000", "--step-ms=5", name="firm", flex=0)
    for job_id in (flexible, firm):
        site.wait_state(job_id, "RUNNING")
    wait_for(lambda: site.report("miners").draw_w > 1000.0, timeout_s=PATIENCE_S, what="miners at work")

    state = ["--state", str(site.state)]
    _stop_without_a_scheduler(site, state, firm)
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
    for job_id in (flexible, firm):
        site.client.cancel(job_id)
        site.wait_state(job_id, "CANCELLED")


def _why(site: RunningSite, job_id: str) -> str | None:
    """Why it waits, once it is paused for the stop."""
    answer = site.client.why(job_id)
    reason = answer["reason"]
    paused = answer["state"] == "PAUSED" and reason is not None and reason["code"] == "EmergencyStop"
    return reason["text"] if paused and reason is not None else None


def _stop_without_a_scheduler(site: RunningSite, state: list[str], firm: str) -> None:
    """All guards take it and fall, and firm work goes on; then there is a scheduler again."""
    keeper = site.kill("keeper", signal.SIGSTOP)
    try:
        site.kill("scheduler")
        stopped = CliRunner().invoke(app, ["estop", *state, "--reason", "smoke in hall 2"])
        assert stopped.exit_code == 0, stopped.output
        assert all_hold(site)
        wait_for(lambda: site.draw_w() <= FIRM_W, timeout_s=PATIENCE_S, what="a draw within the firm level")
        site.wait_steps(firm, 20, timeout_s=PATIENCE_S)
    finally:
        assert keeper.send(signal.SIGCONT)
