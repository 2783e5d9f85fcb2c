"""A real job process and a supervisor made by hand: hold, go on, save and leave, continue, whatever gets lost."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from barq.checkpoint import newest_verified, verify
from barq.contract import (
    ENV_CHECKPOINT_INTERVAL_S,
    EXIT_PAUSED,
    Action,
    JobPhase,
    PauseRequest,
    write_pause_request,
)
from tests.job_process import PATIENCE_S, JobProcess, Workplace, share_of_a_core
from tests.waiting import wait_for

ENDLESS = "1000000"


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    """Where the attempts of one job work."""
    return Workplace(tmp_path)


def counter(place: Workplace, steps: str = ENDLESS, attempt: str = "1", **variables: str) -> JobProcess:
    """An attempt of the counter, 5 ms a step."""
    return JobProcess(place, "counter.py", "--steps", steps, "--step-ms", "5", attempt=attempt, **variables)


def undisturbed(tmp_path: Path, steps: str) -> list[float]:
    """The losses of a run that nobody paused."""
    place = Workplace(tmp_path / "undisturbed")
    with counter(place, steps) as job:
        assert job.wait_for_exit() == 0
    return place.losses()


def test_a_held_job_takes_no_step_and_no_processor_time(place: Workplace) -> None:
    """Held at a boundary: the steps stop, the processor is idle; told to resume, it goes on in the same process."""
    with counter(place) as job:
        job.wait_until_step(5)
        job.ask(1, Action.SUSPEND)
        held_at = job.wait_for_phase(JobPhase.SUSPENDED, 1).step
        assert share_of_a_core(job.cpu_s, 1.0) <= 0.03
        assert len(place.steps()) == held_at

        job.ask(2, Action.RESUME)
        job.wait_until_step(held_at + 5)
        assert {line["attempt"] for line in place.steps()} == {"1"}


def test_a_paused_job_goes_on_where_it_was(place: Workplace, tmp_path: Path) -> None:
    """Exit code 85 and a verified commit; the next attempt does each step that is left, once, with the same result."""
    with counter(place) as job:
        job.wait_until_step(20)
        job.ask(1, Action.SAVE_AND_EXIT)
        assert job.wait_for_exit() == EXIT_PAUSED
        status = job.status()
    assert status is not None
    assert (status.seq, status.state) == (1, JobPhase.COMMITTED)
    assert status.commit is not None
    assert verify(place.checkpoints / status.commit).step == status.step == len(place.steps())
    assert status.save_s is not None

    total = str(status.step + 20)
    with counter(place, total, "2") as job:
        assert job.wait_for_exit() == 0
        assert f"continuing from step {status.step}, commit" in job.log.read_text()
        done = job.status()
    assert done is not None
    assert (done.state, done.step) == (JobPhase.DONE, int(total))
    assert [line["step"] for line in place.steps()] == list(range(int(total)))
    assert place.losses() == undisturbed(tmp_path, total)


def test_a_lost_signal_is_noticed(place: Workplace) -> None:
    """The file is enough to hold the job, to let it go on, and to make it leave."""
    with counter(place) as job:
        job.wait_until_step(5)
        job.ask(1, Action.SUSPEND, lose_signal=True)
        job.wait_for_phase(JobPhase.SUSPENDED, 1)
        job.ask(2, Action.RESUME, lose_signal=True)
        job.wait_for_phase(JobPhase.RUNNING, 2)
        job.ask(3, Action.SAVE_AND_EXIT, lose_signal=True)
        assert job.wait_for_exit() == EXIT_PAUSED


def test_a_held_job_saves_and_leaves(place: Workplace) -> None:
    """First the watts, then the work: held, saved while held, told to leave."""
    with counter(place) as job:
        job.wait_until_step(5)
        job.ask(1, Action.SUSPEND)
        held = job.wait_for_phase(JobPhase.SUSPENDED, 1)
        job.ask(2, Action.SAVE_AND_CONTINUE)
        saved = job.wait_for_phase(JobPhase.SUSPENDED, 2)
        assert (saved.step, saved.commit) == (held.step, f"step-{held.step:09d}")
        job.ask(3, Action.SAVE_AND_EXIT)
        assert job.wait_for_exit() == EXIT_PAUSED

    found, quarantined = newest_verified(place.checkpoints)
    assert found is not None
    assert (found.step, quarantined) == (held.step, [])


def test_a_signal_without_a_request_saves_what_there_is(place: Workplace) -> None:
    """Somebody ends the process by hand: nothing is lost either."""
    with counter(place) as job:
        job.wait_until_step(5)
        job.process.send_signal(signal.SIGTERM)
        assert job.wait_for_exit() == EXIT_PAUSED

    found, _ = newest_verified(place.checkpoints)
    assert found is not None
    assert found.step == len(place.steps())


def test_a_request_that_stood_before_the_start_is_obeyed_first(place: Workplace) -> None:
    """Power went while the process was starting: it holds before its first step."""
    control = place.root / "control-1"
    control.mkdir()
    hold = PauseRequest(seq=1, action=Action.SUSPEND, deadline_boottime_s=None, reason="test", rung=1)
    write_pause_request(control, hold)
    with counter(place) as job:
        assert job.wait_for_phase(JobPhase.SUSPENDED, 1).step == 0
    assert place.steps() == []


def test_a_killed_job_loses_what_its_last_commit_does_not_hold(place: Workplace, tmp_path: Path) -> None:
    """Steps done twice are those between the commit and the death, and their results are the same both times."""
    with counter(place, **{ENV_CHECKPOINT_INTERVAL_S: "0.1"}) as job:
        job.wait_until_step(60)
        wait_for(place.commits, timeout_s=PATIENCE_S, what="a commit, however slow the disk is")
        job.process.kill()
        job.wait_for_exit()
    done = len(place.steps())
    total = str(done + 10)
    with counter(place, total, "2") as job:
        assert job.wait_for_exit() == 0

    by_attempt: dict[str, list[Any]] = {"1": [], "2": []}
    for line in place.steps():
        by_attempt[line["attempt"]].append((line["step"], line["loss"]))
    resumed_at = by_attempt["2"][0][0]
    assert 0 < resumed_at <= done
    assert by_attempt["1"][resumed_at:] == by_attempt["2"][: done - resumed_at]
    losses = [loss for _, loss in by_attempt["1"][:resumed_at] + by_attempt["2"]]
    assert losses == undisturbed(tmp_path, total)


def test_a_flipped_bit_costs_one_commit(place: Workplace) -> None:
    """The damaged commit is set aside and named in the log; the one before it is used."""
    for attempt in ("1", "2"):
        with counter(place, attempt=attempt) as job:
            job.wait_until_step(job.wait_until_step(0).step + 5)
            job.ask(1, Action.SAVE_AND_EXIT)
            assert job.wait_for_exit() == EXIT_PAUSED
    older, newest = sorted(place.checkpoints.glob("step-*"))
    shard = newest / "rank-0.state"
    content = bytearray(shard.read_bytes())
    content[17] ^= 32
    shard.write_bytes(content)

    with counter(place, attempt="3") as job:
        first = job.wait_until_step(0)
        assert f"quarantined {newest.name}: rank-0.state" in job.log.read_text()
        assert f"continuing from step {verify(older).step}," in job.log.read_text()
    assert first.commit == older.name
    assert (place.checkpoints / "quarantine" / f"{newest.name}-1" / newest.name).is_dir()


def test_a_job_that_knows_nothing_of_barq_claims_nothing(place: Workplace) -> None:
    """No status file: its supervisor has signals and exit codes only."""
    with JobProcess(place, "legacy_loop.py", "--steps", "3", "--step-ms", "1") as job:
        assert job.wait_for_exit() == 0
        assert job.status() is None
        assert "step 3 of 3" in job.log.read_text()
