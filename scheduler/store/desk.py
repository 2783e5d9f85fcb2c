"""`Desk`: the store as people's side (the API) uses it. Everything is synchronous and in one transaction.

Raises `StoreError` when the database fails and `Refused` for what cannot be had.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from sqlalchemy import Engine, select
from sqlmodel import col

from scheduler.core.jobs import Desired
from scheduler.records import PowerSample
from scheduler.store import chain, job_queries, site_queries, tokens, wishes
from scheduler.store.database import reading, writing
from scheduler.store.job_queries import JobFilter
from scheduler.store.tables import ManualLimitRow
from scheduler.store.views import (
    AttemptView,
    CheckpointView,
    DecisionView,
    Document,
    EventView,
    JobPage,
    JobView,
    LeaderView,
    LimitView,
    NewJob,
    Summary,
    TokenView,
)
from scheduler.store.wishes import NewLimit

ANY_JOB = JobFilter()


def utc_now() -> datetime:
    """The real time."""
    return datetime.now(UTC)


class Desk:
    """Where people submit, ask and look. May be used by several threads and processes at once."""

    def __init__(self, engine: Engine, *, site: str, now: Callable[[], datetime] = utc_now) -> None:
        self._engine = engine
        self._site = site
        self._now = now

    # -- jobs ----------------------------------------------------------------------------------------------------

    def submit(self, jobs: Sequence[NewJob]) -> tuple[JobView, ...]:
        """Add all of the jobs or none; ids are "<site>-<n>". Raises `InvalidField`, and what a `build` raises."""
        with writing(self._engine) as session:
            return tuple(wishes.submit(session, self._site, jobs, at=self._now()))

    def get(self, job_id: str) -> JobView:
        """One job. Raises `JobNotFound`."""
        with reading(self._engine) as session:
            return job_queries.get_job(session, job_id)

    def list(self, which: JobFilter = ANY_JOB, *, limit: int = 100, after: str | None = None) -> JobPage:
        """A page of jobs, newest first. `after` is the `next` of the page before. Raises `InvalidField`."""
        with reading(self._engine) as session:
            return job_queries.list_jobs(session, which, limit=limit, after=after)

    def set_desired(self, job_id: str, desired: Desired) -> JobView:
        """Say what is wanted of a job; saying it again changes nothing. Raises `JobNotFound`, `JobIsFinal`."""
        with writing(self._engine) as session:
            wishes.set_desired(session, self._site, job_id, desired, at=self._now())
            session.flush()
            return job_queries.get_job(session, job_id)

    def attempts(self, job_id: str) -> tuple[AttemptView, ...]:
        """All attempts of a job, by number. Raises `JobNotFound`."""
        with reading(self._engine) as session:
            return job_queries.job_attempts(session, job_id)

    def checkpoints(self, job_id: str) -> tuple[CheckpointView, ...]:
        """All checkpoints of a job, oldest first. Raises `JobNotFound`."""
        with reading(self._engine) as session:
            return job_queries.job_checkpoints(session, job_id)

    # -- the log -------------------------------------------------------------------------------------------------

    def events(self, job_id: str | None = None, *, after: int = 0, limit: int = 100) -> tuple[EventView, ...]:
        """Events after number `after`, oldest first: of a job, or of the site. Raises `JobNotFound`."""
        with reading(self._engine) as session:
            return job_queries.job_events(session, job_id, after=after, limit=limit)

    def recent_events(self, job_id: str | None = None, *, limit: int = 10) -> tuple[EventView, ...]:
        """The newest events, oldest of them first: of a job, or of the site. Raises `JobNotFound`."""
        with reading(self._engine) as session:
            return job_queries.recent_events(session, job_id, limit=limit)

    def verify_events(self) -> chain.Break | None:
        """The first place where the chain of events does not hold; None if it holds."""
        with reading(self._engine) as session:
            return chain.verify_chain(session)

    def decisions(self, around: datetime, *, before: int = 1, after: int = 1) -> tuple[DecisionView, ...]:
        """Recorded decisions, oldest first: the newest `before` up to `around`, and the next `after`."""
        with reading(self._engine) as session:
            return site_queries.decisions_around(session, around, before=before, after=after)

    # -- power ---------------------------------------------------------------------------------------------------

    def add_limit(self, new: NewLimit) -> LimitView:
        """Set a limit by hand; it stands until it ends or is released. Raises `InvalidField`."""
        with writing(self._engine) as session:
            return site_queries.limit_view(wishes.add_limit(session, self._site, new, at=self._now()))

    def release_limits(
        self, *, by: str, reason: str = "", limit_id: int | None = None
    ) -> tuple[LimitView, ...]:
        """End one limit, or all that stand. Returns those that it ended. Raises `LimitNotFound`."""
        with writing(self._engine) as session:
            rows = wishes.release_limits(
                session, self._site, by=by, reason=reason, at=self._now(), limit_id=limit_id
            )
            return tuple(site_queries.limit_view(row) for row in rows)

    def limits(self, *, standing: bool = True) -> tuple[LimitView, ...]:
        """Limits set by hand, oldest first: those in force now, or all there ever were."""
        every = select(ManualLimitRow).order_by(col(ManualLimitRow.id))
        with reading(self._engine) as session:
            rows = session.scalars(wishes.standing_limits(self._now()) if standing else every)
            return tuple(site_queries.limit_view(row) for row in rows)

    def samples(self, since: datetime) -> tuple[PowerSample, ...]:
        """Power samples from `since` on, oldest first. Seconds are kept for an hour."""
        with reading(self._engine) as session:
            return site_queries.samples_since(session, since)

    # -- the site ------------------------------------------------------------------------------------------------

    def current(self, key: str) -> Document | None:
        """A document that the leader keeps: "power", "nodes". None before it wrote one."""
        with reading(self._engine) as session:
            return site_queries.current_document(session, key)

    def leader(self) -> LeaderView:
        """Who leads, and when it last wrote; epoch 0 before anybody led."""
        with reading(self._engine) as session:
            return site_queries.current_leader(session)

    def summary(self) -> Summary:
        """How the site did since its store was made."""
        with reading(self._engine) as session:
            return site_queries.summary(session)

    # -- tokens --------------------------------------------------------------------------------------------------

    def create_token(self, name: str, role: str, *, expires_at: datetime | None = None) -> str:
        """A new token in clear text; it cannot be had again. Raises `TokenNameTaken`, `InvalidField`."""
        with writing(self._engine) as session:
            return tokens.create_token(session, name, role, at=self._now(), expires_at=expires_at)

    def find_token(self, text: str) -> TokenView | None:
        """Whose token this is; None for one that is unknown or has expired."""
        with reading(self._engine) as session:
            return tokens.find_token(session, text, at=self._now())

    def tokens(self) -> tuple[TokenView, ...]:
        """All tokens by name, expired ones too."""
        with reading(self._engine) as session:
            return tokens.list_tokens(session)

    def revoke_token(self, name: str) -> bool:
        """Forget a token. Whether there was one."""
        with writing(self._engine) as session:
            return tokens.revoke_token(session, name)
