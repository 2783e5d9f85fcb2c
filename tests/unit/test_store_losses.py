"""How many steps a job has to do again."""

from __future__ import annotations

import pytest

from scheduler.core.jobs import AttemptState, Outcome
from scheduler.store.losses import lost_steps
from scheduler.store.rows import attempt_values
from scheduler.store.tables import AttemptRow
from tests.stores import attempt

ENDED = AttemptState.ENDED


def row(
    number: int, last_step: int | None, resumed_step: int | None, outcome: Outcome | None = None
) -> AttemptRow:
    """An attempt that ended so, or goes on."""
    state = AttemptState.RUNNING if outcome is None else ENDED
    made = attempt(
        number=number, state=state, outcome=outcome, last_step=last_step, resumed_step=resumed_step
    )
    return AttemptRow(**attempt_values(made))


def test_a_clean_pause_loses_nothing() -> None:
    """The next attempt begins where this one ended."""
    attempts = [row(1, 120, 0, Outcome.PREEMPTED), row(2, 130, 120)]
    assert lost_steps(attempts, committed_step=120) == [0, 0]


def test_a_kill_loses_what_came_after_the_commit() -> None:
    """120 steps were done, the next attempt begins at 100."""
    attempts = [row(1, 120, 0, Outcome.FAILED), row(2, None, 100)]
    assert lost_steps(attempts, committed_step=100) == [20, 0]


def test_until_the_next_attempt_shows_where_it_begins_the_commit_says_it() -> None:
    """A paused job knows already what it lost."""
    assert lost_steps([row(1, 120, 0, Outcome.LOST)], committed_step=100) == [20]
    assert lost_steps([row(1, 120, 0, Outcome.LOST)], committed_step=None) == [120]
    assert lost_steps([row(1, 120, 50, Outcome.LOST)], committed_step=None) == [70]


def test_a_damaged_checkpoint_costs_more() -> None:
    """The commit said 100, but the next attempt had to begin at 50."""
    attempts = [row(1, 120, 0, Outcome.PREEMPTED), row(2, 51, 50)]
    assert lost_steps(attempts, committed_step=100) == [70, 0]


def test_an_attempt_that_never_began_hides_nothing() -> None:
    """Where the second one failed to launch, the third says where it goes on."""
    attempts = [row(1, 120, 0, Outcome.LOST), row(2, None, None, Outcome.FAILED), row(3, 101, 100)]
    assert lost_steps(attempts, committed_step=100) == [20, 0, 0]


@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.CANCELLED, None])
def test_what_nobody_does_again_is_not_lost(outcome: Outcome | None) -> None:
    """A job that is done, was cancelled, or still runs."""
    assert lost_steps([row(1, 120, 0, outcome)], committed_step=100) == [0]


def test_no_job_gains_steps() -> None:
    """A commit beyond the job's own word (it saved and died before telling) is no negative loss."""
    assert lost_steps([row(1, 119, 0, Outcome.PREEMPTED), row(2, None, 120)], committed_step=120) == [0, 0]
