"""A simulated job's periodic commits, and what they cost it."""

from __future__ import annotations

from scheduler.sim.commits import Commits


def test_commits_that_cost_nothing_come_after_each_interval() -> None:
    """What was computed up to the last one is safe."""
    commits = Commits(every_us=100, takes_us=0)

    assert commits.passes(60) == (60, 0, None)
    assert commits.passes(60) == (60, 0, 40)
    assert commits.passes(250) == (250, 0, 180)
    assert commits.lasts_us(1000) == 1000


def test_a_commit_keeps_its_job_from_computing() -> None:
    """100 of computing, 10 of saving, and only then it is safe."""
    commits = Commits(every_us=100, takes_us=10)

    assert commits.passes(105) == (100, 5, None)
    assert commits.passes(5) == (0, 5, 0)
    assert commits.passes(220) == (200, 20, 200)


def test_the_end_is_told_with_the_commits_before_it() -> None:
    """None is made once all is done."""
    commits = Commits(every_us=100, takes_us=10)

    assert commits.lasts_us(100) == 100
    assert commits.lasts_us(101) == 111
    assert commits.passes(111) == (101, 10, 100)
    assert commits.lasts_us(300) == 300 + 3 * 10


def test_a_shorter_interval_counts_at_once() -> None:
    """Whoever is past it saves now, whether that costs something or not."""
    for takes_us in (0, 10):
        commits = Commits(every_us=1000, takes_us=takes_us)
        commits.passes(500)
        commits.every_us = 100
        _, _, committed_us = commits.passes(11)
        assert committed_us in {0, 11}
        assert commits.computed_us <= 11


def test_one_that_is_overdue_comes_as_time_passes() -> None:
    """Nothing is committed in no time: who waited for it at this very instant would for ever."""
    commits = Commits(every_us=1000, takes_us=0)
    commits.passes(600)
    commits.every_us = 500

    assert commits.next_us() == 1
    assert commits.passes(1) == (1, 0, 0)


def test_when_the_next_one_is_completed() -> None:
    """What is left of the interval, and of the save."""
    commits = Commits(every_us=100, takes_us=10)

    assert commits.next_us() == 110
    commits.passes(30)
    assert commits.next_us() == 80
    commits.passes(75)
    assert commits.next_us() == 5
    commits.every_us = 10
    commits.passes(5)
    assert commits.next_us() == 20
