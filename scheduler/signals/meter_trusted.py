"""The meters of a site in the order in which they are trusted, the sum of reports last, and never silently so.

Each is read in the background, so that one that hangs holds nobody up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from scheduler.core.reasons import Event
from scheduler.core.snapshot import MeterReading, Quality
from scheduler.core.trust import Doubt, Look, Trust, doubted, judged
from scheduler.errors import MeterError, MeterRefused
from scheduler.ports import Meter

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One meter of the chain."""

    name: str
    meter: Meter
    trust: Trust
    poll_s: float


class TrustedMeter:
    """Hands on the reading that counts; tells when a meter is lost, refused, back, or at odds with the next one."""

    def __init__(
        self,
        links: Sequence[Link],
        reported: Meter,
        *,
        tell: Callable[[Event], None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._watched = [_Watched(link, tell) for link in links]
        self._reported, self._tell, self._now = reported, tell, now
        self._doubts: dict[tuple[str, str], Doubt] = {}  #: of a meter, by the one behind it

    async def read(self) -> MeterReading:
        """The reading that counts, with its quality. Raises `MeterError` where there is none."""
        at, reported, refusal = self._now(), None, None
        try:
            reported = await self._reported.read()
        except MeterError as error:
            refusal = error
        fresh = [w.look_after(at) for w in self._watched]
        looks = [w.look() for w in self._watched]
        for nth, metered in enumerate(fresh):
            if metered is not None:
                self._compare(nth, metered, self._next(nth, looks, reported, at))
        self._note_losses(looks, at)
        found = judged(looks, reported, at)
        if found is None:
            raise MeterError("; ".join([*(w.complaint() for w in self._watched), str(refusal)]))
        return found

    async def close(self) -> None:
        """Stop asking, and end the connections."""
        for watched in self._watched:
            await watched.close()
        await self._reported.close()

    def _next(
        self, nth: int, looks: Sequence[Look], reported: MeterReading | None, at: datetime
    ) -> MeterReading | None:
        """What is said by the next one behind a meter that has something to say now; the reports in the end."""
        behind = [k.reading for k in looks[nth + 1 :] if k.counts(at) and not k.refused]
        return next(iter(behind), None) or reported

    def _note_losses(self, looks: Sequence[Look], at: datetime) -> None:
        """Tell of each meter that was just lost; of one that counted until now, also who counts instead."""
        counts = next((nth for nth, look in enumerate(looks) if look.counts(at)), len(looks))
        reports = "the sum of what devices report"
        stands_in = f"what {self._watched[counts].link.name} shows" if counts < len(looks) else reports
        for nth, watched in enumerate(self._watched):
            if watched.is_newly_lost(at):
                self._forget(watched.link.name)
                watched.say_lost(at, stands_in if nth < counts else "")

    def _forget(self, name: str) -> None:
        """Nobody compares while it is away. An alarm stands until they agree."""
        self._doubts = {key: d for key, d in self._doubts.items() if name not in key or d.alarmed}

    def _compare(self, nth: int, metered: MeterReading, other: MeterReading | None) -> None:
        """Hold a new reading against what is said behind it now."""
        if other is None:
            return
        link = self._watched[nth].link
        key = (link.name, other.source)
        before, figures = self._doubts.get(key, Doubt()), (metered.draw_w, other.draw_w)
        self._doubts = {k: d for k, d in self._doubts.items() if k[0] != key[0] or d.alarmed}
        now = self._doubts[key] = doubted(before, metered.measured_at, *figures, link.trust)
        if now.alarmed == before.alarmed:
            return
        kind, words = "meter.agrees", "agree again"
        if now.alarmed:
            kind = "meter.disagrees"
            words = "disagree; check the meter's scale and sign, and who draws without reporting"
        shown = f"meter {link.name} shows {figures[0] / 1000:.2f} kW, {key[1]} {figures[1] / 1000:.2f} kW"
        event = Event(
            at=metered.measured_at,
            kind=kind,
            text=f"{shown}: they {words}",
            data={"meter": link.name, "draw_w": figures[0], "other": key[1], "reported_w": figures[1]},
        )
        self._tell(event)


class _Watched:
    """One meter, asked again and again."""

    def __init__(self, link: Link, tell: Callable[[Event], None]) -> None:
        self.link, self._tell = link, tell
        self.asked: asyncio.Task[MeterReading] | None = None
        self._asked_at: datetime | None = None
        self._last: MeterReading | None = None  #: sound one
        self._why: MeterError | None = None  #: there is none newer
        self._waiting_since_at: datetime | None = None  #: for a sound reading
        self._is_lost = False
        self._is_refused = False

    def look(self) -> Look:
        """What it last had to say."""
        refused = isinstance(self._why, MeterRefused)
        return Look(reading=self._last, trust=self.link.trust, refused=refused)

    def complaint(self) -> str:
        """Why it is not to be had."""
        return str(self._why or f"meter {self.link.name}: no answer yet")

    def look_after(self, at: datetime) -> MeterReading | None:
        """Take what became of the last question, and ask the next one when it is due. The reading, if it is new."""
        self._waiting_since_at = self._waiting_since_at or at
        fresh = None
        if self.asked is not None and self.asked.done():
            fresh, self.asked = self._take(self.asked, at), None
        due = self._asked_at is None or at - self._asked_at >= timedelta(seconds=self.link.poll_s)
        if self.asked is None and (due or (self._asked_at is not None and at < self._asked_at)):
            self._asked_at = at
            self.asked = asyncio.ensure_future(self.link.meter.read())
        return fresh

    def is_newly_lost(self, at: datetime) -> bool:
        """Whether it just became too old to count."""
        since_at = self._waiting_since_at
        if self._is_lost or since_at is None:
            return False
        self._is_lost = (at - since_at).total_seconds() > self.link.trust.stale_after_s
        return self._is_lost

    def say_lost(self, at: datetime, stands_in: str) -> None:
        """Tell who counts instead, if it was its turn."""
        why = self._why or f"meter {self.link.name}: no answer"
        then = f"; until it is back the draw is {Quality.ESTIMATED}, {stands_in}" if stands_in else ""
        self._say(at, "meter.lost", f"{why}{then}")

    async def close(self) -> None:
        """Stop asking, and end the connection."""
        if self.asked is not None:
            self.asked.cancel()
            with suppress(asyncio.CancelledError, MeterError):
                await self.asked
            self.asked = None
        await self.link.meter.close()

    def _take(self, asked: asyncio.Task[MeterReading], at: datetime) -> MeterReading | None:
        try:
            self._last, self._why = _outcome(asked, self.link.name), None
        except MeterError as error:
            self._why = error
            if isinstance(error, MeterRefused) and not self._is_refused:
                self._is_refused = True
                self._say(at, "meter.refused", f"a reading was refused: {error}")
            return None
        self._waiting_since_at = self._last.measured_at
        if self._is_lost or self._is_refused:
            self._is_lost = self._is_refused = False
            self._say(at, "meter.back", f"meter {self.link.name} can be read again")
        return self._last

    def _say(self, at: datetime, kind: str, text: str) -> None:
        self._tell(Event(at=at, kind=kind, text=text, data={"meter": self.link.name}))


def _outcome(asked: asyncio.Task[MeterReading], name: str) -> MeterReading:
    """The reading that was asked for. Raises `MeterError`, for a fault of ours too: others stand in then."""
    try:
        return asked.result()
    except MeterError:
        raise
    except Exception as error:
        log.exception("meter %s: reading it failed", name)
        why = (
            f"meter {name}: an error in Barq: {type(error).__name__}; see the scheduler's log, and report it"
        )
        raise MeterError(why) from error
