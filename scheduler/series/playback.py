"""Playing steps of power as an envelope, at any speed, telling only so much of the future."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, takewhile

from scheduler.core.envelope import Envelope, Segment

_MOST_AHEAD = 10_000  #: steps that are told at once: nearly a week of minutes


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """From `at_s` seconds into the trace on, the limit is `limit_w`. A surprise is never told ahead."""

    at_s: float
    limit_w: float
    provenance: str
    surprise: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """What is played: steps in seconds from its start, and how long it is."""

    steps: tuple[Step, ...]  #: rising in time, the first at 0
    length_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How it is played. `speed` is seconds of the track per second; all other times are real ones."""

    speed: float = 1.0
    notice_s: float = 0.0  #: how far ahead a step is told
    reaction_s: float = 30.0
    stale_after_s: float | None = None
    loop: bool = False
    began_at: datetime | None = None  #: None = when it is first asked


class Player:
    """A `LimitSource` that plays a track."""

    def __init__(self, name: str, track: Track, pace: Pace) -> None:
        self.name = name
        self._track = track
        self._pace = pace
        self._playback: Playback | None = None

    async def read(self, at: datetime) -> Envelope:
        """The step that is played at `at`, and those that are told ahead."""
        if self._playback is None:
            began_at = self._pace.began_at or at
            self._playback = Playback(source=self.name, track=self._track, pace=self._pace, began_at=began_at)
        return self._playback.envelope(at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Playback:
    """A track that began at a known instant. The same question has the same answer."""

    source: str
    track: Track
    pace: Pace
    began_at: datetime

    def envelope(self, at: datetime) -> Envelope:
        """What the source says at `at`: the step in force, and those known ahead up to the first surprise.

        No more than so many: a short track that is played fast, over and over, has millions within its notice.
        """
        begun = list(takewhile(lambda step: step[0] <= at, self._from(at)))
        known = [*begun[-1:], *islice(self._announced(at), _MOST_AHEAD)]
        segments = [Segment(starts_at=t, limit_w=s.limit_w, provenance=s.provenance) for t, s in known]
        end_at = self._end_at()
        return Envelope(
            source=self.source,
            issued_at=min(at, max([self.began_at, *(self._told_at(t, s) for t, s in known)])),
            read_at=at,
            reaction_s=self.pace.reaction_s,
            segments=tuple(segments),
            valid_until=end_at if end_at is not None and end_at <= self._horizon(at) else None,
            stale_after_s=self.pace.stale_after_s,
        )

    def _announced(self, at: datetime) -> Iterator[tuple[datetime, Step]]:
        """Steps after `at` that are told by then. Behind a surprise nothing can be told without giving it away."""
        for starts_at, step in self._from(at):
            if starts_at <= at:
                continue
            if starts_at > self._horizon(at) or step.surprise:
                return
            yield starts_at, step

    def _from(self, at: datetime) -> Iterator[tuple[datetime, Step]]:
        """Steps with their real times: the one in force at `at`, one before it, and all that follow."""
        elapsed_s = max(0.0, (at - self.began_at).total_seconds() * self.pace.speed)
        lap, into_s = divmod(elapsed_s, self.track.length_s) if self.pace.loop else (0.0, elapsed_s)
        first = max(0, bisect_right(self.track.steps, into_s, key=lambda s: s.at_s) - 2)
        lap, first = (lap - 1, len(self.track.steps) - 1) if lap and not first else (lap, first)
        while True:
            for step in self.track.steps[first:]:
                yield self._real(lap * self.track.length_s + step.at_s), step
            if not self.pace.loop:
                return
            lap, first = lap + 1, 0

    def _real(self, trace_s: float) -> datetime:
        return self.began_at + timedelta(seconds=trace_s / self.pace.speed)

    def _told_at(self, starts_at: datetime, step: Step) -> datetime:
        return starts_at if step.surprise else starts_at - timedelta(seconds=self.pace.notice_s)

    def _horizon(self, at: datetime) -> datetime:
        return at + timedelta(seconds=self.pace.notice_s)

    def _end_at(self) -> datetime | None:
        return None if self.pace.loop else self._real(self.track.length_s)


def merged(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Without the steps that change nothing."""
    return tuple(
        s
        for i, s in enumerate(steps)
        if i == 0 or not math.isclose(s.limit_w, steps[i - 1].limit_w, rel_tol=1e-9)
    )
