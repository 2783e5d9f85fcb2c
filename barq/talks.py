"""Verbs that ask a site several times, as talks: they say what to do next, and a client does it. No I/O.

A talk yields a `Call` (and is told the answer, or its error), a `Pause`, or an `Item` for whoever listens.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from barq import calls
from barq.calls import Call
from barq.errors import BarqError, InvalidInput, NotFound, Unreachable

if TYPE_CHECKING:
    from barq.views import ArrayView, JobPage, JobView

FINAL_STATES: Final = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})

_POLL_DELAYS_S: Final = (0.2, 0.2, 0.5, 1.0, 2.0)
_LOST_POLLS: Final = 20  # each has tried for three seconds by itself

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Do nothing for so long."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Something for whoever goes through the results as they come."""

    value: Any


Step = Call[Any] | Pause | Item
Talk = Generator[Step, Any, T]


class Turns:
    """A talk, taken turn by turn: `step` is what it wants now, None when it is over and `result` is there."""

    def __init__(self, talk: Talk[Any]) -> None:
        self._talk = talk
        self.result: Any = None
        self.step: Step | None = None
        self.answer(None)

    def answer(self, answer: Any) -> None:  # noqa: ANN401 - JSON
        """Go on with the answer that was asked for, None where there was no question."""
        self._go_on(lambda: self._talk.send(answer))

    def fail(self, error: BarqError) -> None:
        """Go on with the error that the question met; it is raised here unless the talk can live with it."""
        self._go_on(lambda: self._talk.throw(error))

    def _go_on(self, turn: Any) -> None:  # noqa: ANN401 - a function of no arguments that gives a step
        try:
            self.step = turn()
        except StopIteration as done:
            self.step, self.result = None, done.value


def every_job(
    *,
    state: str | None,
    name: str | None,
    project: str | None,
    owner: str | None,
    array: str | None,
    page_size: int,
) -> Talk[list[JobView]]:
    """Give all jobs that match, newest first, page by page; the result is all of them."""
    found: list[JobView] = []
    after = None
    while True:
        page: JobPage = yield calls.jobs(
            state=state, name=name, project=project, owner=owner, array=array, limit=page_size, after=after
        )
        for job in page["jobs"]:
            yield Item(value=job)
        found += page["jobs"]
        after = page["next"]
        if after is None:
            return found


def find(text: str) -> Talk[JobView]:
    """Find the job with the id `text`, else the only one whose number it is or whose id begins with it."""
    try:
        exact: JobView = yield calls.job(text)
    except NotFound:
        job = yield from _like(text)
        if job is None:
            raise
        return job
    else:
        return exact


def find_any(text: str) -> Talk[JobView | ArrayView]:
    """Find the job or the array with the id `text`, else the job that `find` would."""
    try:
        exact: JobView = yield calls.job(text)
    except NotFound as missing:
        found = (yield from _array(text)) or (yield from _like(text))
        if found is None:
            raise missing from None
        return found
    return exact


def _array(text: str) -> Talk[ArrayView | None]:
    """The array with the id `text`, None if there is none."""
    if not text:
        return None
    try:
        found: ArrayView = yield calls.array(text)
    except NotFound:
        return None
    return found


def _like(text: str) -> Talk[JobView | None]:
    """The only job whose number `text` is or whose id begins with it, None if there is none."""
    if not text:
        return None
    candidates = yield from every_job(
        state=None, name=None, project=None, owner=None, array=None, page_size=calls.PAGE_SIZE
    )
    numbered = [job for job in candidates if job["id"].rpartition("-")[2] == text]
    found = numbered or [job for job in candidates if job["id"].startswith(text)]
    if len(found) > 1:
        raise _ambiguous(text, [job["id"] for job in found])
    return found[0] if found else None


def watch(job_ids: Sequence[str], *, timeout_s: float | None) -> Talk[dict[str, JobView]]:
    """Give each job now and whenever its state has changed; the result is each as it was seen last."""
    give_up_at = None if timeout_s is None else time.monotonic() + timeout_s
    latest: dict[str, JobView] = {}
    unfinished = list(dict.fromkeys(job_ids))
    for delay_s in _poll_delays():
        for job_id in unfinished:
            job = yield from _patiently(job_id)
            is_news = job_id not in latest or latest[job_id]["state"] != job["state"]
            latest[job_id] = job
            if is_news:
                yield Item(value=job)
        unfinished = [job_id for job_id in unfinished if latest[job_id]["state"] not in FINAL_STATES]
        if not unfinished or (give_up_at is not None and time.monotonic() >= give_up_at):
            break
        yield Pause(seconds=delay_s)
    return latest


def wait(job_ids: Sequence[str], *, timeout_s: float | None) -> Talk[list[JobView]]:
    """Wait until all have ended; the result is the jobs, in this order. A text alone is one id."""
    job_ids = [job_ids] if isinstance(job_ids, str) else job_ids
    latest = yield from watch(job_ids, timeout_s=timeout_s)
    return [latest[job_id] for job_id in job_ids]


def _patiently(job_id: str) -> Talk[JobView]:
    """Ask for a job, and ride out a minute without an answer."""
    for _ in range(_LOST_POLLS):
        try:
            job: JobView = yield calls.job(job_id)
        except Unreachable:
            yield Pause(seconds=_POLL_DELAYS_S[0])
        else:
            return job
    last: JobView = yield calls.job(job_id)
    return last


def _poll_delays() -> Iterator[float]:
    yield from _POLL_DELAYS_S
    while True:
        yield _POLL_DELAYS_S[-1]


def _ambiguous(text: str, ids: Sequence[str]) -> InvalidInput:
    shown = ", ".join(ids[:5]) + (", …" if len(ids) > 5 else "")  # noqa: PLR2004 - enough to see what is meant
    message = f"id: {text!r} could be {shown}"
    return InvalidInput(message, code="ambiguous_id", field="id", value=text, remedy="write more of it")
