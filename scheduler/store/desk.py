"""`Desk`: the store as people's side (the API) uses it. Everything is synchronous and in one transaction.

Raises `StoreError` when the database fails and `Refused` for what cannot be had.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from uuid import uuid4

from sqlalchemy import Engine, select
from sqlmodel import col

from scheduler.core.accounting import Quarter
from scheduler.core.dispatch import Answer, Instruction, Verdict
from scheduler.core.estop import EmergencyStop
from scheduler.core.hashprice import ChainFigures
from scheduler.core.jobs import Desired, JobState
from scheduler.core.orders import GroupSpec
from scheduler.core.shadow import ShadowDay
from scheduler.records import Member, PowerSample
from scheduler.store import (
    arrays,
    chain,
    figures,
    instructions,
    job_queries,
    members,
    outbox,
    power_events,
    rehearsal,
    shadow_days,
    site_queries,
    stops,
    tokens,
    wishes,
)
from scheduler.store.columns import utc_now
from scheduler.store.corrections import Correction, correct
from scheduler.store.database import reading, writing
from scheduler.store.figures import EVER, FiguresPage, FiguresSpan, KeptFigures
from scheduler.store.history import power_history
from scheduler.store.instructions import InstructionFilter, InstructionPage
from scheduler.store.job_queries import JobFilter
from scheduler.store.machine_desk import MachineDesk
from scheduler.store.members import Check
from scheduler.store.power_events import EventFilter
from scheduler.store.quarters import quarters_between
from scheduler.store.refusals import TokenNotFound
from scheduler.store.settlement_desk import SettlementDesk
from scheduler.store.submissions import Submissions
from scheduler.store.tables import SITE_USER, ManualLimitRow
from scheduler.store.tokens import NewToken
from scheduler.store.views import (
    ArrayView,
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
    NotificationView,
    PlanProof,
    PowerEventPage,
    PowerEventView,
    PowerPoint,
    Summary,
    TokenView,
)
from scheduler.store.wishes import NewLimit

ANY_JOB = JobFilter()
ANY_INSTRUCTION = InstructionFilter()
EVERY_EVENT = EventFilter()


class Desk:
    """Where people submit, ask and look. May be used by several threads and processes at once.

    `is_shadow`: the store is that of a site in shadow mode, whose jobs never run, and every job is shown as such.
    """

    def __init__(
        self, engine: Engine, *, site: str, now: Callable[[], datetime] = utc_now, is_shadow: bool = False
    ) -> None:
        self._engine = engine
        self._site = site
        self._now = now
        self.is_shadow = is_shadow
        self.machines = MachineDesk(engine, site=site, now=now)
        self.settlement = SettlementDesk(engine, now=now)
        self._submissions = Submissions(
            engine, lambda session, jobs: wishes.submit(session, site, jobs, at=now())
        )

    # -- jobs ----------------------------------------------------------------------------------------------------

    def submit(self, jobs: Sequence[NewJob]) -> tuple[JobView, ...]:
        """Add all of the jobs or none; ids are "<site>-<n>". Raises `InvalidField`, and what a `build` raises."""
        return tuple(map(self._marked, self._submissions.submit(jobs)))

    def get(self, job_id: str) -> JobView:
        """One job. Raises `JobNotFound`."""
        with reading(self._engine) as session:
            return self._marked(job_queries.get_job(session, job_id))

    def list(self, which: JobFilter = ANY_JOB, *, limit: int = 100, after: str | None = None) -> JobPage:
        """A page of jobs, newest first. `after` is the `next` of the page before. Raises `InvalidField`."""
        with reading(self._engine) as session:
            page = job_queries.list_jobs(session, which, limit=limit, after=after)
        return replace(page, jobs=tuple(map(self._marked, page.jobs))) if self.is_shadow else page

    def job_counts(self) -> Mapping[JobState, int]:
        """How many jobs there are in each state that any is in."""
        with reading(self._engine) as session:
            return site_queries.jobs_by_state(session)

    def set_desired(self, job_id: str, desired: Desired, *, by: str = SITE_USER) -> JobView:
        """Say what `by` wants of a job; saying it again changes nothing. Raises `JobNotFound`, `JobIsFinal`."""
        with writing(self._engine) as session:
            wishes.set_desired(session, self._site, job_id, desired, at=self._now(), by=by)
            session.flush()
            return self._marked(job_queries.get_job(session, job_id))

    def array(self, array_id: str) -> ArrayView:
        """One array. Raises `ArrayNotFound`."""
        with reading(self._engine) as session:
            return arrays.get_array(session, array_id)

    def wish_of_array(self, array_id: str, desired: Desired, *, by: str = SITE_USER) -> ArrayView:
        """Say what `by` wants of all jobs of an array that have not ended. Raises `ArrayNotFound`, `ArrayHasEnded`."""
        with writing(self._engine) as session:
            arrays.wish_of_all(session, self._site, array_id, desired, at=self._now(), by=by)
            return arrays.get_array(session, array_id)

    def attempts(self, job_id: str) -> tuple[AttemptView, ...]:
        """All attempts of a job, by number. Raises `JobNotFound`."""
        with reading(self._engine) as session:
            return job_queries.job_attempts(session, job_id)

    def checkpoints(self, job_id: str) -> tuple[CheckpointView, ...]:
        """All checkpoints of a job, oldest first. Raises `JobNotFound`."""
        with reading(self._engine) as session:
            return job_queries.job_checkpoints(session, job_id)

    def notifications(self, job_id: str) -> tuple[NotificationView, ...]:
        """What the job's webhook was told or is to be told, oldest first. Raises `JobNotFound`."""
        with reading(self._engine) as session:
            job_queries.get_job(session, job_id)
            return outbox.job_notifications(session, job_id)

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

    def newest_decision(self, *, since: int = 0) -> tuple[int, DecisionView] | None:
        """The newest recorded decision with its number, None if there is none after number `since`."""
        with reading(self._engine) as session:
            return site_queries.newest_decision(session, since=since)

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

    def engage_stop(self, *, by: str, reason: str, stop_id: str = "") -> EmergencyStop:
        """Stop the site until a person releases it; the same id again is the same stop. Raises `InvalidField`."""
        stop = EmergencyStop(id=stop_id or uuid4().hex, reason=reason, by=by, at=self._now())
        with writing(self._engine) as session:
            return stops.engage(session, self._site, stop)

    def release_stops(self, *, by: str, reason: str) -> tuple[EmergencyStop, ...]:
        """Release every emergency stop that stands. Returns those. Raises `InvalidField`."""
        with writing(self._engine) as session:
            return stops.release(session, self._site, by=by, reason=reason, at=self._now())

    def rehearse(self) -> None:
        """Have what people may want in a hurry looked up by now. Leaves no trace. Raises `StoreError`."""
        rehearsal.rehearse(self._engine, self._site, at=self._now())

    def standing_stops(self) -> tuple[EmergencyStop, ...]:
        """Emergency stops that nobody released, oldest first."""
        with reading(self._engine) as session:
            return stops.standing(session)

    def instructions(
        self, which: InstructionFilter = ANY_INSTRUCTION, *, limit: int = 100, after: str | None = None
    ) -> InstructionPage:
        """A page of dispatch instructions: those that hold or will hold first. Raises `InvalidField`."""
        with reading(self._engine) as session:
            return instructions.page(session, which, limit=limit, after=after)

    def instruction(self, instruction_id: str) -> Instruction:
        """One dispatch instruction. Raises `InstructionNotFound`."""
        with reading(self._engine) as session:
            return instructions.get(session, instruction_id)

    def answer(self, instruction_id: str, verdict: Verdict, *, by: str, note: str = "") -> Instruction:
        """Say what `by` thinks of an instruction. Raises `InstructionNotFound`, `InstructionIsOver`, `InvalidField`."""
        answer = Answer(verdict=verdict, by=by, at=self._now(), note=note)
        with writing(self._engine) as session:
            return instructions.answer(session, self._site, instruction_id, answer)

    def samples(self, since: datetime) -> tuple[PowerSample, ...]:
        """Power samples from `since` on, oldest first. Seconds are kept for an hour."""
        with reading(self._engine) as session:
            return site_queries.samples_since(session, since)

    def power_history(self, *, since: datetime, until: datetime, resolution_s: int) -> tuple[PowerPoint, ...]:
        """Mean watts in steps over [since, until), oldest first; by the minute beyond the last hour."""
        with reading(self._engine) as session:
            return power_history(session, since=since, until=until, resolution_s=resolution_s)

    def power_events(
        self, which: EventFilter = EVERY_EVENT, *, limit: int = 100, after: str | None = None
    ) -> PowerEventPage:
        """A page of falls of the limit, newest first. `after` as in `list`. Raises `InvalidField`."""
        with reading(self._engine) as session:
            return power_events.list_events(session, which, limit=limit, after=after)

    def power_event(self, number: int) -> tuple[PowerEventView, PlanProof | None]:
        """One fall of the limit, and what would have been drawn without it. Raises `PowerEventNotFound`."""
        with reading(self._engine) as session:
            return power_events.get_event(session, number)

    # -- the site ------------------------------------------------------------------------------------------------

    def quarters(self, since: datetime, until: datetime) -> tuple[Quarter, ...]:
        """Quarters of an hour that begin in [since, until), each before its corrections, oldest first."""
        with reading(self._engine) as session:
            return quarters_between(session, since, until)

    def correct_quarter(self, correction: Correction) -> Quarter:
        """Add to a quarter that is over; what was measured stays as it is. Raises `InvalidField`."""
        with writing(self._engine) as session:
            return correct(session, correction, at=self._now())

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

    def shadow_days(self, *, limit: int, day: date | None = None) -> tuple[ShadowDay, ...]:
        """The books of shadow mode, the newest first; one day's, if `day` is given."""
        with reading(self._engine) as session:
            return shadow_days.shadow_days(session, limit=limit, day=day)

    def tell_figures(self, told: ChainFigures, *, by: str, corrects: bool = False) -> KeptFigures:
        """Take in what a person says of price, difficulty, height and fees. Raises `FiguresRefused`."""
        with writing(self._engine) as session:
            return figures.tell(session, self._site, told, by=by, at=self._now(), corrects=corrects)

    def figures(self) -> KeptFigures | None:
        """The newest figures that revenue is reckoned from, None before anybody told any."""
        with reading(self._engine) as session:
            return figures.newest(session)

    def figures_told(
        self, span: FiguresSpan = EVER, *, limit: int = 100, after: str | None = None
    ) -> FiguresPage:
        """A page of the series, what was told last first. Raises `InvalidField`."""
        with reading(self._engine) as session:
            return figures.page(session, span, limit=limit, after=after)

    # -- nodes of other machines -----------------------------------------------------------------------------------

    def members(self) -> tuple[Member, ...]:
        """Those that joined, by name."""
        with reading(self._engine) as session:
            return members.read_members(session)

    def join(self, *specs: GroupSpec, by: str, check: Check) -> None:
        """Add groups of one machine, or take in that they come back. Raises what `check` raises at the members."""
        with writing(self._engine) as session:
            members.join(session, self._site, specs, by=by, at=self._now(), check=check)

    def leave(self, name: str) -> None:
        """Have no new work sent to a node that joined. Raises `NodeNotFound`."""
        with writing(self._engine) as session:
            members.leave(session, self._site, name, at=self._now())

    def forget(self, name: str) -> None:
        """Take a node that joined out of the site. Raises `NodeNotFound`."""
        with writing(self._engine) as session:
            members.forget(session, self._site, name, at=self._now())

    # -- tokens --------------------------------------------------------------------------------------------------

    def make_token(self, new: NewToken) -> tuple[TokenView, str]:
        """A new token, and its clear text, which cannot be had again. Raises `TokenNameTaken`, `InvalidField`."""
        with writing(self._engine) as session:
            return tokens.create_token(session, new, at=self._now())

    def create_token(self, name: str, role: str, *, expires_at: datetime | None = None) -> str:
        """As `make_token`, for a user of the same name; only the clear text."""
        return self.make_token(NewToken(user=name, name=name, role=role, expires_at=expires_at))[1]

    def look_up_token(self, text: str) -> TokenView | None:
        """Whose token this is or was, expired and revoked ones too; None for one that never was."""
        with reading(self._engine) as session:
            return tokens.look_up_token(session, text)

    def find_token(self, text: str) -> TokenView | None:
        """Whose token this is; None for one that is unknown, was revoked or has expired."""
        token = self.look_up_token(text)
        return token if token is not None and tokens.is_valid(token, self._now()) else None

    def tokens(self) -> tuple[TokenView, ...]:
        """All tokens by name, expired ones too, revoked ones not."""
        with reading(self._engine) as session:
            return tokens.list_tokens(session)

    def token(self, name: str) -> TokenView:
        """The token of that name. Raises `TokenNotFound`."""
        with reading(self._engine) as session:
            return tokens.get_token(session, name)

    def revoke_token(self, name: str, *, by: str | None = None) -> bool:
        """Take a token back. Whether there was one."""
        with writing(self._engine) as session:
            try:
                tokens.revoke_token(session, name, at=self._now(), by=by)
            except TokenNotFound:
                return False
            return True

    def _marked(self, job: JobView) -> JobView:
        return replace(job, is_shadow=True) if self.is_shadow else job
