"""Whatever a VTN answers, the limit is one that can be, or the answer is refused."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given, strategies as st

from scheduler.core.envelope import Segment
from scheduler.openadr.events import CAPACITIES, Refused, Rules
from scheduler.openadr.schedule import Schedule, Skew, compile_schedule

T0 = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
RULES = Rules(
    subscription_w=20_000, emergency_w=5_000, emergencies=frozenset({"ALERT_BLACK_START"}), most_w=1e9
)

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
instants = st.integers(-200_000, 200_000).map(lambda s: (T0 + timedelta(seconds=s)).isoformat())
starts = instants | st.sampled_from(["0001-01-01", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]) | anything
durations = st.sampled_from(["PT0S", "PT30M", "PT7M", "P2D", "P9999Y", "P99Y", "PT1S"]) | anything
periods = st.fixed_dictionaries(
    {}, optional={"start": starts, "duration": durations, "randomizeStart": durations}
)
types = st.sampled_from([*CAPACITIES, "PRICE", "ALERT_BLACK_START", "ALERT_FIRE"]) | anything
numbers = st.integers(0, 900_000) | st.floats(0, 900_000) | anything
payloads = st.fixed_dictionaries(
    {}, optional={"type": types, "values": st.lists(numbers, max_size=3) | anything}
)
intervals = st.fixed_dictionaries(
    {"payloads": st.lists(payloads, max_size=3) | anything},
    optional={"id": anything, "intervalPeriod": periods | anything},
)
events = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["a", "b", "c"]) | anything,
        "intervals": st.lists(intervals, max_size=4) | anything,
    },
    optional={
        "programID": anything,
        "eventName": anything,
        "priority": st.integers(0, 5) | anything,
        "intervalPeriod": periods | anything,
        "duration": durations,
        "targets": anything,
        "modificationDateTime": instants | anything,
        "payloadDescriptors": anything,
    },
)
good_events = st.lists(
    st.builds(
        lambda n, start, each, values, priority, shift: {
            "id": f"e{n}",
            "priority": priority,
            "intervalPeriod": {"start": start, "duration": each, "randomizeStart": shift},
            "intervals": [
                {"id": i, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [v]}]}
                for i, v in enumerate(values)
            ],
        },
        st.integers(0, 9),
        instants,
        st.sampled_from(["PT7M", "PT30M", "PT6H"]),
        st.lists(st.integers(0, 99), min_size=1, max_size=6),
        st.none() | st.integers(0, 2),
        st.sampled_from([None, "PT0S", "PT3M", "PT1H"]),
    ),
    max_size=4,
)


def check(schedule: Schedule, now: datetime) -> None:
    """Watts that can be, instants that rise, one of them in force."""
    segments = schedule.segments
    assert segments[0].starts_at <= now
    assert all(a.starts_at < b.starts_at for a, b in pairwise(segments))
    assert all(math.isfinite(s.limit_w) and s.limit_w >= 0 for s in segments)
    assert all(s.starts_at.utcoffset() == timedelta(0) and s.provenance for s in segments)
    assert schedule.issued_at <= now
    json.dumps(schedule.refusals).encode()


def limit_at(segments: tuple[Segment, ...], at: datetime) -> float:
    """The limit in force, W."""
    return [s.limit_w for s in segments if s.starts_at <= at][-1]


@given(anything | st.lists(anything, max_size=3))
def test_any_json_is_an_answer_or_refused(document: Any) -> None:
    """It raises nothing but its own error."""
    with suppress(Refused):
        check(compile_schedule(document, {}, RULES, T0), T0)


@given(st.lists(events, max_size=4), anything)
def test_what_looks_like_events_gives_a_limit_that_can_be(documents: list[Any], program: Any) -> None:
    """Also when what was refused is known from before."""
    with suppress(Refused):
        schedule = compile_schedule(documents, {"44": program}, RULES, T0)
        check(schedule, T0)
        later = T0 + timedelta(minutes=7)
        check(compile_schedule(documents, {}, RULES, later, known=schedule.events), later)


@given(good_events, st.integers(-90_000, 90_000), st.integers(0, 900), st.integers(0, 900))
def test_uncertain_instants_never_raise_the_limit(
    documents: list[Any], at_s: int, ahead_s: int, behind_s: int
) -> None:
    """At every instant a random start or two clocks leave the limit as it was announced, or lower."""
    at = T0 + timedelta(seconds=at_s)
    plain = [
        d | {"intervalPeriod": {k: v for k, v in d["intervalPeriod"].items() if k != "randomizeStart"}}
        for d in documents
    ]
    skew = Skew(ahead=timedelta(seconds=ahead_s), behind=timedelta(seconds=behind_s))
    announced = compile_schedule(plain, {}, RULES, T0).segments
    safe = compile_schedule(documents, {}, RULES, T0, skew=skew).segments
    at = max(at, T0)
    assert limit_at(safe, at) <= limit_at(announced, at)


@given(good_events, st.integers(0, 86_400))
def test_what_was_told_ahead_comes_true(documents: list[Any], after_s: int) -> None:
    """Read later, the limit is the one that was known, as long as the VTN changes nothing."""
    at = T0 + timedelta(seconds=after_s)
    told = compile_schedule(documents, {}, RULES, T0).segments
    then = compile_schedule(documents, {}, RULES, at).segments
    assert limit_at(told, at) == limit_at(then, at)
