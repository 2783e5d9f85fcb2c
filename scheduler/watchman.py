"""Watches the meter for the record: falls of the limit, seconds over it, floors of partners; and what sources tell."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from scheduler.core.compliance import Judgement, Watch, judge_draw, note_limit
from scheduler.core.counterfactual import Counterfactual
from scheduler.core.envelope import OPERATOR, Envelope, Limit
from scheduler.core.grants import Grant, Grants, grant_of, judged_by, lasts, note_grant
from scheduler.core.power_events import PowerEvent
from scheduler.core.reasons import Event
from scheduler.core.snapshot import Snapshot
from scheduler.documents import in_force
from scheduler.domain_documents import Told, limits_told
from scheduler.partner_documents import Floors
from scheduler.records import PowerSample, TickRecord
from scheduler.witness import Witness


class Watchman:
    """Keeps what was seen until it is on record: a store that is down loses none of it."""

    def __init__(self) -> None:
        self._watch = Watch()
        self._judged_at: datetime | None = None
        self._grants: Grants = ()  #: of the same time as the limits that are watched
        self._told: tuple[Limit, tuple[Envelope, ...]] | None = None  #: what the newest of them was read off
        self._allowed: Grant | None = None  #: what the last reading was judged by
        self._witness = Witness()
        self.floors = Floors()
        self._broken_at: datetime | None = None  #: since when the limit is broken, None while it is kept
        self._over_at: datetime | None = None  #: the last breach that is not on record
        self._events: tuple[Event, ...] = ()
        self._noted: Snapshot | None = None
        self.limits_told: Told = {}  #: that are on record, by domain; "" = the site

    def restore(self, events: tuple[PowerEvent, ...]) -> None:
        """Go on with the power events that an earlier leader left open."""
        self._witness.restore(events)
        self._watch = Watch(falls=tuple(e.fall for e in events if e.fall.settled_at is None))

    def note(self, snapshot: Snapshot) -> None:
        """Take in the limit that is decided under: it may be gone before the meter is read again."""
        if snapshot is self._noted:
            return
        self._note_missed(snapshot)
        self._noted = snapshot
        self._take(snapshot, at=snapshot.at)

    def look(self, snapshot: Snapshot) -> None:
        """Judge the meter's reading in `snapshot` against the limit in force, unless it was judged before."""
        meter = snapshot.meter
        if meter is None or meter.measured_at == self._judged_at:
            return
        self._note_missed(snapshot)
        limit = in_force(snapshot)
        self._note_grant(limit, snapshot, at=meter.measured_at)
        self._allowed = judged_by(self._grants)
        found = judge_draw(
            self._watch,
            at=meter.measured_at,
            limit_w=limit.limit_w,
            draw_w=meter.draw_w,
            reaction_s=_reaction_s(limit, snapshot),
            entitled_w=self._witness.entitled_w,
        )
        self._judged_at = meter.measured_at
        self._follow(found.watch)
        for fall in found.changed:
            self._witness.judged(fall, limit, at=snapshot.at)
        self._tell(found, at=meter.measured_at, draw_w=meter.draw_w)

    def measure(self, snapshot: Snapshot, sample: PowerSample) -> None:
        """Take in the sample of a second, which goes on record with this tick."""
        self._witness.measure(snapshot, sample)

    @property
    def over_limit(self) -> bool:
        """Whether any reading that is not on record yet was a breach."""
        return self._over_at is not None

    @property
    def allowed(self) -> Grant | None:
        """What the last reading was judged by, None before there was one."""
        return self._allowed

    @property
    def power_events(self) -> tuple[PowerEvent, ...]:
        """Power events of which something is to be told, and not on record yet."""
        return self._witness.events

    @property
    def counterfactuals(self) -> tuple[Counterfactual, ...]:
        """What would have been drawn without them, as far as it is not on record yet."""
        return self._witness.plans

    @property
    def events(self) -> tuple[Event, ...]:
        """That the limit was broken or is kept again, and what else was told, as far as it is not on record yet."""
        return self._events

    def begin_anew(self) -> None:
        """Tell of the limits again: what was on record of them may be lost."""
        self.limits_told = {}

    def tell(self, event: Event) -> None:
        """Have something on record that no decision tells of."""
        self._events += (event,)

    def recorded(self, record: TickRecord) -> None:
        """This is on record now. Readings that came in meanwhile are not."""
        self._witness.recorded(record)
        self.floors.recorded(record.events)
        self._events = tuple(e for e in self._events if e not in record.events)
        self.limits_told = {**self.limits_told, **limits_told(record.events)}
        if record.sample is not None and self._over_at is not None and self._over_at <= record.at:
            self._over_at = None

    def _note_missed(self, snapshot: Snapshot) -> None:
        """At first: what people set while nobody watched has its reaction time from when they did, too."""
        if self._watch.limits:
            return
        since = snapshot.at - timedelta(seconds=snapshot.site.reaction_s)
        people = [e for e in snapshot.envelopes if e.source == OPERATOR and e.issued_at > since]
        for at in sorted({since, *(e.issued_at for e in people)}) if people else ():
            known = tuple(e for e in snapshot.envelopes if e not in people or e.issued_at <= at)
            self._take(replace(snapshot, envelopes=known), at=min(at, snapshot.at))

    def _take(self, snapshot: Snapshot, *, at: datetime) -> None:
        limit = in_force(snapshot)
        reaction_s = _reaction_s(limit, snapshot)
        self._follow(note_limit(self._watch, at=at, limit_w=limit.limit_w, reaction_s=reaction_s))
        self._note_grant(limit, snapshot, at=at)

    def _note_grant(self, limit: Limit, snapshot: Snapshot, *, at: datetime) -> None:
        told = limit, snapshot.envelopes
        if told == self._told and lasts(self._grants, snapshot.at):
            return
        self._told = told
        grant = grant_of(limit, snapshot.envelopes, snapshot.at)
        self._grants = note_grant(self._grants, grant, at=at, reaction_s=_reaction_s(limit, snapshot))

    def _follow(self, watch: Watch) -> None:
        """Go on with what is remembered now; have it witnessed if the limit is a lower one than before."""
        before, self._watch = self._watch.limits[-1:], watch
        if before and watch.limits[-1][1] < before[0][1]:
            self._witness.limit_fell(watch.limits[-1][0])

    def _tell(self, found: Judgement, *, at: datetime, draw_w: float) -> None:
        """Note when a breach begins and when it is over."""
        if found.over_limit:
            self._over_at = at
        if found.over_limit and self._broken_at is None:
            self._broken_at = at
            self._events += (_broken(at, draw_w, max(w for _, w in found.watch.limits)),)
        elif not found.over_limit and self._broken_at is not None:
            self._events += (_kept(at, (at - self._broken_at).total_seconds()),)
            self._broken_at = None


def _reaction_s(limit: Limit, snapshot: Snapshot) -> float:
    return limit.reaction_s or snapshot.site.reaction_s


def _broken(at: datetime, draw_w: float, limit_w: float) -> Event:
    text = (
        f"the limit is broken: the site draws {draw_w / 1000:.2f} kW, and nobody allowed more than "
        f"{limit_w / 1000:.2f} kW within the reaction time"
    )
    return Event(at=at, kind="limit.broken", text=text, data={"draw_w": draw_w, "limit_w": limit_w})


def _kept(at: datetime, over_s: float) -> Event:
    text = f"the limit is kept again, after {over_s:.1f} s"
    return Event(at=at, kind="limit.kept", text=text, data={"over_s": over_s})
