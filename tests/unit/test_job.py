"""The job inside a training loop: where it starts, when it commits, what it says, and what it refuses."""

from __future__ import annotations

import logging
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from barq import contract
from barq.checkpoint import begin, newest_verified, verify
from barq.contract import Action, ContractError, JobPhase, JobStatus, read_status
from barq.job import Job, JobMisuse
from barq.saving import WorldChanged
from tests.job_by_hand import Site, Sum, run


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A site for one job; the gate looks at every boundary."""
    handler = signal.getsignal(signal.SIGUSR1)
    monkeypatch.setattr("barq.pause_gate.LOOK_EVERY_S", 0.0)
    monkeypatch.setattr("barq.status_report.PROGRESS_EVERY_S", 0.0)
    yield Site(tmp_path, monkeypatch)
    signal.signal(signal.SIGUSR1, handler)


def test_a_paused_run_ends_where_an_undisturbed_one_does(site: Site) -> None:
    """Three attempts, paused twice, give bit for bit the sum of one; the random generator goes on as well."""
    random.seed(1)
    undisturbed = Sum()
    for _ in range(30):
        undisturbed.step()

    random.seed(1)
    for attempt, pause_at in (("1", 9), ("2", 17)):
        site.start_attempt(attempt)
        with pytest.raises(SystemExit) as ended:
            run(Sum(), 30, pause_at, site)
        assert ended.value.code == contract.EXIT_PAUSED
        assert site.commits()[-1] == f"step-{pause_at + 1:09d}"
        random.seed(99)
    site.start_attempt("3")
    state = Sum()
    job = run(state, 30)

    assert state.total == undisturbed.total
    assert job.step == 30


def test_the_status_tells_each_phase(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """From running over saving to committed and done, with the step, the commit and how long it took."""
    told: list[JobStatus] = []
    monkeypatch.setattr("barq.status_report.write_status", lambda directory, status: told.append(status))
    run(Sum(), 2)

    phases = [(status.state, status.step, status.commit) for status in told]
    last = "step-000000002"
    assert phases == [
        (JobPhase.RUNNING, 0, None),
        (JobPhase.RUNNING, 1, None),
        (JobPhase.RUNNING, 2, None),
        (JobPhase.SAVING, 2, None),
        (JobPhase.COMMITTED, 2, last),
        (JobPhase.DONE, 2, last),
    ]
    assert told[0].save_s is None
    assert told[-1].save_s is not None


def test_the_committed_status_of_a_pause_stands(site: Site) -> None:
    """After exit code 85 the supervisor reads which commit answers which request."""
    with pytest.raises(SystemExit):
        run(Sum(), 9, 4, site)

    status = read_status(site.status_dir)
    assert status is not None
    assert (status.seq, status.state, status.step, status.commit) == (
        5,
        JobPhase.COMMITTED,
        5,
        "step-000000005",
    )


def test_a_request_that_stood_before_the_start_is_obeyed_first(site: Site) -> None:
    """A job told to leave while it was importing takes no step."""
    state = Sum()
    site.ask(1, Action.SAVE_AND_EXIT)
    with pytest.raises(SystemExit):
        run(state, 5)

    assert state.total == 0
    assert site.commits() == ["step-000000000"]


def test_held_saved_and_resumed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A held job that is told to save stays held until it is told to resume."""
    requests = iter([(2, Action.SAVE_AND_CONTINUE), (3, Action.SUSPEND), (4, Action.RESUME)])
    told: list[tuple[int, JobPhase]] = []

    def next_request(seconds: float) -> None:
        status = read_status(site.status_dir)
        assert status is not None
        told.append((status.seq, status.state))
        site.ask(*next(requests))

    monkeypatch.setattr("barq.pause_gate.time.sleep", next_request)
    site.ask(1, Action.SUSPEND)
    run(Sum(), 3)

    held = JobPhase.SUSPENDED
    assert told == [(1, held), (2, held), (3, held)]
    assert site.commits() == ["step-000000000", "step-000000003"]


def test_a_resume_that_finds_nobody_held_is_acknowledged(site: Site) -> None:
    """The supervisor sees its number in the status and goes on."""
    site.ask(7, Action.RESUME)
    run(Sum(), 1)

    status = read_status(site.status_dir)
    assert status is not None
    assert (status.seq, status.state) == (7, JobPhase.DONE)


def test_save_and_continue_commits_once(site: Site) -> None:
    """The loop goes on, and the same request is not obeyed again."""
    job = Job.from_environment()
    for step in job.steps(job.resume(Sum()), 6):
        if step == 2:
            site.ask(1, Action.SAVE_AND_CONTINUE)
    job.done()

    assert site.commits() == ["step-000000003", "step-000000006"]


def test_commits_every_so_many_steps_and_keeps_two(site: Site) -> None:
    """Of the commits at 3, 6, 9 and the last at 10, the two newest verified ones and the last are left."""
    run(Sum(), 10, every_steps=3)

    assert site.commits() == ["step-000000006", "step-000000009", "step-000000010"]


def test_commits_every_so_many_seconds(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The supervisor's interval counts from the last commit; each step here takes 4 s, so each third one commits."""
    now_s = [0.0]
    monkeypatch.setattr("barq.saving.time.monotonic", lambda: now_s[0])
    site.set(contract.ENV_CHECKPOINT_INTERVAL_S, "10")
    site.set(contract.ENV_CHECKPOINT_KEEP, "9")
    job = Job.from_environment()
    for _ in job.steps(job.resume(Sum()), 7):
        now_s[0] += 4

    assert site.commits() == ["step-000000003", "step-000000006"]


def test_the_first_commit_may_be_due_sooner(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that jobs that start together do not write together: after 4 s, and from then on each 10 s."""
    now_s = [0.0]
    monkeypatch.setattr("barq.saving.time.monotonic", lambda: now_s[0])
    site.set(contract.ENV_CHECKPOINT_INTERVAL_S, "10")
    site.set(contract.ENV_CHECKPOINT_FIRST_S, "4")
    site.set(contract.ENV_CHECKPOINT_KEEP, "9")
    job = Job.from_environment()
    for _ in job.steps(job.resume(Sum()), 8):
        now_s[0] += 4

    assert site.commits() == ["step-000000001", "step-000000004", "step-000000007"]


def test_a_damaged_commit_is_passed_over_and_said(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """One bit of the newest: the one before it is used, and the log names both."""
    run(Sum(), 4, every_steps=2)
    shard = site.checkpoints / "step-000000004" / "rank-0.state"
    content = bytearray(shard.read_bytes())
    content[5] ^= 4
    shard.write_bytes(content)
    site.start_attempt("2")
    with caplog.at_level(logging.INFO, "barq.job"):
        assert Job.from_environment().resume(Sum()) == 2

    assert "quarantined step-000000004: rank-0.state has" in caplog.text
    assert "continuing from step 2, commit" in caplog.text


def test_the_commit_that_the_scheduler_chose_is_taken(site: Site) -> None:
    """Even if there is a newer one."""
    run(Sum(), 4, every_steps=2)
    site.set(contract.ENV_RESUME_FROM, str(site.checkpoints / "step-000000002"))

    assert Job.from_environment().resume(Sum()) == 2


@pytest.mark.parametrize("damage", ["flip", "gone"])
def test_a_chosen_commit_that_is_damaged_is_replaced_by_the_newest(site: Site, damage: str) -> None:
    """Verified again before it is loaded: a damaged one goes to quarantine, a missing one is only mentioned."""
    run(Sum(), 4, every_steps=2)
    chosen = site.checkpoints / "step-000000002"
    if damage == "flip":
        (chosen / "rank-0.state").write_bytes(b"?")
    else:
        chosen.rename(site.checkpoints / "moved")
    site.set(contract.ENV_RESUME_FROM, str(chosen))

    assert Job.from_environment().resume(Sum()) == 4
    rooms = [path.name for path in site.checkpoints.glob("quarantine/*")]
    assert rooms == (["step-000000002-1"] if damage == "flip" else [])


def test_a_damaged_commit_of_somebody_else_is_left_where_it_is(site: Site, tmp_path: Path) -> None:
    """Quarantine is for the job's own directory."""
    theirs = tmp_path / "theirs" / "step-000000009"
    theirs.mkdir(parents=True)
    site.set(contract.ENV_RESUME_FROM, str(theirs))

    assert Job.from_environment().resume(Sum()) == 0
    assert theirs.is_dir()


def test_half_written_commits_of_dead_attempts_are_cleared_away(site: Site) -> None:
    """A start that succeeded leaves no rubbish of those before it."""
    run(Sum(), 2)
    begin(site.checkpoints, 7, "dead")
    site.start_attempt("2")
    Job.from_environment().resume(Sum())

    assert site.commits() == ["step-000000002"]


def test_a_commit_of_another_number_of_ranks_is_refused(site: Site) -> None:
    """Its shards do not fit, and the message says how to start instead."""
    with begin(site.checkpoints, 3, "1") as staged:
        (staged.path / "rank-0.state").write_bytes(b"")
        staged.commit(world=4, job="j1", attempt="1")
    with pytest.raises(
        WorldChanged, match=r"saved by 4 ranks, but this attempt has 1; start it with as many"
    ):
        Job.from_environment().resume(Sum())


def test_parts_are_saved_under_their_names(site: Site) -> None:
    """A model and an optimizer need no class around them."""
    model, optimizer = Sum(), Sum()
    model.total, optimizer.total = 1.5, 2.5
    job = Job.from_environment()
    job.resume(model=model, optimizer=optimizer)
    job.done()
    site.start_attempt("2")
    model, optimizer = Sum(), Sum()
    Job.from_environment().resume(optimizer=optimizer, model=model)

    assert (model.total, optimizer.total) == (1.5, 2.5)


def test_by_hand_it_saves_beside_the_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a supervisor there are no pauses, and a second run goes on where the first ended."""
    for name in (
        contract.ENV_CONTROL_DIR,
        contract.ENV_CHECKPOINT_DIR,
        contract.ENV_JOB_ID,
        contract.ENV_ATTEMPT,
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    run(Sum(), 3)
    found, _ = newest_verified(tmp_path / "checkpoints")

    assert found is not None
    assert (found.manifest.job, found.manifest.attempt) == ("local", "local")
    assert Job.from_environment().resume(Sum()) == 3


def test_loops_in_a_row_continue_each_other(site: Site) -> None:
    """A warm-up and the rest are one count of steps."""
    job = Job.from_environment()
    assert [*job.steps(job.resume(Sum()), 2), *job.steps(2, 4)] == [0, 1, 2, 3]
    job.completed(4)

    assert job.step == 5


def test_a_step_that_was_left_by_break_does_not_count(site: Site) -> None:
    """A step is completed when the loop asks for the next."""
    job = Job.from_environment()
    for step in job.steps(job.resume(Sum()), 9):
        if step == 3:
            break
    job.done()

    assert site.commits() == ["step-000000003"]


def test_misuse_is_refused_with_what_to_do_instead(site: Site) -> None:
    """Each mistake would lose or repeat steps."""
    job = Job.from_environment()
    for too_early in (job.done, lambda: job.completed(0), lambda: next(job.steps(0, 1))):
        with pytest.raises(JobMisuse, match=r"call resume\(state\) before"):
            too_early()
    job = Job.from_environment()
    with pytest.raises(JobMisuse, match="one state, or named parts"):
        job.resume()
    job.resume(Sum())
    with pytest.raises(JobMisuse, match="only once"):
        job.resume(Sum())
    with pytest.raises(JobMisuse, match="0 steps are done; start with what"):
        next(job.steps(5, 9))
    with pytest.raises(JobMisuse, match="the next step is 0"):
        job.completed(3)


@pytest.mark.parametrize(
    "name, value",
    [
        (contract.ENV_CHECKPOINT_INTERVAL_S, "soon"),
        (contract.ENV_CHECKPOINT_INTERVAL_S, "0"),
        (contract.ENV_CHECKPOINT_INTERVAL_S, "nan"),
        (contract.ENV_CHECKPOINT_FIRST_S, "-1"),
        (contract.ENV_CHECKPOINT_KEEP, "0"),
        (contract.ENV_PAUSE_SIGNAL, "TERM!"),
        (contract.ENV_WORLD_SIZE, "two"),
        (contract.ENV_RANK, "1"),
    ],
)
def test_nonsense_in_the_environment_is_refused(site: Site, name: str, value: str) -> None:
    """The message names the variable and its value."""
    site.set(name, value)
    with pytest.raises(ContractError, match=f"{name}=.*{value}"):
        Job.from_environment()


def test_a_status_that_cannot_be_written_does_not_stop_the_training(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """It is a claim that nothing depends on; it is logged."""
    site.status_dir.rmdir()
    run(Sum(), 2)

    assert "status could not be written" in caplog.text
    assert verify(site.checkpoints / "step-000000002").step == 2


def test_pause_wanted_lets_an_evaluation_stop_early(site: Site) -> None:
    """It tells, and leaves the obeying to the loop."""
    job = Job.from_environment()
    job.resume(Sum())
    assert not job.pause_wanted()
    site.ask(1, Action.SUSPEND)

    assert job.pause_wanted()
    assert job.pause_wanted()
