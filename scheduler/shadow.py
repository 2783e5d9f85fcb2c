"""What shadow mode keeps: the books of each day, the newest look at both sides, and how they come into the store.

The real meter is read here and nowhere else: it judges the real site, and no decision is made from it. The loop's own
meter is that of the twin.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, Final

from scheduler.core.compliance import note_limit
from scheduler.core.envelope import Limit
from scheduler.core.jobs import Attempt, AttemptState, JobState, Phase
from scheduler.core.shadow import Draw, Figures, ShadowDay, Side, Stretch, by_day, looked, total
from scheduler.core.snapshot import MeterReading, Quality
from scheduler.errors import MeterError, MeterRefused
from scheduler.ports import Clock, Meter, Store
from scheduler.records import Intents, Stored, TickRecord
from scheduler.wire import dumps

log = logging.getLogger(__name__)

SHADOW: Final = "shadow"
"""Key of the document that holds the newest look at the real site beside its twin."""
DAY: Final = "shadow-day:"
"""Before the date: key of the document that holds the books of a day."""
LOOK_S: Final = 1.0
WRITE_S: Final = 10.0  #: between two writings of the books: what a scheduler that is killed may lose

_LATE: Final = timedelta(hours=1)
_GIVES_WAY = frozenset({Phase.SUSPEND, Phase.SAVE_EXIT, Phase.KILL})


class Books:
    """The days that are not over yet, with one judge for each side; the two share nothing but the limit."""

    def __init__(self, kept: Iterable[ShadowDay] = (), attempts: Iterable[Attempt] = ()) -> None:
        self._days = {day.day: day for day in kept}
        self._real, self._twin = Side(), Side()
        self._running = {a.id for a in attempts if a.phase is Phase.RUN}  #: attempts of the twin that may

    def look(self, twin: Draw, real: Draw | None, limit: Limit, *, reaction_s: float) -> None:
        """Take in what both draw under the limit of now. A real site that nobody could measure is not covered."""
        terms = {"limit_w": limit.limit_w, "reaction_s": reaction_s}
        is_beside = real is not None and self._real.last is not None
        self._twin, stretch, gains = looked(self._twin, twin, **terms)
        for day, figures in _dated(twin.at, gains, stretch):
            self._add_twin(self._day(day), figures, is_beside=is_beside)
        if real is None:
            self._real = Side(watch=note_limit(self._real.watch, at=twin.at, **terms))
            return
        self._real, stretch, gains = looked(self._real, real, **terms)
        for day, figures in _dated(real.at, gains, stretch):
            books = self._day(day)
            self._days[day] = replace(books, real=total(books.real, figures))

    def _add_twin(self, books: ShadowDay, figures: Figures, *, is_beside: bool) -> None:
        beside = total(books.beside, figures) if is_beside else books.beside
        self._days[books.day] = replace(books, twin=total(books.twin, figures), beside=beside)

    def recorded(self, tick: TickRecord) -> None:
        """Count what became of jobs, once it is on record."""
        paused = sum(self._gives_way(a) for a in tick.attempts)
        finished = sum(j.state is JobState.SUCCEEDED for j in tick.jobs)
        if paused or finished:
            day = self._day(tick.at.date())
            self._days[day.day] = replace(day, paused=day.paused + paused, finished=day.finished + finished)

    def documents(self) -> dict[str, str]:
        """The books as they stand."""
        return {f"{DAY}{day.isoformat()}": dumps(books).decode() for day, books in self._days.items()}

    def let_go(self, at: datetime) -> None:
        """Days that were over long before then are on record as they ended; a late reading needs the last one."""
        oldest = (at - _LATE).date()
        self._days = {day: books for day, books in self._days.items() if day >= oldest}

    def _gives_way(self, attempt: Attempt) -> bool:
        """Whether it stops now, having run, for another reason than its own end."""
        if attempt.phase is Phase.RUN and attempt.state is not AttemptState.ENDED:
            self._running.add(attempt.id)
            return False
        ran = attempt.id in self._running
        self._running.discard(attempt.id)
        return ran and attempt.phase in _GIVES_WAY and attempt.pause_cause is not None

    def _day(self, day: date) -> ShadowDay:
        return self._days.setdefault(day, ShadowDay(day=day))


def _dated(at: datetime, gains: Figures, stretch: Stretch | None) -> Iterator[tuple[date, Figures]]:
    """What is to be added to which day."""
    yield at.date(), gains
    yield from by_day(stretch).items() if stretch else ()


class RealMeter:
    """The site's own meter, as far as it has one: its last reading, and why there is none."""

    def __init__(self, clock: Clock, *, stale_after_s: float | None = None) -> None:
        self._clock, self._stale_after_s = clock, stale_after_s or 0.0
        self._last: MeterReading | None = None
        self.why = "the site file names no meter" if stale_after_s is None else "it was not read yet"

    async def run(self, meter: Meter, poll_s: float) -> None:
        """Read it again and again, and end the connection when this is cancelled."""
        try:
            while True:
                await self._read(meter)
                await self._clock.sleep_s(poll_s)
        finally:
            await meter.close()

    def reading(self) -> MeterReading | None:
        """The last one while it is fresh: nothing else stands in for a meter that does not answer."""
        if self._last is None or self._last.quality is not Quality.GOOD:
            return None
        age_s = (self._clock.now() - self._last.measured_at).total_seconds()
        return self._last if age_s <= self._stale_after_s else None

    async def _read(self, meter: Meter) -> None:
        try:
            self._last, self.why = await meter.read(), ""
        except MeterError as error:
            if str(error) != self.why:
                log.warning("the real meter: %s", error)
            self.why = str(error)
            if isinstance(error, MeterRefused):
                self._last = None


class Watch:
    """Looks at both sides once a second, and has the store keep what it saw."""

    def __init__(
        self,
        books: Books,
        twin: Callable[[], Draw],
        real: RealMeter,
        limit: Callable[[], Limit],
        clock: Clock,
        *,
        reaction_s: float,
    ) -> None:
        self.books = books
        self._twin, self._real, self._limit, self._clock = twin, real, limit, clock
        self._reaction_s = reaction_s
        self._shown: str | None = None  #: that is not on record yet
        self._written_at: datetime | None = None

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            self.look()
            await self._clock.sleep_s(LOOK_S)

    def look(self) -> None:
        """Judge both, each by its own meter, under the limit of now."""
        twin, reading, limit = self._twin(), self._real.reading(), self._limit()
        real = None if reading is None else Draw(at=reading.measured_at, draw_w=reading.draw_w)
        self.books.look(twin, real, limit, reaction_s=limit.reaction_s or self._reaction_s)
        self._shown = json.dumps(_shown(twin, reading, limit, self._real.why))

    def documents(self, at: datetime) -> dict[str, str]:
        """What is to be written with a tick: what is new, and the books now and then."""
        documents = {} if self._shown is None else {SHADOW: self._shown}
        self._shown = None
        if self._is_due(at):
            documents |= self.books.documents()
        return documents

    def recorded(self, tick: TickRecord) -> None:
        """The tick is on record, with the documents that came with it."""
        if self._is_due(tick.at):
            self._written_at = tick.at
            self.books.let_go(tick.at)
        self.books.recorded(tick)

    def _is_due(self, at: datetime) -> bool:
        before = self._written_at
        return before is None or before.date() != at.date() or (at - before).total_seconds() >= WRITE_S


def _shown(twin: Draw, real: MeterReading | None, limit: Limit, why: str) -> dict[str, Any]:
    return {
        "at": twin.at.isoformat(),
        "limit_w": limit.limit_w,
        "twin_w": twin.draw_w,
        "real_w": real.draw_w if real else None,
        "real_at": real.measured_at.isoformat() if real else None,
        "real_source": real.source if real else None,
        "real_missing": "" if real else why or "the meter does not answer",
    }


class ShadowStore:
    """The loop's store, which keeps what the watch saw along with each tick."""

    def __init__(self, store: Store, watch: Watch) -> None:
        self._store, self._watch = store, watch

    async def claim(self, holder: str, *, at: datetime, at_least: int = 0) -> int:
        """As the store's."""
        return await self._store.claim(holder, at=at, at_least=at_least)

    async def load(self) -> Stored:
        """As the store's."""
        return await self._store.load()

    async def intents(self, after: int) -> Intents:
        """As the store's."""
        return await self._store.intents(after)

    async def record(self, tick: TickRecord) -> None:
        """As the store's, with the books in the same transaction."""
        documents = self._watch.documents(tick.at)
        await self._store.record(replace(tick, current={**tick.current, **documents}))
        self._watch.recorded(tick)
