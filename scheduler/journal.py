"""What of a tick is written down: deltas, events, a sample a second, the full snapshot now and then."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from scheduler.accounts import projects_document
from scheduler.core.decide import Decision
from scheduler.core.flexibility import FlexOffer
from scheduler.core.forecast import LimitRecord
from scheduler.core.interval import Running
from scheduler.core.ledger import OpenOrder
from scheduler.core.orders import AttemptFacts
from scheduler.core.projects import Used
from scheduler.core.reasons import JOB_FAILED, Event, Reason
from scheduler.core.settlement import Measured
from scheduler.core.snapshot import Snapshot
from scheduler.documents import in_force, nodes_document, power_document, sample
from scheduler.domain_documents import SITE_CHANGED, Told, limit_events, told_below
from scheduler.partner_documents import PARTNERS, told_of_partners
from scheduler.records import (
    FAULTED,
    LIMIT_RECORD,
    LIMITS_TOLD,
    MEASURED,
    QUARANTINED,
    SETTLING,
    TRIM,
    CheckpointNote,
    PowerSample,
    TickRecord,
)
from scheduler.settling import Settling
from scheduler.watchman import Watchman
from scheduler.wire import dumps
from scheduler.witness import told

SAMPLE_S = 1.0
SNAPSHOT_S = 60.0


class Journal:
    """Knows what was written before, so that only what changed is written again."""

    def __init__(
        self,
        *,
        epoch: int,
        watchman: Watchman,
        offer: Callable[[], FlexOffer | None] = lambda: None,
        settling: Settling | None = None,
    ) -> None:
        self._epoch = epoch
        self._watchman = watchman
        self._settling = settling or Settling()
        self._new_offer = offer
        self._offer: FlexOffer | None = None  #: as of the last sample
        self._reasons: dict[str, Reason] = {}
        self._noted: set[tuple[str, int, str]] = set()
        self._stops: set[str] = set()
        told_before = dict(watchman.limits_told)
        self._limit = told_before.pop("", None)
        self._below: Told = told_before  #: the same of domains that have sources
        self._record: LimitRecord | None = None  #: that was written last
        self._told: tuple[object, ...] = ()  #: by sources, as written last
        self._charge_w = 0.0  #: by which the trim lowers the room, as written last
        self._sample: PowerSample | None = None
        self._full_at: datetime | None = None
        self._raises_allowed: bool | None = None
        self._measured: tuple[Measured, ...] | None = None  #: as written last, None = not yet
        self._told_running: Running | None = None  #: as written last
        self._used: Used | None = None
        self._told_projects = False
        self._told_partners = False

    def write(
        self,
        snapshot: Snapshot,
        decision: Decision,
        orders: Mapping[str, OpenOrder],
        alarms: Mapping[str, tuple[str, ...]],
    ) -> TickRecord:
        """The record of one tick."""
        due = self._is_sampled(snapshot, decision, orders)
        told_now = bool(due or decision.events)
        partners = self._partners(snapshot, decision, orders) if told_now else {}
        notes, plans = self._new_checkpoints(snapshot), self._watchman.counterfactuals
        events = (
            *self._limit_event(snapshot),
            *(told(plan) for plan in plans),
            *self._domain_events(snapshot),
            *self._watchman.events,
            *_checkpoint_events(notes),
            *self._watchman.floors.events,
            *self._settling.events,
            *decision.events,
        )
        stops = tuple(s for s in snapshot.stops if s.id not in self._stops)
        self._stops |= {s.id for s in stops}
        full = bool(decision.events) or self._is_full_due(snapshot)
        return TickRecord(
            at=snapshot.at,
            epoch=self._epoch,
            jobs=tuple(decision.jobs.values()),
            attempts=tuple(decision.attempts.values()),
            reasons=self._changed_reasons(decision),
            events=events,
            orders=orders,
            checkpoints=tuple(notes),
            counterfactuals=plans,
            power_events=self._watchman.power_events,
            intervals=self._settling.closed,
            sample=self._sample if due and snapshot.meter is not None else None,  # no 0 W that nobody read
            last_cut_at=snapshot.at if decision.cut_work else None,
            owed=decision.owed,
            stops=stops,
            snapshot_json=dumps(snapshot) if full else None,
            decision_json=dumps(decision) if full else None,
            used=self._renewed(snapshot),
            current=self._limits_told(snapshot)
            | (self._running() if due else {})
            | self._waiting()
            | (partners | _faulted(snapshot, decision))
            | (self._documents(snapshot, decision, alarms) if told_now else {}),
        )

    def _is_sampled(self, snapshot: Snapshot, decision: Decision, orders: Mapping[str, OpenOrder]) -> bool:
        """Whether a second is over, and a sample was taken."""
        due = self._sample is None or _is_over(self._sample.at, snapshot.at, SAMPLE_S)
        if due:
            watched = self._watchman
            self._sample = sample(snapshot, decision, over_limit=watched.over_limit, allowed=watched.allowed)
            watched.measure(snapshot, self._sample)
            self._settling.measure(snapshot, decision, self._sample, orders)
            self._offer = self._new_offer()
        return due

    def _running(self) -> dict[str, str]:
        """The interval of settlement as it is now: who leads next goes on with it."""
        before, self._told_running = self._told_running, self._settling.running
        running = self._told_running
        return {} if running is None or running is before else {SETTLING: dumps(running).decode()}

    def _waiting(self) -> dict[str, str]:
        """Intervals that wait for their prices, when that changes: together with those that do so no more."""
        measured = self._settling.measured
        is_about_any = self._settling.is_open or measured or self._measured
        if measured is self._measured or not is_about_any:
            return {}
        self._measured = measured
        return {MEASURED: dumps(measured).decode()}

    def _renewed(self, snapshot: Snapshot) -> Used | None:
        """What projects used, where it is told anew."""
        before, self._used = self._used, snapshot.used
        return None if snapshot.used is before else snapshot.used

    def _documents(
        self, snapshot: Snapshot, decision: Decision, alarms: Mapping[str, tuple[str, ...]]
    ) -> dict[str, str]:
        if self._sample is None:
            return {}
        documents = {
            "power": json.dumps(power_document(snapshot, decision, self._sample, self._offer)),
            "nodes": json.dumps(nodes_document(snapshot, alarms)),
            **self._projects(snapshot),
        }
        if snapshot.record is not self._record:
            self._record = snapshot.record
            documents[LIMIT_RECORD] = dumps(snapshot.record).decode()
        return documents | self._learned(snapshot)

    def _learned(self, snapshot: Snapshot) -> dict[str, str]:
        """What the model was found to leave out, when that changed: who leads next begins with it."""
        charge_w = max(0.0, snapshot.trim.w) if snapshot.trim is not None else 0.0
        if charge_w == self._charge_w:
            return {}
        self._charge_w = charge_w
        return {TRIM: dumps(snapshot.trim).decode()}

    def _limits_told(self, snapshot: Snapshot) -> dict[str, str]:
        """What sources tell, at once when it changes: who leads next holds to it while they are silent."""
        envelopes = (*snapshot.envelopes, *snapshot.below)
        told = tuple((e.source, e.segments, e.valid_until) for e in envelopes)
        if told == self._told:
            return {}
        self._told = told
        bare = tuple(replace(e, forecast=(), forecast_by="") for e in envelopes)
        return {LIMITS_TOLD: dumps(bare).decode()}

    def _projects(self, snapshot: Snapshot) -> dict[str, str]:
        """Where there are none, that is said once."""
        if self._told_projects and not snapshot.site.projects:
            return {}
        self._told_projects = True
        return {"projects": json.dumps(projects_document(snapshot))}

    def _partners(
        self, snapshot: Snapshot, decision: Decision, orders: Mapping[str, OpenOrder]
    ) -> dict[str, str]:
        """What each may draw, and whose floor is missed. Where there are none, that is said once."""
        if self._told_partners and not any(g.miners for g in snapshot.groups.values()):
            return {}
        self._told_partners = True
        document = told_of_partners(snapshot, decision, orders, self._watchman.floors)
        return {PARTNERS: json.dumps(document)}

    def _changed_reasons(self, decision: Decision) -> dict[str, Reason | None]:
        """New and changed reasons, None for those that are gone; why a job failed stays with it."""
        now, before = dict(decision.reasons), self._reasons
        alike: dict[tuple[int, int], bool] = {}  # by identity: many jobs share one reason
        changed: dict[str, Reason | None] = {}
        for job_id, reason in now.items():
            old = before.get(job_id)
            pair = (id(old), id(reason))
            if pair not in alike:
                alike[pair] = old is reason or old == reason
            if not alike[pair]:
                changed[job_id] = reason
        changed |= {job_id: None for job_id in before if job_id not in now}
        self._reasons = now
        return changed | {e.job_id: _failure(e) for e in decision.events if e.job_id and e.kind == JOB_FAILED}

    def _is_full_due(self, snapshot: Snapshot) -> bool:
        """Once a minute, and when raises become possible or impossible: who plans a job is told from the newest."""
        at, flipped = snapshot.at, snapshot.raises_allowed is not self._raises_allowed
        self._raises_allowed = snapshot.raises_allowed
        due = flipped or self._full_at is None or _is_over(self._full_at, at, SNAPSHOT_S)
        if due:
            self._full_at = at
        return due

    def _limit_event(self, snapshot: Snapshot) -> tuple[Event, ...]:
        limit = in_force(snapshot)
        before, self._limit = self._limit, (limit.limit_w, limit.source)
        if before == self._limit:
            return ()
        was = f" (was {before[0] / 1000:.1f} kW)" if before else ""
        return (
            Event(
                at=snapshot.at,
                kind=SITE_CHANGED,
                text=f"{limit.source} allows {limit.limit_w / 1000:.1f} kW{was}: {limit.provenance}",
                data={
                    "limit_w": limit.limit_w,
                    "source": limit.source,
                    "stale": limit.stale,
                    "document": limit.document,
                    "feeder": limit.feeder,
                },
            ),
        )

    def _domain_events(self, snapshot: Snapshot) -> list[Event]:
        if not snapshot.below:
            return []
        before, self._below = self._below, told_below(snapshot)
        return limit_events(snapshot, before)

    def _new_checkpoints(self, snapshot: Snapshot) -> list[CheckpointNote]:
        """What guards tell of for the first time. What none tells of any more need not be remembered."""
        notes: list[CheckpointNote] = []
        told: set[tuple[str, int, str]] = set()
        for facts in (f for g in snapshot.groups.values() for f in g.facts):
            for note in _notes_of(facts, snapshot):
                key = (note.job_id, note.step, note.path + note.damaged)
                if key not in self._noted and key not in told:
                    notes.append(note)
                told.add(key)
        self._noted = told
        return notes


def _faulted(snapshot: Snapshot, decision: Decision) -> dict[str, str]:
    """On which nodes starts failed of late, when that changes."""
    if not decision.faulted:
        return {}
    now = {gid: g.faulted for gid, g in snapshot.groups.items()} | dict(decision.faulted)
    return {FAULTED: dumps({gid: f for gid, f in sorted(now.items()) if f is not None}).decode()}


def _is_over(since: datetime, at: datetime, most_s: float) -> bool:
    """Whether so much time has passed, or the clock went back: nothing may stand still until it is there again."""
    return at < since or (at - since).total_seconds() >= most_s


def _notes_of(facts: AttemptFacts, snapshot: Snapshot) -> Iterable[CheckpointNote]:
    job_id = facts.attempt_id.rpartition(".")[0]
    if facts.committed_path is not None and facts.committed_step is not None:
        yield CheckpointNote(
            job_id=job_id,
            attempt_id=facts.attempt_id,
            step=facts.committed_step,
            path=facts.committed_path,
            at=snapshot.at,
        )
    for what in facts.quarantined:
        yield CheckpointNote(
            job_id=job_id,
            attempt_id=facts.attempt_id,
            step=_step_of(what),
            path=what,
            at=snapshot.at,
            damaged=what,
        )


def _failure(event: Event) -> Reason:
    return Reason(code=str(event.data["cause"]), text=str(event.data["why"]))


def _step_of(what: str) -> int:
    """The step in a checkpoint's name, 0 where it names none."""
    digits = what.partition("step-")[2][:9]
    return int(digits) if digits.isdigit() else 0


def _checkpoint_events(notes: Iterable[CheckpointNote]) -> Iterable[Event]:
    for note in notes:
        if note.damaged:
            yield Event(
                at=note.at,
                kind=QUARANTINED,
                text=f"{note.job_id}: a damaged checkpoint was set aside, the one before it is used: {note.damaged}",
                job_id=note.job_id,
                attempt_id=note.attempt_id,
                data={"step": note.step, "what": note.damaged},
            )
