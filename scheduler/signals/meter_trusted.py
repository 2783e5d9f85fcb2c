"""The meter of a site that has a real one: metered where it can be, else the sum of reports, and never silently so.

It is read in the background, so that a meter that hangs holds nobody up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from scheduler.core.reasons import Event
from scheduler.core.snapshot import MeterReading, Quality
from scheduler.core.trust import Doubt, Trust, doubted, judged
from scheduler.errors import MeterError, MeterRefused
from scheduler.ports import Meter


class TrustedMeter:
    """Hands on the reading that counts; tells when the meter is lost, refused, back, or at odds with the reports."""

    def __init__(
        self,
        metered: Meter,
        reported: Meter,
        trust: Trust,
        *,
        name: str,
        poll_s: float,
        tell: Callable[[Event], None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._metered, self._reported, self._trust = metered, reported, trust
        self._name, self._poll_s, self._tell, self._now = name, poll_s, tell, now
        self._asked: asyncio.Task[MeterReading] | None = None
        self._asked_at: datetime | None = None
        self._last: MeterReading | None = None  #: sound one of the meter
        self._why: MeterError | None = None  #: there is none newer
        self._waiting_since_at: datetime | None = None  #: for a sound reading
        self._is_lost = False
        self._is_refused = False
        self._doubt = Doubt()

    async def read(self) -> MeterReading:
        """The reading that counts, with its quality. Raises `MeterError` where neither is to be had."""
        at, reported, refusal = self._now(), None, None
        self._waiting_since_at = self._waiting_since_at or at
        try:
            reported = await self._reported.read()
        except MeterError as error:
            refusal = error
        if self._asked is not None and self._asked.done():
            self._take(self._asked, reported, at)
            self._asked = None
        self._ask(at)
        self._note_loss(at)
        found = judged(self._last, reported, at, self._trust, refused=isinstance(self._why, MeterRefused))
        if found is None:
            raise MeterError(f"{self._why or f'meter {self._name}: no answer yet'}; {refusal}")
        return found

    async def close(self) -> None:
        """Stop asking, and end the connection."""
        if self._asked is not None:
            self._asked.cancel()
            with suppress(asyncio.CancelledError, MeterError):
                await self._asked
            self._asked = None
        await self._metered.close()
        await self._reported.close()

    def _ask(self, at: datetime) -> None:
        due = self._asked_at is None or at - self._asked_at >= timedelta(seconds=self._poll_s)
        if self._asked is None and (due or (self._asked_at is not None and at < self._asked_at)):
            self._asked_at = at
            self._asked = asyncio.ensure_future(self._metered.read())

    def _take(self, asked: asyncio.Task[MeterReading], reported: MeterReading | None, at: datetime) -> None:
        """What became of a question."""
        try:
            self._last, self._why = asked.result(), None
        except MeterError as error:
            self._why = error
            if isinstance(error, MeterRefused) and not self._is_refused:
                self._is_refused = True
                self._say(at, "meter.refused", f"a reading was refused: {error}")
            return
        self._waiting_since_at = self._last.measured_at
        self._note_return(at)
        if reported is not None:
            self._compare(self._last, reported)

    def _note_loss(self, at: datetime) -> None:
        since_at = self._waiting_since_at
        if self._is_lost or since_at is None:
            return
        if (at - since_at).total_seconds() > self._trust.stale_after_s:
            self._is_lost = True
            if not self._doubt.alarmed:
                self._doubt = Doubt()  # nobody compared while it was away
            why = self._why or f"meter {self._name}: no answer"
            self._say(
                at,
                "meter.lost",
                f"{why}; until it is back the draw is {Quality.ESTIMATED}, the sum of what devices report",
            )

    def _note_return(self, at: datetime) -> None:
        if self._is_lost or self._is_refused:
            self._is_lost = self._is_refused = False
            self._say(at, "meter.back", f"meter {self._name} can be read again")

    def _compare(self, metered: MeterReading, reported: MeterReading) -> None:
        """Hold a new reading against what is reported now."""
        before, figures = self._doubt, (metered.draw_w, reported.draw_w)
        self._doubt = doubted(before, metered.measured_at, *figures, self._trust)
        if self._doubt.alarmed == before.alarmed:
            return
        kind, words = "meter.agrees", "agree again"
        if self._doubt.alarmed:
            kind = "meter.disagrees"
            words = "disagree; check the meter's scale and sign, and who draws without reporting"
        shown = f"meter {self._name} shows {figures[0] / 1000:.2f} kW, reports {figures[1] / 1000:.2f} kW"
        self._say(
            metered.measured_at, kind, f"{shown}: they {words}", draw_w=figures[0], reported_w=figures[1]
        )

    def _say(self, at: datetime, kind: str, text: str, **figures: float) -> None:
        self._tell(Event(at=at, kind=kind, text=text, data={"meter": self._name, **figures}))
