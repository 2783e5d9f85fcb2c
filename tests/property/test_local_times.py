"""A schedule by a clock on the wall covers the time that passed, in every zone and at every change of its clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from hypothesis import given, strategies as st

from scheduler.series.csv_table import CsvTable
from scheduler.series.csv_times import read_times

ZONES = sorted(z for z in available_timezones() if "/" in z and not z.startswith(("posix/", "right/")))
FIRST, LAST = datetime(2015, 1, 1, tzinfo=UTC), datetime(2035, 1, 1, tzinfo=UTC)


@cache
def changes(zone: str) -> tuple[datetime, ...]:
    """When the clocks of a zone are put forward or back, to the minute; some instant where they never are."""
    place, found, at = ZoneInfo(zone), list[datetime](), FIRST
    while at < LAST:
        following = at + timedelta(days=7)
        if at.astimezone(place).utcoffset() != following.astimezone(place).utcoffset():
            found.append(_between(at, following, place))
        at = following
    return tuple(found) or (datetime(2026, 6, 1, tzinfo=UTC),)


def _between(low: datetime, high: datetime, place: ZoneInfo) -> datetime:
    before = low.astimezone(place).utcoffset()
    while high - low > timedelta(minutes=1):
        middle = low + timedelta(minutes=(high - low) // timedelta(minutes=2))
        low, high = (middle, high) if middle.astimezone(place).utcoffset() == before else (low, middle)
    return high


@given(
    data=st.data(),
    zone=st.sampled_from(ZONES),
    gaps_min=st.lists(st.integers(1, 30), min_size=1, max_size=60),
)
def test_rows_are_at_the_instants_that_they_were_written_for(
    data: st.DataObject, zone: str, gaps_min: list[int]
) -> None:
    """At any cadence that shows the repeated hour twice; so no interval is lost, and none is there twice."""
    change_at = data.draw(st.sampled_from(changes(zone)))
    at = change_at - timedelta(minutes=data.draw(st.integers(0, 300)))
    instants = [at]
    for gap in gaps_min:
        at += timedelta(minutes=gap)
        instants.append(at)
    texts = [t.astimezone(ZoneInfo(zone)).replace(tzinfo=None).isoformat() for t in instants]
    if datetime.fromisoformat(texts[0]).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) != instants[0]:
        return  # the file begins within the second pass, and does not say so
    rows = tuple((t,) for t in texts)
    read = read_times(
        CsvTable(path=Path("f"), columns=("time",), rows=rows, lines=(*range(len(rows)),), digest=""),
        "time",
        zone,
    )

    assert read == instants
    assert sum((b - a for a, b in pairwise(read)), timedelta()) == instants[-1] - instants[0]
