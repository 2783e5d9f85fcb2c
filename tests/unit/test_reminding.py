"""Jobs are reminded to commit as often as their orders say."""

from __future__ import annotations

from barq.contract import Action, JobPhase, JobStatus
from scheduler.core.jobs import Phase
from workers.attempt_files import Instruction
from workers.ladder import Ladder, Sight
from workers.reminding import Reminding, first_share

RUN = Instruction(seq=1, phase=Phase.RUN, save_every_s=60.0)


def says(commit: str | None, state: JobPhase = JobPhase.RUNNING) -> JobStatus:
    """What a job says of itself."""
    return JobStatus(seq=0, state=state, step=7, commit=commit)


def test_it_is_time_once_the_last_commit_is_old_enough() -> None:
    """A commit of its own, however it came about, counts; a reminder is not repeated before the next is due."""
    reminding = Reminding()

    assert not reminding.is_due(says(None), 60.0, 0.0)
    assert not reminding.is_due(says(None), 60.0, 59.0)
    assert not reminding.is_due(says("step-1"), 60.0, 59.5)
    assert not reminding.is_due(says("step-1"), 60.0, 119.0)
    assert reminding.is_due(says("step-1"), 60.0, 120.0)
    assert not reminding.is_due(says("step-1"), 60.0, 121.0)
    assert reminding.is_due(says("step-1"), 60.0, 180.0)


def test_a_shorter_interval_counts_at_once() -> None:
    """The seconds since the last commit are known."""
    reminding = Reminding()
    reminding.is_due(says("step-1"), None, 0.0)

    assert not reminding.is_due(says("step-1"), None, 500.0)
    assert reminding.is_due(says("step-1"), 60.0, 501.0)


def test_attempts_that_start_together_are_not_reminded_together() -> None:
    """Of a hundred, no ten within any two seconds of the two and a half minutes; always the same ones."""
    shares = [first_share(f"demo-{number}.1") for number in range(100)]
    firsts_s = sorted(300.0 * share for share in shares)

    assert all(150.0 <= first_s <= 300.0 for first_s in firsts_s)
    assert max(sum(s <= other < s + 2.0 for other in firsts_s) for s in firsts_s) < 10
    assert shares == [first_share(f"demo-{number}.1") for number in range(100)]


def test_only_the_first_interval_is_shorter() -> None:
    """Until the job commits, by itself or reminded."""
    reminded, commits = Reminding(0.5), Reminding(0.5)

    assert not reminded.is_due(says(None), 60.0, 0.0)
    assert reminded.is_due(says(None), 60.0, 30.0)
    assert not reminded.is_due(says(None), 60.0, 89.0)
    assert reminded.is_due(says(None), 60.0, 90.0)
    assert not commits.is_due(says(None), 60.0, 0.0)
    assert not commits.is_due(says("step-1"), 60.0, 20.0)
    assert not commits.is_due(says("step-1"), 60.0, 79.0)
    assert commits.is_due(says("step-1"), 60.0, 80.0)


def test_time_held_does_not_count() -> None:
    """There is nothing new to save."""
    reminding = Reminding()
    reminding.is_due(says("step-1"), 60.0, 0.0)
    reminding.is_due(says("step-1", JobPhase.SUSPENDED), 60.0, 500.0)

    assert not reminding.is_due(says("step-1"), 60.0, 501.0)
    assert reminding.is_due(says("step-1"), 60.0, 561.0)


def test_a_job_without_the_contract_is_never_reminded() -> None:
    """It would not know what is meant."""
    assert not Reminding().is_due(None, 60.0, 1e6)
    assert Ladder(patience_s=2.0, grace_s=30.0).remind(RUN, Sight(now_boottime_s=9.0)) is None


def test_the_request_is_to_save_and_carry_on() -> None:
    """It has its number in the one order of requests; nobody who holds or leaves gets it."""
    ladder = Ladder(patience_s=2.0, grace_s=30.0)
    sight = Sight(now_boottime_s=9.0, status=says(None))

    request = ladder.remind(RUN, sight)
    assert request is not None
    assert (request.seq, request.action, request.rung) == (1, Action.SAVE_AND_CONTINUE, 0)
    ladder.climb(Instruction(seq=2, phase=Phase.SUSPEND), sight)
    assert ladder.is_held
    assert ladder.remind(RUN, sight) is None
