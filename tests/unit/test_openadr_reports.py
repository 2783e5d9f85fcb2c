"""What a VTN is told: which reports it asks for, when they are due, and what stands in them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from scheduler.core.site_state import SiteState
from scheduler.openadr.asked import Manner, Request, of_site, requests_of
from scheduler.openadr.events import Rules, read_event
from scheduler.openadr.grid import MOST_TOLD, due
from scheduler.openadr.reports import Heading, intervals_of, report_of
from tests.site_told import T0, record, state

RULES = Rules(subscription_w=6000.0)
MANNER = Manner(client="barq", names=frozenset({"barq", "site-meter"}))
HEADING = Heading(client="barq", resource="site-meter", shed_within_s=300.0)
HALF = timedelta(minutes=30)


def an_event(*descriptors: object, start: datetime = T0 - 2 * HALF, n: int = 2, **more: Any) -> Any:
    """Half-hours of a limit, with reports asked for."""
    limit = [{"type": "IMPORT_CAPACITY_LIMIT", "values": [5]}]
    return {
        "id": "e1",
        "programID": "44",
        "intervalPeriod": {"start": start.isoformat(), "duration": "PT30M"},
        "intervals": [{"id": i, "payloads": limit} for i in range(n)],
        "reportDescriptors": list(descriptors),
    } | more


def asked(document: Any, refusals: list[str] | None = None) -> list[Request]:
    """What it asks for."""
    told: list[str] = []
    event = read_event(document, {}, RULES, told)
    assert event is not None
    return requests_of(document, event, MANNER, told if refusals is None else refusals)


def told(document: Any, site: SiteState) -> list[dict[str, Any]]:
    """The reports that are due then, as they travel."""
    found = []
    for request in asked(document):
        now_due = due(request.timing, request.grid, site.at)
        if now_due is not None:
            intervals = intervals_of(request, now_due[1], site, HEADING)
            found.append(report_of(request, intervals, HEADING))
    return found


def values(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Per interval, what each payload says."""
    return [{p["type"]: p["values"][0] for p in i["payloads"]} for i in report["resources"][0]["intervals"]]


def test_a_report_of_the_past_to_the_letter() -> None:
    """As OpenADR 3.1 has it, with what the meter showed in each interval of the event."""
    made = record((1800, 2000.0), (1800, 4000.0))
    document = an_event(
        {"payloadType": "DEMAND", "readingType": "MEAN", "units": "KW"},
        {"payloadType": "OPERATING_STATE"},
        {"payloadType": "DATA_QUALITY"},
    )

    (report,) = told(document, state(past=made.slots()))

    assert json.loads(json.dumps(report)) == {
        "eventID": "e1",
        "clientName": "barq",
        "reportName": "barq e1 0",
        "payloadDescriptors": [
            {
                "objectType": "REPORT_PAYLOAD_DESCRIPTOR",
                "payloadType": "DEMAND",
                "readingType": "MEAN",
                "units": "KW",
            },
            {"objectType": "REPORT_PAYLOAD_DESCRIPTOR", "payloadType": "OPERATING_STATE"},
            {"objectType": "REPORT_PAYLOAD_DESCRIPTOR", "payloadType": "DATA_QUALITY"},
        ],
        "resources": [
            {
                "resourceName": "site-meter",
                "intervals": [
                    {
                        "id": 0,
                        "intervalPeriod": {"start": "2026-06-01T11:00:00Z", "duration": "PT1800S"},
                        "payloads": [
                            {"type": "DEMAND", "values": [2.0]},
                            {"type": "DATA_QUALITY", "values": ["OK"]},
                        ],
                    },
                    {
                        "id": 1,
                        "intervalPeriod": {"start": "2026-06-01T11:30:00Z", "duration": "PT1800S"},
                        "payloads": [
                            {"type": "DEMAND", "values": [4.0]},
                            {"type": "OPERATING_STATE", "values": ["RUNNING_CURTAILED"]},
                            {"type": "DATA_QUALITY", "values": ["OK"]},
                        ],
                    },
                ],
            }
        ],
    }


def test_each_kind_of_the_past_has_its_own_value() -> None:
    """Peak, energy, what was commanded, and the hour before the event as its baseline."""
    made = record((3600, 3000.0), (900, 2000.0), (900, 4000.0))
    document = an_event(
        {"payloadType": "DEMAND", "readingType": "PEAK", "units": "W"},
        {"payloadType": "USAGE"},
        {"payloadType": "SETPOINT"},
        {"payloadType": "BASELINE", "units": "KWH"},
        start=T0 - HALF,
        n=1,
    )
    (report,) = told(document, state(past=made.slots()))
    assert values(report) == [{"DEMAND": 4000.0, "USAGE": 1.5, "SETPOINT": 4.5, "BASELINE": 1.5}]


def test_what_comes_is_told_from_the_forecast_and_the_offer() -> None:
    """Energy of each interval ahead, what could go and what could be added, and what waiting work wants."""
    document = an_event(
        {"payloadType": "USAGE_FORECAST"},
        {"payloadType": "LOAD_SHED_DELTA_AVAILABLE"},
        {"payloadType": "UP_REGULATION_AVAILABLE"},
        {"payloadType": "DOWN_REGULATION_AVAILABLE"},
        {"payloadType": "IMPORT_RESERVATION_CAPACITY", "units": "W"},
        start=T0,
        n=3,
    )
    (report,) = told(document, state())
    rest = {"DOWN_REGULATION_AVAILABLE": 1.5, "IMPORT_RESERVATION_CAPACITY": 1250.0}
    assert values(report) == [
        {"USAGE_FORECAST": 2.25, "LOAD_SHED_DELTA_AVAILABLE": 3.5, "UP_REGULATION_AVAILABLE": 3.5, **rest},
        {"USAGE_FORECAST": 2.25, "LOAD_SHED_DELTA_AVAILABLE": 3.5, "UP_REGULATION_AVAILABLE": 3.5, **rest},
        {"USAGE_FORECAST": 1.5, "LOAD_SHED_DELTA_AVAILABLE": 3.0, "UP_REGULATION_AVAILABLE": 3.0, **rest},
    ]


def test_what_is_not_known_is_not_told() -> None:
    """Neither what was before the record began, nor a forecast beyond what is announced; a gap is told as one."""
    made = record((900, 2000.0))
    document = an_event(
        {"payloadType": "DEMAND"}, {"payloadType": "DATA_QUALITY"}, {"payloadType": "BASELINE"}
    )
    (report,) = told(document, state(past=made.slots()))
    assert values(report) == [{"DEMAND": 2.0, "DATA_QUALITY": "MISSING"}]

    ahead = an_event({"payloadType": "USAGE_FORECAST"}, start=T0, n=3)
    (report,) = told(ahead, state(forecast_until=T0 + 2 * HALF))
    assert len(values(report)) == 2


@pytest.mark.parametrize(
    "timing, after, number, ids",
    [
        ({}, 3, None, []),
        ({}, 4, 0, [0, 1, 2, 3]),
        ({}, 9, 0, [0, 1, 2, 3]),
        ({"numIntervals": 1, "startInterval": 1, "repeat": -1}, 1, 0, [0]),
        ({"numIntervals": 1, "startInterval": 1, "repeat": -1}, 3, 2, [0, 1, 2]),
        ({"numIntervals": 1, "startInterval": 1, "repeat": 2}, 4, 1, [0, 1]),
        ({"numIntervals": 1, "startInterval": 2, "frequency": 2, "repeat": -1}, 4, 1, [1, 3]),
        ({"historical": False, "readingType": "FORECAST", "numIntervals": 2}, 0, 0, [0, 1]),
        (
            {
                "historical": False,
                "readingType": "FORECAST",
                "startInterval": 0,
                "frequency": 1,
                "repeat": -1,
                "numIntervals": 9,
            },
            2,
            2,
            [2, 3],
        ),
    ],
)
def test_a_descriptor_says_when_and_of_which_intervals(
    timing: dict[str, Any], after: int, number: int | None, ids: list[int]
) -> None:
    """Of an event of four; a later report of the past tells again what those before it told."""
    (request,) = asked(an_event({"payloadType": "DEMAND", **timing}, start=T0, n=4))
    found = due(request.timing, request.grid, T0 + after * HALF)
    assert found is None if number is None else found is not None
    if found is not None:
        assert (found[0], [s.id for s in found[1]]) == (number, ids)


def test_an_event_without_intervals_goes_on_in_its_own_period() -> None:
    """Two days of hours ahead are asked for without listing them."""
    document = an_event(
        {
            "payloadType": "LOAD_SHED_DELTA_AVAILABLE",
            "startInterval": 0,
            "numIntervals": 48,
            "historical": False,
            "frequency": 1,
            "repeat": -1,
        },
        start=T0,
        intervals=[],
    )
    (request,) = asked(document)
    found = due(request.timing, request.grid, T0 + 5 * HALF)
    assert found is not None
    assert (found[0], found[1][0].id, len(found[1])) == (5, 5, 48)


def test_an_event_without_end_is_told_in_intervals_of_our_own() -> None:
    """It has no last interval at whose end it could be told, and one that is left to us lasts a quarter of an hour."""
    document = an_event({"payloadType": "DEMAND", "reportIntervals": "SUB_INTERVALS"}, start=T0, n=1)
    document["intervalPeriod"]["duration"] = "P9999Y"
    (request,) = asked(document)
    found = due(request.timing, request.grid, T0 + timedelta(days=3))
    assert found is not None
    assert len(found[1]) == MOST_TOLD
    assert found[1][-1].ends_at == T0 + timedelta(days=3)
    assert found[1][-1].ends_at - found[1][-1].starts_at == timedelta(minutes=15)


def test_what_cannot_be_told_is_refused_with_the_reason() -> None:
    """By its name, and the rest is told."""
    refusals: list[str] = []
    found = asked(
        an_event(
            {"payloadType": "STORAGE_CHARGE_LEVEL"},
            {"payloadType": "DEMAND", "units": "F"},
            {"payloadType": "DEMAND", "readingType": "ODD"},
            {"payloadType": "USAGE", "historical": False},
            {"payloadType": "USAGE_FORECAST", "historical": True},
            {"payloadType": "DEMAND", "frequency": "often"},
            {"payloadType": "DEMAND", "aggregate": 1},
            {"payloadType": 7},
            "DEMAND",
            {"payloadType": "SETPOINT"},
        ),
        refusals,
    )
    assert [p.kind for r in found for p in r.payloads] == ["SETPOINT"]
    assert len(refusals) == 9
    assert "STORAGE_CHARGE_LEVEL: this site tells only BASELINE, DATA_QUALITY" in refusals[0]
    assert all(text.startswith("event e1: reportDescriptors: ") for text in refusals)


def test_a_descriptor_for_others_is_theirs() -> None:
    """One that names other resources asks nothing of this site, and is no fault."""
    refusals: list[str] = []
    document = an_event(
        {"payloadType": "DEMAND", "targets": ["another-meter"]},
        {"payloadType": "DEMAND", "targets": [{"type": "RESOURCE_NAME", "values": ["site-meter"]}]},
    )
    assert (len(asked(document, refusals)), refusals) == (1, [])


def test_the_site_file_asks_for_what_was_and_what_comes() -> None:
    """Two reports about one event, in quarters of an hour on the hour."""
    past, ahead = of_site(["DEMAND", "DATA_QUALITY", "LOAD_SHED_DELTA_AVAILABLE"], 900.0, "e1", MANNER)
    now = T0 + timedelta(minutes=20)

    was, comes = due(past.timing, past.grid, now), due(ahead.timing, ahead.grid, now)

    assert was is not None
    assert comes is not None
    assert was[1][-1].ends_at == comes[1][0].starts_at == T0 + timedelta(minutes=15)
    assert ahead.is_live
    assert {past.name, ahead.name} == {"barq past", "barq ahead"}
