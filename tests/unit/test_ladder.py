"""The pause ladder, step by step."""

from __future__ import annotations

from barq.contract import Action, JobPhase, JobStatus, PauseRequest
from scheduler.core.jobs import Phase
from workers.attempt_files import Instruction
from workers.ladder import Act, Ladder, Sight, Step

RUN = Instruction(seq=1, phase=Phase.RUN)
SUSPEND = Instruction(seq=2, phase=Phase.SUSPEND, reason="power withdrawn")
SAVE = Instruction(seq=3, phase=Phase.SAVE_EXIT, deadline_boottime_s=150.0)
KILL = Instruction(seq=4, phase=Phase.KILL)


def ladder() -> Ladder:
    """A ladder with 2 s of patience and 30 s of grace."""
    return Ladder(patience_s=2.0, grace_s=30.0)


def says(state: JobPhase, seq: int = 0) -> JobStatus:
    """What a job says of itself."""
    return JobStatus(seq=seq, state=state, step=7)


def sight(at_s: float, status: JobStatus | None = None, *, is_computing: bool = False) -> Sight:
    """What is seen at a moment."""
    return Sight(now_boottime_s=at_s, status=status, is_computing=is_computing)


def shape(steps: list[Step]) -> list[Action | Act]:
    """The steps without their words."""
    return [step.action if isinstance(step, PauseRequest) else step for step in steps]


RUNNING = says(JobPhase.RUNNING)


def test_a_job_that_runs_is_left_alone() -> None:
    """There is nothing to do for a job that should run and was never asked to hold."""
    assert ladder().climb(RUN, sight(100.0, RUNNING)) == []


def test_a_job_with_the_contract_is_asked_once_and_believed() -> None:
    """The request stands before the signal; a job that holds is not asked again."""
    job = ladder()

    first = job.climb(SUSPEND, sight(100.0, RUNNING))
    assert first == [
        PauseRequest(
            seq=1, action=Action.SUSPEND, deadline_boottime_s=None, reason="power withdrawn", rung=1
        ),
        Act.SIGNAL,
    ]
    assert job.climb(SUSPEND, sight(100.1, RUNNING)) == []
    held = says(JobPhase.SUSPENDED, seq=1)
    assert not job.holds(RUNNING)
    assert job.holds(held)
    assert job.climb(SUSPEND, sight(999.0, held)) == []


def test_word_of_an_earlier_request_does_not_count() -> None:
    """A job that says it is suspended as of a request before this one does not hold yet."""
    job = ladder()
    job.climb(SUSPEND, sight(100.0, RUNNING))
    job.climb(RUN, sight(101.0, says(JobPhase.SUSPENDED, seq=1)))
    job.climb(SUSPEND, sight(102.0, says(JobPhase.SUSPENDED, seq=1)))

    assert not job.holds(says(JobPhase.SUSPENDED, seq=1))
    assert job.holds(says(JobPhase.SUSPENDED, seq=3))


def test_a_late_job_is_frozen() -> None:
    """After the patience is over a job that does not hold by itself is made to."""
    job = ladder()
    job.climb(SUSPEND, sight(100.0, RUNNING))

    assert job.climb(SUSPEND, sight(101.9, RUNNING)) == []
    assert shape(job.climb(SUSPEND, sight(102.0, RUNNING))) == [Act.FREEZE]
    assert job.holds(RUNNING)


def test_a_job_that_lies_is_frozen() -> None:
    """A job that says it holds but uses the CPU is not believed."""
    job = ladder()
    job.climb(SUSPEND, sight(100.0, RUNNING))
    held = says(JobPhase.SUSPENDED, seq=1)

    assert shape(job.climb(SUSPEND, sight(100.5, held, is_computing=True))) == [Act.FREEZE]


def test_a_job_without_the_contract_is_frozen_at_once() -> None:
    """A job that never said anything gets the request too, should it learn to read, and is stopped."""
    job = ladder()

    assert shape(job.climb(SUSPEND, sight(100.0))) == [Action.SUSPEND, Act.FREEZE]
    assert job.holds(None)


def test_going_on_undoes_what_was_done() -> None:
    """A frozen job is told to go on before it is thawed; one that holds by itself is only told."""
    frozen, held = ladder(), ladder()
    frozen.climb(SUSPEND, sight(100.0))
    held.climb(SUSPEND, sight(100.0, RUNNING))

    assert shape(frozen.climb(RUN, sight(101.0))) == [Action.RESUME, Act.THAW]
    assert shape(held.climb(RUN, sight(101.0, RUNNING))) == [Action.RESUME]
    assert held.asked is not None
    assert held.asked.seq == 2
    assert held.climb(RUN, sight(102.0, RUNNING)) == []


def test_leaving_signals_before_it_thaws_and_kills_at_the_deadline() -> None:
    """A frozen job finds the signal when it wakes up; what is still there at the deadline is killed, once."""
    job = ladder()
    job.climb(SUSPEND, sight(100.0))

    assert shape(job.climb(SAVE, sight(120.0))) == [Action.SAVE_AND_EXIT, Act.SIGNAL, Act.THAW]
    assert job.asked is not None
    assert job.asked.deadline_boottime_s == 150.0
    assert job.climb(SAVE, sight(149.9)) == []
    assert job.grace_left_s(140.0) == 10.0
    assert job.climb(SAVE, sight(150.0)) == [Act.KILL]
    assert job.climb(SAVE, sight(150.1)) == []
    assert job.is_killed


def test_leaving_without_a_deadline_has_the_jobs_own_grace() -> None:
    """A host that shuts down gives no deadline: the grace of the job counts from then."""
    job = ladder()
    job.climb(Instruction(seq=1, phase=Phase.SAVE_EXIT), sight(100.0, RUNNING))

    assert job.grace_left_s(100.0) == 30.0


def test_a_deadline_may_come_nearer_and_never_goes_away() -> None:
    """Asked once more, without another signal; what is there then is killed."""
    job = ladder()
    job.climb(SAVE, sight(100.0, RUNNING))
    sooner = Instruction(seq=4, phase=Phase.SAVE_EXIT, deadline_boottime_s=120.0)

    assert job.climb(sooner, sight(110.0, RUNNING)) == [
        PauseRequest(seq=2, action=Action.SAVE_AND_EXIT, deadline_boottime_s=120.0, reason="", rung=3)
    ]
    assert job.climb(sooner, sight(110.1, RUNNING)) == []
    assert job.climb(SAVE, sight(110.2, RUNNING)) == []
    assert job.grace_left_s(110.0) == 10.0
    assert job.climb(SAVE, sight(120.0, RUNNING)) == [Act.KILL]


def test_leaving_is_never_taken_back() -> None:
    """Whoever was asked to leave is not asked to stay, and the deadline stands."""
    job = ladder()
    job.climb(SAVE, sight(100.0, RUNNING))

    assert job.climb(RUN, sight(101.0, RUNNING)) == []
    assert job.climb(SUSPEND, sight(101.0, RUNNING)) == []
    assert not job.is_held
    assert job.climb(RUN, sight(150.0, RUNNING)) == [Act.KILL]


def test_killing_needs_no_words() -> None:
    """A kill is one act, from anywhere, and the last."""
    job = ladder()

    assert job.climb(KILL, sight(100.0, RUNNING)) == [Act.KILL]
    assert job.climb(KILL, sight(101.0, RUNNING)) == []
    assert not job.was_asked_to_exit
    assert job.is_leaving
