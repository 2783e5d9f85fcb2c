"""Power events over HTTP: listed in pages, shown with their plan, and verified as the documentation says."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from barq.event_views import PowerEventView
from scheduler.core.counterfactual import ComingFall, Counterfactual, counterfactual
from scheduler.core.power_events import Span
from scheduler.witness import told
from tests.api_site import ApiSite, refused
from tests.stores import after, power_event

PAGE = Path(__file__).parents[3] / "docs" / "verification.md"
SPAN = Span(covered_s=60.0, draw_wh=80.0, limit_wh=83.3, commanded_wh=81.0, unused_wh=3.3)
HELD = Span(covered_s=36.0, draw_wh=40.0, limit_wh=50.0, commanded_wh=45.0, unused_wh=10.0)


def planned() -> Counterfactual:
    """A plan of 9 kW."""
    fall = ComingFall(at=after(61), limit_w=5000.0, source="grid")
    return counterfactual(
        made_at=after(1),
        fall=fall,
        planned_at=after(1),
        watts={"draw_w": 9000.0, "ai_w": 6000.0},
        attempts=(),
    )


async def with_an_event(site: ApiSite) -> Counterfactual:
    """One that was planned for, lived through and is over."""
    plan = planned()
    await site.record(counterfactuals=(plan,), events=(told(plan),))
    over = power_event(
        61,
        complied_at=after(63),
        plan_sha256=plan.sha256,
        baseline_w=8000.0,
        baseline_s=900.0,
        during=SPAN,
        held=HELD,
        ended_at=after(121),
        after_peak_w=8400.0,
        is_final=True,
    )
    await site.record(power_events=(over,))
    return plan


async def test_an_event_is_shown_with_its_figures(site: ApiSite) -> None:
    """Each by its formula, in the units of its name."""
    plan = await with_an_event(site)

    [listed] = (await site.get("/power/events"))["events"]
    shown = await site.get("/power/events/1")

    assert {**listed, "plan": shown["plan"]} == shown
    assert list(listed) == list(PowerEventView.__annotations__)
    expected = {
        "time_to_comply_s": 2.0,
        "duration_s": 60.0,
        "commanded_w": 4500.0,
        "measured_mean_w": 4800.0,
        "held_mean_w": 4000.0,
        "depth_w": 4000.0,
        "depth_share": 0.5,
        "drawn_wh": 80.0,
        "not_drawn_wh": 8000.0 / 60 - 80.0,
        "over_curtailment_w": 1000.0,
        "over_curtailment_share": 0.2,
        "rebound_ratio": 1.05,
    }
    assert {name: listed[name] for name in expected} == pytest.approx(expected)
    assert (listed["plan_sha256"], listed["plan_seq"]) == (plan.sha256, 1)
    assert shown["plan"]["text"] == plan.text
    assert shown["plan"]["line"]["kind"] == "power.baseline"


async def test_events_come_in_pages_and_by_time(site: ApiSite) -> None:
    """As jobs do: newest first, `next` leads on."""
    await site.record(power_events=tuple(power_event(i) for i in range(5)))

    first = await site.get("/power/events", limit=3)
    rest = await site.get("/power/events", limit=3, after=first["next"])
    some = await site.get("/power/events", since=after(1).isoformat(), until=after(3).isoformat())

    assert [e["id"] for e in first["events"] + rest["events"]] == ["5", "4", "3", "2", "1"]
    assert rest["next"] is None
    assert [e["id"] for e in some["events"]] == ["3", "2"]
    assert all(datetime.fromisoformat(e["began_at"]).utcoffset() == timedelta(0) for e in some["events"])
    assert (first["events"][0]["depth_w"], first["events"][0]["plan_sha256"]) == (None, None)


async def test_what_makes_no_sense_is_refused(site: ApiSite) -> None:
    """No such event; a span that ends before it begins; a time without a zone; a cursor that is none."""
    refused(await site.client.get("/api/v1/power/events/7"), 404, "power_event_not_found")
    for query in (
        {"since": after(1).isoformat(), "until": after(0).isoformat()},
        {"since": "2026-01-01T00:00:00"},
        {"after": "x"},
    ):
        assert (await site.client.get("/api/v1/power/events", params=query)).status_code == 422


async def example(site: ApiSite, folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Run what the documentation tells auditors to run, on the event as exported, but for `changes`."""
    exported = await site.get("/power/events/1")
    (folder / "event.json").write_text(json.dumps(exported | changes), encoding="utf-8")
    monkeypatch.chdir(folder)
    [code] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(code, PAGE, "exec"), {})  # noqa: S102 - our own page


async def test_an_auditor_verifies_a_plan_as_the_documentation_says(
    site: ApiSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was exported holds; a plan that was edited does not, with its hash or without."""
    plan = await with_an_event(site)

    await example(site, tmp_path, monkeypatch)
    assert capsys.readouterr().out == "event 1: planned 9000 W, held 4000 W\n"

    shown = (await site.get("/power/events/1"))["plan"]
    edited = plan.text.replace("9000", "9900")
    digest = hashlib.sha256(edited.encode()).hexdigest()
    line = shown["line"] | {"data": shown["line"]["data"].replace(plan.sha256, digest)}
    for changes in (
        {"plan": shown | {"text": edited}},
        {"plan": shown | {"text": edited}, "plan_sha256": digest},
        {"plan": shown | {"text": edited, "line": line}, "plan_sha256": digest},
    ):
        with pytest.raises(AssertionError):
            await example(site, tmp_path, monkeypatch, **changes)


async def test_the_documentation_says_how_each_column_is_made() -> None:
    """None is left out, and none is told of that is not there."""
    page = PAGE.read_text(encoding="utf-8")
    table = page[page.index("## The columns") : page.index("`rebound_ratio` is that of")]
    told_of = {
        name
        for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }

    assert told_of == set(PowerEventView.__annotations__)
