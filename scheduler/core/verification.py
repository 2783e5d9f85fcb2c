"""What each fall of the limit came to: baseline, commanded, measured, depth, rebound. Measurement and verification.

The method is the one that the demand response standards of NAESB (WEQ-015) call *meter before / meter after*: the draw
of a stretch of time before the event is compared with that during it, by the same meter. Readings are those that are on
record, one a second; each speaks for the time until the next, for `LONGEST_S` at most.

- *Before*: the last `WINDOW_S` covered by readings that belong to no event. Its mean draw is the baseline.
- *During*: readings from the fall on, until the limit is back at what it was, or at what the site was entitled to.
- *Held*: those of them since the meter first was at or under the limit in force, that one or a higher one by then.
- *After*: the `WINDOW_S` behind the event, minute by minute, or less if the next event begins within. Its highest
  minute over the baseline is the rebound, as in the figures of a simulated run.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from scheduler.core.accounting import LONGEST_S
from scheduler.core.compliance import Fall
from scheduler.core.power_events import Piece, PowerEvent, Reading

WINDOW_S = 900.0
"""How much of the time before and behind an event is looked at."""
USED_TO_S = 90.0
"""So long before a fall of the limit the site counts as used to what it drew, or was entitled to."""
MOST = 64
"""Events that are followed at a time. Of more than that on top of each other the oldest is closed."""
PROGRESS_S = 60.0
"""So often an event that goes on is told anew."""
_MINUTE_S = 60.0
_HALF_S = 30.0  #: a minute of which less was measured says nothing of a peak


@dataclass(slots=True, kw_only=True)
class _Minute:
    """The minute behind an event that is being read."""

    number: int = 0
    covered_s: float = 0.0
    draw_wh: float = 0.0


class Verifier:
    """Follows the events of a site through its readings. Work for each reading and memory are bounded."""

    def __init__(self) -> None:
        self._last: Reading | None = None
        self._calm: deque[Piece] = deque()  #: that belong to no event, of `WINDOW_S` together
        self._calm_s = 0.0
        self._recent: deque[Piece] = deque(maxlen=int(USED_TO_S))  #: in which a fall may be noticed late
        self._used_to: deque[tuple[datetime, float]] = deque(maxlen=int(2 * USED_TO_S))
        self._events: dict[datetime, PowerEvent] = {}  #: not final, oldest first
        self._minutes: dict[datetime, _Minute] = {}  #: behind those that ended
        self._told_at: datetime | None = None

    def restore(self, events: tuple[PowerEvent, ...]) -> None:
        """Go on with events that an earlier leader left open. What it had read before them is not known any more."""
        self._events |= {e.began_at: e for e in sorted(events, key=lambda e: e.began_at)}

    @property
    def entitled_w(self) -> float:
        """The most that the site drew or was entitled to lately, since the last fall; 0 if nothing was read."""
        return max((w for _, w in self._used_to), default=0.0)

    def fell(
        self, fall: Fall, *, source: str, provenance: str, plan_sha256: str = ""
    ) -> tuple[PowerEvent, ...]:
        """Take in that the limit fell, or that a fall is settled. Returns the events that changed by it."""
        known = self._events.get(fall.began_at)
        if known is not None:
            return self._keep(self._settled(known, fall))
        if fall.settled_at not in (None, fall.began_at):
            return ()  # it was closed to make room
        self._close_calm(fall.began_at)
        changed = self._end_after() + self._make_room(fall.began_at)
        begun = PowerEvent(fall=fall, source=source, provenance=provenance, plan_sha256=plan_sha256)
        begun = self._with_baseline(begun)
        for piece in self._since(fall.began_at):
            begun = begun.plus(piece)
        self._used_to.clear()
        return (*changed, *self._keep(begun))

    def read(self, reading: Reading) -> tuple[PowerEvent, ...]:
        """Take in the next reading. Returns the events of which something is to be told."""
        last = self._last
        if last is not None and reading.at <= last.at:
            return ()  # the clock was set back
        self._last = reading
        self._note_used_to(reading)
        if last is not None:
            covered_s = min(LONGEST_S, (reading.at - last.at).total_seconds())
            self._count(Piece(reading=last, covered_s=covered_s, over_limit=reading.over_limit))
        return (*self._end(reading), *self._finish(reading.at), *self._progress(reading.at))

    # -- readings ------------------------------------------------------------------------------------------------

    def _note_used_to(self, reading: Reading) -> None:
        self._used_to.append((reading.at, max(reading.draw_w, reading.commanded_w)))
        since = reading.at - timedelta(seconds=USED_TO_S)
        while self._used_to[0][0] < since:
            self._used_to.popleft()

    def _count(self, piece: Piece) -> None:
        """Add a piece to the events in which it lies; where there are none, to the calm and what lies behind them."""
        self._recent.append(piece)
        going_on = self._going_on()
        for event in going_on:
            if piece.reading.at >= event.began_at:
                self._events[event.began_at] = event.plus(piece)
        if not going_on:
            self._count_calm(piece)

    def _going_on(self) -> list[PowerEvent]:
        return [e for e in self._events.values() if e.ended_at is None]

    def _count_calm(self, piece: Piece) -> None:
        self._note_calm(piece)
        for event in tuple(self._events.values()):
            if event.ended_at is not None and event.fall.settled_at is not None:
                self._count_after(event, event.ended_at, piece)

    def _note_calm(self, piece: Piece) -> None:
        self._calm.append(piece)
        self._calm_s += piece.covered_s
        while self._calm_s - self._calm[0].covered_s >= WINDOW_S or len(self._calm) > 2 * WINDOW_S:
            self._calm_s -= self._calm.popleft().covered_s

    def _count_after(self, event: PowerEvent, ended_at: datetime, piece: Piece) -> None:
        number = int((piece.reading.at - ended_at).total_seconds() // _MINUTE_S)
        minute = self._minutes.setdefault(event.began_at, _Minute())
        if number != minute.number:
            self._events[event.began_at] = _with_minute(event, minute)
            minute = self._minutes[event.began_at] = _Minute(number=number)
        if (number + 1) * _MINUTE_S <= WINDOW_S:
            minute.covered_s += piece.covered_s
            minute.draw_wh += piece.reading.draw_w * piece.covered_s / 3600.0

    # -- how an event begins ---------------------------------------------------------------------------------------

    def _close_calm(self, at: datetime) -> None:
        """The limit fell then: the last reading speaks until there, and what reaches beyond is no calm."""
        last = self._last
        if last is not None and not self._going_on():
            tail = _until(Piece(reading=last, covered_s=LONGEST_S, over_limit=False), at)
            if tail is not None:
                self._count_calm(tail)
        while self._calm and (part := _until(self._calm[-1], at)) != self._calm[-1]:
            self._calm_s -= self._calm.pop().covered_s
            if part is not None:
                self._note_calm(part)

    def _with_baseline(self, event: PowerEvent) -> PowerEvent:
        """The mean of the last `WINDOW_S` that were read in calm."""
        left_s, drawn_ws, since_at = WINDOW_S, 0.0, None
        for piece in reversed(self._calm):
            part_s = min(piece.covered_s, left_s)
            if part_s <= 0.0:
                break
            left_s -= part_s
            drawn_ws += piece.reading.draw_w * part_s
            since_at = piece.reading.at + timedelta(seconds=piece.covered_s - part_s)
        covered_s = WINDOW_S - left_s
        if since_at is None:
            return event
        return replace(
            event, baseline_w=drawn_ws / covered_s, baseline_s=covered_s, baseline_since_at=since_at
        )

    def _since(self, at: datetime) -> tuple[Piece, ...]:
        """What was read since then and is counted already."""
        return tuple(p for p in self._recent if p.reading.at >= at)

    def _settled(self, event: PowerEvent, fall: Fall) -> PowerEvent:
        """The event as it is once it is known since when the fall is complied with, or released."""
        held = event.held
        if fall.settled_at is not None and event.fall.settled_at is None:
            for piece in self._since(max(fall.settled_at, event.began_at)):
                if event.ended_at is None or piece.reading.at < event.ended_at:
                    held = held.plus(piece.reading, piece.covered_s)
        return replace(event, fall=fall, held=held)

    def _make_room(self, at: datetime) -> tuple[PowerEvent, ...]:
        if len(self._events) < MOST:
            return ()
        oldest = next(iter(self._events.values()))
        return self._close(replace(oldest, ended_at=oldest.ended_at or max(at, oldest.began_at)))

    # -- how it ends -----------------------------------------------------------------------------------------------

    def _end(self, reading: Reading) -> tuple[PowerEvent, ...]:
        """Those from which the limit takes nothing any more."""
        over = [
            replace(e, ended_at=reading.at)
            for e in self._events.values()
            if e.ended_at is None and reading.at >= e.began_at and reading.limit_w >= e.over_at_w
        ]
        return tuple(told for e in over for told in self._keep(e))

    def _end_after(self) -> tuple[PowerEvent, ...]:
        """With the next fall there is no calm behind those that ended: what was seen until then stands."""
        over = [e for e in self._events.values() if _is_over(e)]
        return tuple(told for e in over for told in self._close(e))

    def _finish(self, at: datetime) -> tuple[PowerEvent, ...]:
        """Those whose time behind them is over."""
        since = at - timedelta(seconds=WINDOW_S)
        over = [
            e for e in self._events.values() if _is_over(e) and e.ended_at is not None and e.ended_at <= since
        ]
        return tuple(told for e in over for told in self._close(e))

    def _progress(self, at: datetime) -> tuple[PowerEvent, ...]:
        if self._told_at is not None and (at - self._told_at).total_seconds() < PROGRESS_S:
            return ()
        self._told_at = at
        return tuple(self._events.values())

    def _close(self, event: PowerEvent) -> tuple[PowerEvent, ...]:
        minute = self._minutes.pop(event.began_at, None)
        self._events.pop(event.began_at, None)
        done = event if minute is None else _with_minute(event, minute)
        return (replace(done, is_final=True),)

    def _keep(self, event: PowerEvent) -> tuple[PowerEvent, ...]:
        self._events[event.began_at] = event
        return (event,)


def _is_over(event: PowerEvent) -> bool:
    """Whether there is nothing to wait for but what lies behind it."""
    return event.ended_at is not None and event.fall.settled_at is not None


def _until(piece: Piece, at: datetime) -> Piece | None:
    """The part of a piece that lies before `at`."""
    left_s = (at - piece.reading.at).total_seconds()
    return None if left_s <= 0 else replace(piece, covered_s=min(piece.covered_s, left_s))


def _with_minute(event: PowerEvent, minute: _Minute) -> PowerEvent:
    """The event with a whole minute behind it, if enough of that was read."""
    if minute.covered_s < _HALF_S:
        return event
    mean_w = minute.draw_wh * 3600.0 / minute.covered_s
    peak_w = mean_w if event.after_peak_w is None else max(event.after_peak_w, mean_w)
    return replace(event, after_s=event.after_s + minute.covered_s, after_peak_w=peak_w)
