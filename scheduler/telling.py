"""Tells sources of the limit how the site does, beside the loop and never in its way.

Each source in its own time: when its period is over, and soon after something changed that it should know. What is
told is the state as of then; a state that could not be told is never told later, the next one takes its place. (Reports
over intervals are made from the record of what was drawn, so that none is missing once its receiver is back.)

One that hangs, fails or floods costs itself alone: each has its own task, deadline and pauses, and nothing is kept for
it but the last day's draw, of which there is one for all.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from scheduler.core.compliance import Watch, judge_draw, note_limit
from scheduler.core.decide import Decision
from scheduler.core.draw_record import DrawRecord
from scheduler.core.envelope import Envelope, limit_of
from scheduler.core.flexibility import FlexOffer
from scheduler.core.reasons import Event
from scheduler.core.site_state import SiteState, Standing, forecast, site_state
from scheduler.core.snapshot import MeterReading, Snapshot
from scheduler.errors import SignalError
from scheduler.ports import Clock, LimitSource, ToldSource

log = logging.getLogger(__name__)

LEAST_GAP_S: Final = 1.0  #: between two tellings of one source, however much changes
DEADLINE_S: Final = 20.0  #: for one telling
FIRST_PAUSE_S: Final = 2.0  #: after a failure; each is twice the one before, and ends at
LONGEST_PAUSE_S: Final = 60.0
PLAN_STEP: Final = 0.02  #: a plan that changed by this share, and by
PLAN_STEP_W: Final = 100.0  #: no less than this much, is news
_MOST_CHARACTERS: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """What is remembered of one source's own limit, and the newest reading against it."""

    watch: Watch = field(default_factory=Watch)
    over: bool = False
    measured_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gist:
    """What a source should know soon when it changes."""

    limit_w: float
    source: str
    own: Standing
    falls: bool  #: the draw is above the plan
    planned_w: float
    step_w: float  #: by which the plan has to change to be news

    def differs(self, now: _Gist) -> bool:
        """Whether there is news in what holds `now`."""
        stepped = abs(now.planned_w - self.planned_w) >= now.step_w
        same = (self.limit_w, self.source, self.own, self.falls)
        return stepped or same != (now.limit_w, now.source, now.own, now.falls)


@dataclass(slots=True)
class _Teller:
    """One source that is told, and how that goes."""

    source: ToldSource
    period_s: float
    due: asyncio.Event = field(default_factory=asyncio.Event)
    next_s: float = 0.0  #: on the monotonic clock, when it is told again at the latest
    earliest_s: float = 0.0  #: and at the earliest
    pause_s: float = FIRST_PAUSE_S
    gist: _Gist | None = None  #: of what it was given last
    failing: str | None = None
    state: SiteState | None = None  #: to be told; the newest only
    envelopes: tuple[Envelope, ...] = ()


class Telling:
    """Takes in what the loop decides and the meter reads, and tells those that are due."""

    def __init__(
        self,
        sources: Sequence[LimitSource],
        clock: Clock,
        *,
        snapshot: Callable[[], Snapshot],
        offer: Callable[[], FlexOffer | None],
        tell: Callable[[Event], None],
    ) -> None:
        told = [s for s in sources if isinstance(s, ToldSource)]
        self._tellers = [_Teller(s, s.tell_every_s) for s in told if s.tell_every_s is not None]
        self._clock, self._snapshot, self._offer, self._tell = clock, snapshot, offer, tell
        self._record = DrawRecord()
        self._judged: dict[str, _Judged] = {}

    def measured(self, reading: MeterReading) -> None:
        """Take in a reading of the site's meter."""
        if self._tellers:
            self._record.measured(reading)

    def decided(self, decision: Decision) -> None:
        """Take in what was decided, right after it was. Cheap: what is told is put together only if some are due."""
        if not self._tellers:
            return
        try:
            self._hand_out(decision)
        except Exception:  # a fault of ours in telling must not end what keeps the limit
            log.exception("what sources are to be told cannot be put together")

    def _hand_out(self, decision: Decision) -> None:
        snapshot, now_s = self._snapshot(), self._clock.monotonic_s()
        gists = {t.source.name: self._gist(t.source.name, snapshot, decision) for t in self._tellers}
        due = [
            t
            for t in self._tellers
            if now_s >= t.earliest_s and self._is_news(t, now_s, gists[t.source.name])
        ]
        if not due:
            return
        state = site_state(snapshot, decision, self._offer(), {name: g.own for name, g in gists.items()})
        self._record.decided(snapshot.at, planned_w=decision.planned_w, state=state.state)
        state = replace(state, past=self._record.slots())
        for teller in due:
            teller.gist = gists[teller.source.name]
            teller.state, teller.envelopes = state, snapshot.envelopes
            teller.next_s = now_s + teller.period_s
            teller.earliest_s = now_s + LEAST_GAP_S
            teller.due.set()

    async def run(self) -> None:
        """Until cancelled."""
        tasks = [asyncio.ensure_future(self._keep_telling(t)) for t in self._tellers]
        try:
            await asyncio.gather(asyncio.Event().wait(), *tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # -- one source ------------------------------------------------------------------------------------------------

    async def _keep_telling(self, teller: _Teller) -> None:
        while True:
            await teller.due.wait()
            teller.due.clear()
            state, teller.state = teller.state, None
            if state is None:
                continue
            why = await self._try(teller, state)
            if why is None:
                self._told(teller)
            else:
                self._failed(teller, why)
                await self._clock.sleep_s(teller.pause_s)
                teller.pause_s = min(2 * teller.pause_s, LONGEST_PAUSE_S)
                teller.next_s = -math.inf  # with what holds then, whatever its period is

    async def _try(self, teller: _Teller, state: SiteState) -> str | None:
        """Tell it. Why it could not be told, None = it was."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                steps, until = await asyncio.to_thread(
                    forecast, teller.envelopes, state.planned_w, at=state.at, firm_w=state.firm_w
                )
                await teller.source.tell(replace(state, forecast=steps, forecast_until=until))
        except TimeoutError:
            return f"it took more than {DEADLINE_S:g} s; it is tried again"
        except SignalError as error:
            return str(error)
        except Exception as error:  # a fault of ours in telling must not end what keeps the limit
            log.exception("source %s: telling it failed", teller.source.name)
            return f"an error in Barq: {type(error).__name__}; see the scheduler's log, and report it"
        return None

    def _told(self, teller: _Teller) -> None:
        teller.pause_s = FIRST_PAUSE_S
        if teller.failing is not None:
            teller.failing = None
            self._note(teller, "report.back", "can be told again how the site does")

    def _failed(self, teller: _Teller, why: str) -> None:
        """Said when it begins, and when the reason changes."""
        why = why[:_MOST_CHARACTERS]
        log.warning("source %s: not told: %s", teller.source.name, why)
        if why != teller.failing:
            teller.failing = why
            self._note(teller, "report.lost", f"cannot be told how the site does: {why}")

    def _note(self, teller: _Teller, kind: str, text: str) -> None:
        name = teller.source.name
        event = Event(at=self._clock.now(), kind=kind, text=f"source {name} {text}", data={"source": name})
        self._tell(event)

    # -- what is news ----------------------------------------------------------------------------------------------

    def _is_news(self, teller: _Teller, now_s: float, gist: _Gist) -> bool:
        return now_s >= teller.next_s or teller.gist is None or teller.gist.differs(gist)

    def _gist(self, name: str, snapshot: Snapshot, decision: Decision) -> _Gist:
        step_w = max(PLAN_STEP_W, PLAN_STEP * decision.planned_w)
        draw_w = snapshot.meter.draw_w if snapshot.meter else 0.0
        return _Gist(
            limit_w=decision.limit.limit_w,
            source=decision.limit.source,
            own=self._judge(name, snapshot),
            falls=draw_w > decision.planned_w + step_w,
            planned_w=decision.planned_w,
            step_w=step_w,
        )

    def _judge(self, name: str, snapshot: Snapshot) -> Standing:
        """How the source's own limit stands, by the newest reading. What it was in between is noted, too."""
        at, firm_w, meter = snapshot.at, snapshot.site.firm_w, snapshot.meter
        envelope = next((e for e in snapshot.envelopes if e.source == name), None)
        limit = None if envelope is None else limit_of(envelope, at, now=at, firm_w=firm_w)
        if limit is None:
            self._judged.pop(name, None)
            return Standing(limit_w=None)
        known, limit_w = self._judged.get(name, _Judged()), limit.limit_w
        reaction_s = limit.reaction_s or snapshot.site.reaction_s
        watch = note_limit(known.watch, at=at, limit_w=limit_w, reaction_s=reaction_s)
        if meter is None:
            self._judged[name] = _Judged(watch=watch)
            return Standing(limit_w=limit_w, stale=limit.stale)
        over, measured_at = known.over, meter.measured_at
        if measured_at != known.measured_at:
            judged = judge_draw(
                watch, at=measured_at, limit_w=limit_w, draw_w=meter.draw_w, reaction_s=reaction_s
            )
            watch, over = judged.watch, judged.over_limit
        self._judged[name] = _Judged(watch=watch, over=over, measured_at=measured_at)
        in_flight = meter.draw_w > limit_w and not over
        return Standing(limit_w=limit_w, stale=limit.stale, keeps=not over, in_flight=in_flight)
