"""Playing a track: at any speed, with and without notice, once or again and again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from scheduler.core.envelope import Envelope
from scheduler.series.playback import Pace, Playback, Player, Step, Track, merged

T0 = datetime(2026, 6, 1, tzinfo=UTC)
STEPS = (
    Step(at_s=0.0, limit_w=500.0, provenance="night"),
    Step(at_s=100.0, limit_w=700.0, provenance="day"),
    Step(at_s=200.0, limit_w=300.0, provenance="evening"),
)
TRACK = Track(steps=STEPS, length_s=300.0)
SURPRISE = replace(
    TRACK,
    steps=(STEPS[0], Step(at_s=50.0, limit_w=100.0, provenance="feeder tripped", surprise=True), *STEPS[1:]),
)


def after(seconds: float) -> datetime:
    """So many seconds after the beginning."""
    return T0 + timedelta(seconds=seconds)


def playback(track: Track = TRACK, **pace: float | bool) -> Playback:
    """The track, begun at `T0`."""
    return Playback(source="grid", track=track, pace=Pace(**pace), began_at=T0)  # type: ignore[arg-type]


def told(envelope: Envelope) -> list[tuple[float, float]]:
    """Seconds and watts of each segment."""
    return [((s.starts_at - T0).total_seconds(), s.limit_w) for s in envelope.segments]


@pytest.mark.parametrize(
    "at_s, limit_w", [(0, 500), (99.9, 500), (100, 700), (199, 700), (200, 300), (299.9, 300)]
)
def test_the_step_in_force_is_told(at_s: float, limit_w: float) -> None:
    """And nothing else, without notice."""
    envelope = playback().envelope(after(at_s))
    assert [w for _, w in told(envelope)] == [limit_w]
    assert envelope.limit_at(after(at_s)) == envelope.segments[0]


def test_it_says_when_it_was_issued_and_read() -> None:
    """Issued with the last change, read just now."""
    envelope = playback(reaction_s=20.0, stale_after_s=9.0).envelope(after(150))
    assert (envelope.issued_at, envelope.read_at) == (after(100), after(150))
    assert (envelope.source, envelope.reaction_s, envelope.stale_after_s) == ("grid", 20.0, 9.0)


def test_speed_is_seconds_of_the_track_per_second() -> None:
    """Ten times faster, each step comes ten times earlier."""
    fast = playback(speed=10.0)
    assert told(fast.envelope(after(10))) == [(10.0, 700.0)]
    assert told(fast.envelope(after(29.9))) == [(20.0, 300.0)]


def test_notice_tells_steps_ahead_in_real_seconds() -> None:
    """Those that begin within it, each issued when it was first told."""
    announced = playback(speed=10.0, notice_s=12.0)
    assert told(announced.envelope(after(0))) == [(0.0, 500.0), (10.0, 700.0)]
    assert told(announced.envelope(after(9))) == [(0.0, 500.0), (10.0, 700.0), (20.0, 300.0)]
    assert announced.envelope(after(9)).issued_at == after(8)


def test_a_surprise_is_told_when_it_comes() -> None:
    """And until then nothing behind it, which would give it away."""
    announced = playback(SURPRISE, notice_s=1000.0)
    assert told(announced.envelope(after(49))) == [(0.0, 500.0)]
    assert told(announced.envelope(after(50))) == [(50.0, 100.0), (100.0, 700.0), (200.0, 300.0)]
    assert announced.envelope(after(60)).issued_at == after(50)


def test_after_the_end_the_source_says_nothing() -> None:
    """The end is told no earlier than any other step."""
    once = playback(notice_s=20.0)
    assert once.envelope(after(279)).valid_until is None
    assert once.envelope(after(280)).valid_until == after(300)
    assert once.envelope(after(299)).limit_at(after(300)) is None
    assert once.envelope(after(1000)).limit_at(after(1000)) is None


def test_a_loop_begins_again() -> None:
    """The last step of a round holds until the first of the next."""
    again = playback(loop=True, notice_s=120.0)
    assert told(again.envelope(after(299))) == [(200.0, 300.0), (300.0, 500.0), (400.0, 700.0)]
    assert told(again.envelope(after(900 + 150)))[0] == (1000.0, 700.0)
    assert again.envelope(after(10_000)).valid_until is None


def test_before_the_beginning_there_is_no_limit() -> None:
    """What is announced by then is told."""
    early = playback(notice_s=30.0).envelope(after(-20))
    assert told(early) == [(0.0, 500.0)]
    assert early.limit_at(after(-20)) is None
    assert early.issued_at == early.read_at == after(-20)


async def test_a_player_begins_when_it_is_first_asked() -> None:
    """Unless it was told when."""
    player = Player("grid", TRACK, Pace())
    assert told(await player.read(after(1000))) == [(1000.0, 500.0)]
    assert told(await player.read(after(1150))) == [(1100.0, 700.0)]
    assert told(await Player("grid", TRACK, Pace(began_at=T0)).read(after(150))) == [(100.0, 700.0)]


def test_steps_that_change_nothing_are_merged() -> None:
    """The first of equal ones stands for all."""
    same = tuple(
        Step(at_s=float(i), limit_w=w, provenance=str(i)) for i, w in enumerate((5.0, 5.0, 6.0, 6.0, 5.0))
    )
    assert [(s.at_s, s.limit_w) for s in merged(same)] == [(0.0, 5.0), (2.0, 6.0), (4.0, 5.0)]
