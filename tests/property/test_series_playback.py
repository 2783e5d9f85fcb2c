"""Whatever is played at whatever speed: the loop sees the track's limits and learns nothing too early."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import example, given, strategies as st

from scheduler.series.playback import Pace, Playback, Step, Track

T0 = datetime(2026, 6, 1, 3, 7, 11, 123457, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@st.composite
def tracks(draw: st.DrawFn) -> Track:
    """Steps at any distance, some of them surprises."""
    gaps = draw(st.lists(st.floats(0.01, 4000.0), min_size=0, max_size=6))
    times = [0.0]
    for gap in gaps:
        times.append(times[-1] + gap)
    steps = tuple(
        Step(at_s=t, limit_w=float(i), provenance=str(i), surprise=draw(st.booleans()))
        for i, t in enumerate(times)
    )
    return Track(steps=steps, length_s=times[-1] + draw(st.floats(0.01, 4000.0)))


paces = st.builds(Pace, speed=st.floats(0.1, 1000.0), notice_s=st.floats(0.0, 5000.0), loop=st.booleans())


@given(track=tracks(), pace=paces, at_s=st.floats(0.0, 50_000.0))
def test_the_limit_is_the_tracks(track: Track, pace: Pace, at_s: float) -> None:
    """At each instant the step that is due, give or take a microsecond of rounding; none after the end."""
    at = T0 + timedelta(seconds=at_s)
    segment = Playback(source="grid", track=track, pace=pace, began_at=T0).envelope(at).limit_at(at)
    candidates = {due(track, pace, at + shift) for shift in (-MICROSECOND, timedelta(0), MICROSECOND)}
    assert (None if segment is None else segment.limit_w) in candidates


#: Over after 10 microseconds, and told 5000 s ahead.
BLINK = Track(steps=(Step(at_s=0.0, limit_w=0.0, provenance="0"),), length_s=0.01)


@given(track=tracks(), pace=paces, at_s=st.floats(0.0, 50_000.0))
@example(track=BLINK, pace=Pace(speed=1000.0, notice_s=5000.0, loop=True), at_s=0.0)
def test_nothing_is_told_too_early(track: Track, pace: Pace, at_s: float) -> None:
    """No segment beyond the notice, no surprise ahead of its time, no end beyond the notice."""
    at = T0 + timedelta(seconds=at_s)
    envelope = Playback(source="grid", track=track, pace=pace, began_at=T0).envelope(at)
    horizon = at + timedelta(seconds=pace.notice_s)
    ahead = [s for s in envelope.segments if s.starts_at > at]
    assert all(s.starts_at <= horizon for s in ahead)
    assert not any(track.steps[int(s.limit_w)].surprise for s in ahead)
    assert envelope.valid_until is None or envelope.valid_until <= horizon
    assert T0 <= envelope.issued_at <= at


def due(track: Track, pace: Pace, at: datetime) -> float | None:
    """The limit by the plainest reading of the track."""
    track_s = max(0.0, (at - T0).total_seconds() * pace.speed)
    if pace.loop:
        track_s %= track.length_s
    elif track_s >= track.length_s:
        return None
    return [s.limit_w for s in track.steps if s.at_s <= track_s][-1]
