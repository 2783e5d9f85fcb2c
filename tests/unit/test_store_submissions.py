"""Submissions that come together are written together."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from scheduler.core.jobs import JobSpec
from scheduler.store import wishes
from scheduler.store.desk import Desk
from scheduler.store.submissions import MOST_JOBS, Submissions
from scheduler.store.views import JobView, NewJob
from tests.stores import KINDS, SITE, T0, database, new_job
from tests.waiting import wait_for


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty database of each kind."""
    with database(request.param, tmp_path) as opened:
        yield opened


class Crowd:
    """People who submit while a first one is being written."""

    def __init__(self, engine: Engine) -> None:
        self.sessions: list[Session] = []
        self._go_on = threading.Event()
        self._submissions = Submissions(engine, self._add)

    def submit(self, *wanted: Sequence[NewJob]) -> list[Future[tuple[JobView, ...]]]:
        """The first one's answer, and that of each of these, in order."""
        with ThreadPoolExecutor(1 + len(wanted)) as pool:
            answers = [pool.submit(self._submissions.submit, [new_job("first")])]
            try:
                wait_for(lambda: bool(self.sessions), timeout_s=60, what="the first is being written")
                for number, jobs in enumerate(wanted, start=1):
                    answers.append(pool.submit(self._submissions.submit, jobs))
                    wait_for(
                        lambda n=number: self._submissions.waiting == n,  # type: ignore[misc]
                        timeout_s=60,
                        what="it waits",
                    )
            finally:
                self._go_on.set()
        return answers

    def _add(self, session: Session, jobs: Sequence[NewJob]) -> Sequence[JobView]:
        self.sessions.append(session)
        self._go_on.wait(60)
        return wishes.submit(session, SITE, jobs, at=T0)

    @property
    def transactions(self) -> int:
        """How many there were."""
        return len(set(map(id, self.sessions)))


def test_those_who_wait_share_a_transaction(engine: Engine) -> None:
    """In their order; each is told of its own jobs, which are there by then."""
    crowd = Crowd(engine)
    answers = crowd.submit([new_job("a")], [new_job("b"), new_job("c")], [], [new_job("d")])

    names = [[job.spec.name for job in answer.result()] for answer in answers]
    assert names == [["first"], ["a"], ["b", "c"], [], ["d"]]
    assert crowd.transactions == 2
    assert sorted(job.number for answer in answers for job in answer.result()) == [1, 2, 3, 4, 5]
    assert len(Desk(engine, site=SITE).list().jobs) == 5


def test_who_is_refused_takes_nobody_along(engine: Engine) -> None:
    """All others of the same transaction are queued, and no number is lost."""

    def broken(job_id: str) -> JobSpec:
        raise ValueError(f"{job_id}: no such directory")

    good, bad, late = Crowd(engine).submit(
        [new_job("a")], [NewJob(request={}, build=broken)], [new_job("b")]
    )[1:]

    assert (len(good.result()), len(late.result())) == (1, 1)
    with pytest.raises(ValueError, match="no such directory"):
        bad.result()
    assert sorted(job.number for job in Desk(engine, site=SITE).list().jobs) == [1, 2, 3]


def test_a_large_one_is_written_by_itself(engine: Engine) -> None:
    """So that nobody waits for what came after him."""
    crowd = Crowd(engine)
    crowd.submit([new_job("a")], [new_job() for _ in range(MOST_JOBS)], [new_job("b")])

    assert crowd.transactions > 2
    assert len(Desk(engine, site=SITE).list(limit=1000).jobs) == MOST_JOBS + 3
