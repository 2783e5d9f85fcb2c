"""Webhooks: from the tick that changes a job to the receiver, whatever happens on the way."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from barq.webhook import SIGNATURE, verify
from scheduler.core.jobs import JobState
from scheduler.notify import TRIED_FOR, Notifier
from scheduler.store.desk import Desk
from scheduler.store.outbox import SqlOutbox
from scheduler.store.recorder import SqlStore
from scheduler.store.views import NotificationView, NotifyTarget
from tests.stores import KINDS, SITE, T0, database, new_job, tick
from tests.waiting import wait_for
from tests.webhook_receiver import Receiver, receiver

SECRET = "a secret of the receiver"  # noqa: S105
PATIENCE_S = 60.0


class HurriedClock:
    """Real pauses are short; `passed` says how much time there seems to have been."""

    def __init__(self) -> None:
        self.passed = timedelta()

    def now(self) -> datetime:
        return T0 + timedelta(minutes=1) + self.passed

    def monotonic_s(self) -> float:
        return self.passed.total_seconds()

    async def sleep_s(self, seconds: float) -> None:
        await asyncio.sleep(0.01)


class Site:
    """One job that tells a receiver, its leader, and whoever empties the outbox."""

    def __init__(self, engine: Engine, there: Receiver) -> None:
        self.engine, self.there = engine, there
        self.desk, self.store, self.clock = (
            Desk(engine, site=SITE, now=lambda: T0),
            SqlStore(engine),
            HurriedClock(),
        )
        self.at_s = 0.0

    def submit(self, *, url: str = "", events: tuple[str, ...] = ("pause", "resume", "end")) -> str:
        """Queue the job."""
        target = NotifyTarget(url=url or self.there.url, events=events, secret=SECRET)
        return self.desk.submit([replace(new_job(), notify=target)])[0].id

    async def becomes(self, *states: JobState) -> None:
        """The job goes through these, a tick for each."""
        if not self.at_s:
            await self.store.claim("leader", at=T0)
        for state in states:
            self.at_s += 1.0
            job = (await self.store.load()).jobs[0]
            await self.store.record(tick(self.at_s, 1, jobs=(replace(job, state=state, attempts=1),)))

    @asynccontextmanager
    async def telling(self, *, allow_private: bool = True) -> AsyncIterator[None]:
        """With a notifier at work."""
        notifier = Notifier(SqlOutbox(self.engine), self.clock, allow_private=allow_private)
        task = asyncio.create_task(notifier.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until(self, holds: Callable[[NotificationView], bool]) -> NotificationView:
        """The newest notification, once `holds` says so."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                told = await asyncio.to_thread(self.desk.notifications, "demo-1")
                if told and holds(told[-1]):
                    return told[-1]
                await asyncio.sleep(0.01)

    def heard(self) -> list[tuple[str, str]]:
        """Events and states in the calls that came, in order of their instants."""
        bodies = sorted((json.loads(c.body) for c in self.there.calls), key=lambda b: str(b["at"]))
        return [(b["event"], b["state"]) for b in bodies]


@pytest.fixture(params=KINDS)
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    """A site on each kind of database, and a receiver."""
    with database(request.param, tmp_path) as engine, receiver() as there:
        made = Site(engine, there)
        yield made
        made.store.close()


async def test_a_pause_a_resume_and_the_end_are_told_once_each(site: Site) -> None:
    """However many steps a pause takes; each call is signed, and says what it is about."""
    job_id = site.submit()
    j = JobState
    await site.becomes(
        j.STARTING, j.RUNNING, j.SUSPENDED, j.PREEMPTING, j.PAUSED, j.STARTING, j.RUNNING, j.SUCCEEDED
    )

    async with site.telling():
        await site.until(lambda n: n.delivered_at is not None and len(site.there.calls) == 3)

    assert site.heard() == [("pause", "SUSPENDED"), ("resume", "RUNNING"), ("end", "SUCCEEDED")]
    for call in site.there.calls:
        body = json.loads(call.body)
        now_s = site.clock.now().timestamp()
        assert verify(SECRET, call.headers[SIGNATURE], call.body, now_s=now_s)
        assert not verify("another secret!!", call.headers[SIGNATURE], call.body, now_s=now_s)
        assert (call.headers["Barq-Event"], call.headers["Barq-Delivery"]) == (
            body["event"],
            body["delivery"],
        )
        assert (body["job_id"], body["attempt"]) == (job_id, 1)
        assert body.keys() >= {"name", "reason", "step", "at"}
    views = site.desk.notifications(job_id)
    assert [(v.status, v.tries, v.next_at) for v in views] == [(200, 1, None)] * 3


async def test_only_what_was_asked_for_is_told(site: Site) -> None:
    """A hold before anything ran is no pause either."""
    site.submit(events=("end",))
    await site.becomes(JobState.HELD, JobState.RUNNING, JobState.PAUSED, JobState.RUNNING, JobState.FAILED)

    assert [n.event for n in site.desk.notifications("demo-1")] == ["end"]


async def test_a_failure_is_tried_again_later(site: Site) -> None:
    """With a growing pause, under the same id; everybody can see how it stands."""
    site.there.answers = [500, 503]
    site.submit()
    await site.becomes(JobState.CANCELLED)

    async with site.telling():
        first = await site.until(lambda n: n.tries == 1)
        site.clock.passed += timedelta(seconds=5)
        second = await site.until(lambda n: n.tries == 2)
        site.clock.passed += timedelta(seconds=10)
        third = await site.until(lambda n: n.delivered_at is not None)

    assert (first.error, second.error, third.error) == ("it answered 500", "it answered 503", "")
    assert first.next_at is not None
    assert second.next_at is not None
    assert second.next_at - first.next_at == timedelta(seconds=10)
    assert len({c.headers["Barq-Delivery"] for c in site.there.calls}) == 1
    assert len(site.there.calls) == 3


async def test_nothing_is_lost_when_the_scheduler_goes(site: Site) -> None:
    """What was under way is told again by the next one, under the same id."""
    site.there.answers = ["hang"]
    site.submit()
    await site.becomes(JobState.CANCELLED)
    async with site.telling():
        await asyncio.to_thread(wait_for, lambda: site.there.calls, timeout_s=PATIENCE_S, what="a call")

    async with site.telling():
        await site.until(lambda n: n.delivered_at is not None)

    first, second = site.there.calls
    assert first.body == second.body


@pytest.mark.parametrize("answer", [410, (302, "Location", "http://169.254.169.254/latest")])
async def test_redirects_are_not_followed_and_gone_is_gone(
    site: Site, answer: int | tuple[int, str, str]
) -> None:
    """A redirect is a failure like any other; 410 ends it at once."""
    site.there.answers = [answer]
    site.submit()
    await site.becomes(JobState.CANCELLED)

    async with site.telling():
        told = await site.until(lambda n: n.tries == 1)

    assert len(site.there.calls) == 1
    assert (told.next_at is None) == (answer == 410)
    assert told.delivered_at is None


async def test_a_day_later_it_is_given_up(site: Site) -> None:
    """Nobody is called for ever."""
    site.there.answers = [500]
    site.submit()
    await site.becomes(JobState.CANCELLED)
    site.clock.passed = TRIED_FOR

    async with site.telling():
        told = await site.until(lambda n: n.tries == 1)

    assert told.next_at is None


@pytest.mark.parametrize(
    "url,allow_private",
    [
        ("", False),
        ("https://127.0.0.1:9/", False),
        ("https://169.254.169.254/latest/meta-data", True),
        ("http://[fe80::1]/", True),
        ("https://[::ffff:169.254.169.254]/", True),
        ("https://10.0.0.1/", False),
        ("https://0.0.0.0/", True),
    ],
)
async def test_addresses_that_are_not_allowed_are_never_called(
    site: Site, url: str, allow_private: bool
) -> None:
    """Private ones by default, those of the cloud's own service ever."""
    site.submit(url=url)
    await site.becomes(JobState.CANCELLED)

    async with site.telling(allow_private=allow_private):
        told = await site.until(lambda n: n.tries == 1)

    assert "allow" in told.error
    assert told.next_at is None
    assert site.there.calls == []


async def test_a_long_answer_is_not_read(site: Site) -> None:
    """Whatever it says, the status is all that counts."""
    site.there.body = b"x" * 5_000_000
    site.submit()
    await site.becomes(JobState.CANCELLED)

    async with site.telling():
        told = await site.until(lambda n: n.tries == 1)

    assert told.status == 200


async def test_the_secret_is_nowhere_to_be_seen(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Not in what is told, shown or logged; and it is forgotten once there is nothing more to tell."""
    caplog.set_level(logging.DEBUG)
    site.there.answers = [500]
    job_id = site.submit()
    await site.becomes(JobState.CANCELLED)
    async with site.telling():
        await site.until(lambda n: n.tries == 1)
        site.clock.passed += timedelta(seconds=5)
        await site.until(lambda n: n.delivered_at is not None)

    shown = [repr(site.desk.get(job_id)), repr(site.desk.notifications(job_id)), repr(site.desk.events())]
    told = [repr(call) for call in site.there.calls]
    logged = [r.getMessage() for r in caplog.records if r.name.startswith(("scheduler", "httpx"))]
    assert logged
    assert not [text for text in shown + told + logged if SECRET in text]
    assert not [text for text in logged if "path-token" in text]

    await site.store.record(tick(120.0, 1))
    outbox = SqlOutbox(site.engine)
    assert list(await outbox.due(site.clock.now() + TRIED_FOR, most=10)) == []
    outbox.close()
    assert b"receiver" not in _targets(site.engine)


def _targets(engine: Engine) -> bytes:
    with engine.connect() as connection:
        return repr(connection.exec_driver_sql("SELECT * FROM notify_targets").all()).encode()
