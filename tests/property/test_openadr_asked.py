"""Whatever a VTN sends as a request for reports, it is answered or refused, and what is told can be true."""

from __future__ import annotations

import math
from datetime import timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given, strategies as st

from scheduler.openadr.asked import Manner, requests_of
from scheduler.openadr.events import Refused, Rules, read_event
from scheduler.openadr.grid import MOST_TOLD, due
from scheduler.openadr.reports import Heading, intervals_of
from tests.site_told import T0, record, state

MANNER = Manner(client="barq", names=frozenset({"barq"}))
HEADING = Heading(client="barq", resource="site-meter", shed_within_s=300.0)
SITE = state(past=record((3600.0, 2000.0), (1800.0, 4000.0)).slots())
scalars = st.none() | st.booleans() | st.integers(-3, 60) | st.floats() | st.text(max_size=5)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner)
)
counts = st.none() | st.integers(-2, 9)
descriptors = st.fixed_dictionaries(
    {
        "payloadType": st.sampled_from(
            ["DEMAND", "USAGE", "USAGE_FORECAST", "DATA_QUALITY", "BASELINE", "ODD"]
        )
    },
    optional={
        "readingType": st.sampled_from(["MEAN", "PEAK", "FORECAST", "?"]) | anything,
        "units": st.sampled_from(["KW", "W", "KWH"]) | anything,
        "historical": st.booleans() | anything,
        "startInterval": counts,
        "numIntervals": counts,
        "frequency": counts | anything,
        "repeat": counts,
        "reportIntervals": st.sampled_from(["INTERVALS", "SUB_INTERVALS"]) | anything,
        "targets": anything,
        "aggregate": st.booleans() | anything,
    },
)
intervals = st.lists(
    st.fixed_dictionaries(
        {"id": st.integers(0, 9), "payloads": st.just([])},
        optional={
            "intervalPeriod": st.fixed_dictionaries({"duration": st.sampled_from(["PT0S", "PT7M", "P9999Y"])})
        },
    ),
    max_size=4,
)
events = st.fixed_dictionaries(
    {
        "id": st.just("e1"),
        "intervals": intervals,
        "intervalPeriod": st.fixed_dictionaries(
            {
                "start": st.sampled_from(
                    ["2026-06-01T11:00:00Z", "0001-01-01T00:00:00Z", "8999-12-31T23:00:00Z"]
                ),
                "duration": st.sampled_from(["PT0S", "PT1S", "PT15M", "P3D", "P9999Y"]),
            }
        ),
        "reportDescriptors": st.lists(descriptors | anything, max_size=4) | anything,
    },
    optional={"duration": st.sampled_from(["PT0S", "PT45M", "P9999Y"])},
)


@given(document=events, after_s=st.integers(-7200, 10**7))
def test_any_request_is_answered_or_refused(document: Any, after_s: int) -> None:
    """Nothing raises; a report has no more intervals than one may have, all over where they are of the past."""
    at = T0 + timedelta(seconds=after_s)
    try:
        event = read_event(document, {}, Rules(subscription_w=1.0), [])
    except Refused:
        return
    assert event is not None
    for request in requests_of(document, event, MANNER, []):
        found = due(request.timing, request.grid, at)
        if found is None:
            continue
        number, spans = found
        assert number >= 0
        assert 0 < len(spans) <= MOST_TOLD
        assert all(a.starts_at < b.starts_at and a.starts_at < a.ends_at for a, b in pairwise(spans))
        assert request.timing.ahead or all(s.ends_at <= at for s in spans)
        told = intervals_of(request, spans, SITE, HEADING)
        values = [v for i in told for p in i["payloads"] for v in p["values"]]
        assert all(isinstance(v, str) or (math.isfinite(v) and v >= 0) for v in values)
