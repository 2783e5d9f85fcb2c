"""How often jobs save that leave it to Barq."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from scheduler.core.forecast import LimitRecord
from scheduler.core.jobs import Job
from scheduler.core.saving import SHORTEST_S, Tempo, tempo
from scheduler.core.snapshot import Snapshot
from tests.builders import launch
from tests.told_site import ToldSite

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def job(
    number: int = 0, *, auto: bool = True, interval_s: float = 3600.0, save_s: float | None = 30.0
) -> Job:
    """A job that runs."""
    built = ToldSite().node("n", gpus=8)
    chosen = launch(checkpoint_auto=auto, checkpoint_interval_s=interval_s)
    made = built.job("j", launch=chosen).jobs["j"]
    return replace(made, number=number, save_s=save_s)


def at_rate(doublings: int) -> Tempo:
    """A loss in 2 ** -doublings seconds, whenever."""
    return Tempo(record=None, since_at=NOON, doublings=(doublings,) * 5)


def test_the_interval_is_youngs() -> None:
    """sqrt(2 * 30 s * 16384 s) = 991 s, down to the next half doubling of a minute."""
    assert at_rate(-14).save_every_s(job()) == 960.0
    assert at_rate(-14).save_every_s(job(save_s=1.0)) == 170.0


def test_nobody_goes_longer_without_a_save_than_was_shown() -> None:
    """A loss in a year is no reason to save less often than the user was told."""
    assert at_rate(-25).save_every_s(job(interval_s=300.0)) is None
    assert at_rate(-12).save_every_s(job(interval_s=600.0, save_s=30.0)) == 480.0


def test_nobody_saves_without_end() -> None:
    """At least a minute, and twice as long as a save takes."""
    assert at_rate(0).save_every_s(job(save_s=0.01)) == SHORTEST_S
    assert at_rate(0).save_every_s(job(save_s=240.0)) == pytest.approx(480.0)


def test_a_pinned_interval_stays() -> None:
    """What a person wrote is not touched."""
    assert at_rate(-9).save_every_s(job(auto=False)) is None


def test_nothing_is_said_before_any_loss() -> None:
    """A site that never went dark runs as if there were no forecast."""
    assert tempo(lit(losses=0)).save_every_s(job()) is None


def lit(*, losses: float, hour: int = 12, at: datetime = NOON) -> Snapshot:
    """A site that has been lit since six, and lost everything so many times, always in this hour."""
    plain = ToldSite(firm_w=1000.0).node("n", gpus=8).limit_w(9000.0)
    plain.at = at
    counts = {bins: [0.0] * bins for bins in (5, 24, 12, 4)}
    lost = {bins: [0.0] * bins for bins in (5, 24, 12, 4)}
    for bins, b in ((5, 3), (24, hour), (12, 0), (4, 3)):
        lost[bins][b] = losses
    for row in counts.values():
        row[:] = [20 * 86_400.0 / len(row)] * len(row)
    record = LimitRecord(
        at=at,
        limit_w=9000.0,
        lit_since_at=at.replace(hour=6, minute=0),
        lit_s=tuple(map(tuple, counts.values())),
        losses=tuple(map(tuple, lost.values())),
    )
    return replace(plain.snapshot(), record=record)


def test_jobs_save_right_before_the_hour_and_not_all_at_once() -> None:
    """Power tends to go at 13:00: two minutes ahead the first are told, a minute ahead all of them."""
    often = []
    for seconds in (600, 110, 80, 50):
        now = NOON + timedelta(seconds=3600 - seconds)
        found = tempo(lit(losses=20.0, hour=13, at=now))
        often.append([found.save_every_s(job(n)) for n in range(3)])

    calm = often[0]
    assert calm[0] == calm[1] == calm[2]
    changed = [[now != before for now, before in zip(row, calm, strict=True)] for row in often]
    assert changed == [[False] * 3, [False, False, True], [False, True, True], [True] * 3]


def test_a_tempo_lasts_until_it_would_be_another() -> None:
    """Whoever works it out anew in between finds the same, and the same end."""
    now = NOON + timedelta(minutes=41, seconds=7)
    first = tempo(lit(losses=20.0, hour=13, at=now))
    assert first.until_at is not None
    again = tempo(replace(lit(losses=20.0, hour=13, at=now), at=now + timedelta(seconds=60)))

    assert (again.doublings, again.until_at) == (first.doublings, first.until_at)


def test_only_orders_of_jobs_that_leave_it_to_barq_carry_it() -> None:
    """And the decision is to be looked at again when it may be another."""
    built = ToldSite(firm_w=1000.0).node("n", gpus=8).limit_w(9000.0)
    free = launch(checkpoint_auto=True, checkpoint_interval_s=1800.0)
    built.running("free", "n", gpus=4, launch=free)
    built.running("pinned", "n", gpus=4, launch=replace(free, checkpoint_auto=False))
    for _ in range(30):
        built.passes(600.0).limit_w(0.0).snapshot()
        built.passes(60.0).limit_w(9000.0).snapshot()
    decision = built.policy.decide(built.snapshot())

    orders = {o.job_id: o.save_every_s for o in decision.drafts["n"].attempts}
    assert orders["pinned"] is None
    assert orders["free"] is not None
    assert orders["free"] < 600.0
    assert decision.wake_at is not None
    assert decision.wake_at <= built.at + timedelta(minutes=10)
