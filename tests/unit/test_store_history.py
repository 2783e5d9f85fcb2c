"""The power series read back: seconds while they are kept, minutes from before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from scheduler.records import PowerSample
from scheduler.store.database import writing
from scheduler.store.desk import Desk
from scheduler.store.energy import forget_old_samples, record_sample
from scheduler.store.views import PowerPoint
from tests.stores import KINDS, SITE, after, database, sample


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty database of each kind."""
    with database(request.param, tmp_path) as opened:
        yield opened


def record(engine: Engine, *samples: PowerSample) -> None:
    """Write the samples down."""
    with writing(engine) as session:
        for one in samples:
            record_sample(session, one)


def series(engine: Engine, until_s: float, *, resolution_s: int) -> list[PowerPoint]:
    """The points from the beginning of the story on."""
    desk = Desk(engine, site=SITE)
    return list(desk.power_history(since=after(0), until=after(until_s), resolution_s=resolution_s))


def test_seconds_are_given_as_they_are(engine: Engine) -> None:
    """With the limit and all uses; the end of the span is not part of it."""
    record(engine, *(sample(s, draw_w=6000.0 + s) for s in range(5)))

    points = series(engine, 3, resolution_s=1)

    assert [(p.at, p.draw_w) for p in points] == [(after(s), 6000.0 + s) for s in range(3)]
    assert (points[0].limit_w, points[0].ai_w, points[0].rest_w, points[0].miners_w) == (
        10_000.0,
        3000.0,
        2000.0,
        1000.0,
    )


def test_a_coarser_step_holds_the_mean(engine: Engine) -> None:
    """Steps begin at whole multiples of themselves, and one without samples is left out."""
    record(engine, *(sample(s, draw_w=watts) for s, watts in ((0, 1000.0), (9, 3000.0), (25, 500.0))))

    points = series(engine, 60, resolution_s=10)

    assert [(p.at, p.draw_w) for p in points] == [(after(0), 2000.0), (after(20), 500.0)]


def test_what_is_older_than_the_seconds_comes_by_the_minute(engine: Engine) -> None:
    """The seconds are forgotten after an hour; their minutes are not, and no time is told twice."""
    record(engine, *(sample(s, draw_w=1200.0) for s in range(0, 180, 5)))
    record(engine, *(sample(s, draw_w=2400.0) for s in range(3720, 3730)))
    with writing(engine) as session:
        forget_old_samples(session, at=after(3800))

    points = series(engine, 3730, resolution_s=1)

    # the last of the old ones speaks for ten seconds, five of them in the fourth minute
    assert [(p.at, round(p.draw_w)) for p in points[:4]] == [(after(60 * m), 1200) for m in range(4)]
    assert [(p.at, round(p.draw_w)) for p in points[4:]] == [(after(s), 2400) for s in range(3720, 3730)]


def test_coarse_steps_come_from_minutes_alone(engine: Engine) -> None:
    """Each minute weighs as much as the seconds that it covers."""
    record(engine, sample(0, draw_w=1000.0), sample(6, draw_w=4000.0), sample(8, draw_w=0.0))

    [point] = series(engine, 600, resolution_s=300)

    assert point.at == after(0)
    assert point.draw_w == pytest.approx(1750.0)


def test_what_is_older_than_the_minutes_comes_by_the_quarter(engine: Engine) -> None:
    """After 90 days minutes are forgotten; no time is told twice, and no mean is lost."""
    record(engine, *(sample(s, draw_w=1200.0 if s < 900 else 2400.0) for s in range(0, 1800, 10)))
    with writing(engine) as session:
        forget_old_samples(session, at=after(90 * 86_400 + 900))

    points = series(engine, 2000, resolution_s=60)

    assert (points[0].at, round(points[0].draw_w), round(points[0].limit_w)) == (after(0), 1200, 10_000)
    assert [(p.at, round(p.draw_w)) for p in points[1:]] == [(after(900 + 60 * m), 2400) for m in range(15)]

    (hour,) = series(engine, 2000, resolution_s=3600)
    assert (hour.at, round(hour.draw_w, -1)) == (after(0), 1800)

    with writing(engine) as session:
        forget_old_samples(session, at=after(91 * 86_400))
    assert [(p.at, round(p.draw_w)) for p in series(engine, 2000, resolution_s=60)] == [
        (after(0), 1200),
        (after(900), 2400),
    ]
