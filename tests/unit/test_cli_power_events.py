"""`barq power events` and `barq power event`: tables for people, JSON and CSV for programs."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from barq.event_views import PowerEventView
from tests.busy_site import barq
from tests.stub_site import StubSite

EVENT: dict[str, Any] = dict.fromkeys(PowerEventView.__annotations__) | {
    "id": "12",
    "began_at": "2026-03-01T11:00:00Z",
    "ended_at": "2026-03-01T11:30:00Z",
    "is_final": True,
    "source": "grid",
    "provenance": 'feeder 7, "phase B"',
    "limit_w": 4000.0,
    "baseline_w": 11_300.0,
    "held_mean_w": 3800.0,
    "depth_share": 0.664,
    "time_to_comply_s": 1.5,
    "duration_s": 1800.0,
    "over_limit_s": 0.0,
    "rebound_ratio": 0.991,
    "plan_sha256": "9f" * 32,
    "plan_seq": 4711,
}
OPEN = EVENT | {
    "id": "13",
    "time_to_comply_s": None,
    "duration_s": None,
    "depth_share": None,
    "rebound_ratio": None,
}
RELEASED = OPEN | {"id": "14", "duration_s": 4.0, "released_at": "2026-03-01T11:00:04Z"}
LINE = {"seq": 4711, "data": "{}", "hash": "b0", "hash_before": "a7"}
PLAN = {
    "text": '{"version":1}',
    "made_at": "2026-03-01T10:59:00Z",
    "falls_at": EVENT["began_at"],
    "line": LINE,
}


def a_site() -> StubSite:
    """Two events, each on a page of its own."""
    site = StubSite()
    pages = ({"events": [OPEN], "next": "more"}, {"events": [EVENT], "next": None})
    return site.on("GET", "/power/events", *pages).on("GET", "/power/events/12", EVENT | {"plan": PLAN})


def test_events_are_a_table() -> None:
    """What goes on is said to; times and options travel to the site."""
    site = a_site()
    result = barq(site, "power", "events", "--since", "24h", "--until", "2026-03-01T12:00+01:00")

    assert result.stdout.splitlines() == [
        "ID  BEGAN                       LIMIT   BEFORE  HELD AT  DEPTH  COMPLIED   LASTED  OVER  REBOUND  SOURCE",
        "13  2026-03-01 11:00 (1 h ago)   4 kW  11.3 kW   3.8 kW      -   not yet  goes on   0 s        -  grid",
        "12  2026-03-01 11:00 (1 h ago)   4 kW  11.3 kW   3.8 kW    66%     1.5 s   30 min   0 s     0.99  grid",
    ]
    asked = [dict(request.url.params) for request in site.requests]
    span = {"since": "2026-02-28T12:00:00+00:00", "until": "2026-03-01T11:00:00+00:00", "limit": "51"}
    assert asked == [span, span | {"after": "more"}]


def test_a_fall_that_was_released_first_is_none_that_was_complied_with() -> None:
    """It is said in the same column, for it asks for nothing more."""
    site = StubSite().on("GET", "/power/events", {"events": [RELEASED], "next": None})

    (line,) = barq(site, "power", "events").stdout.splitlines()[1:]
    assert line.split()[-7:] == ["released", "4", "s", "0", "s", "-", "grid"]


def test_a_list_that_is_cut_says_so() -> None:
    """And one that is empty."""
    cut = barq(a_site(), "power", "events", "--limit", "1", "-q")
    none = barq(StubSite().on("GET", "/power/events", {"events": [], "next": None}), "power", "events")

    assert (cut.stdout, "--all shows all" in cut.stderr) == ("13\n", True)
    assert (none.stdout, none.stderr) == ("", "no power events\n")


def test_a_csv_file_has_all_of_them_oldest_first(tmp_path: Path) -> None:
    """Units in the names of the columns, times in UTC, nothing where nothing is known; - is stdout."""
    file = tmp_path / "events.csv"
    result = barq(a_site(), "power", "events", "--csv", str(file), "--limit", "1")
    text = file.read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))

    assert result.exit_code == 0, result.output
    assert "wrote 2 power events" in result.stderr
    assert list(rows[0]) == list(PowerEventView.__annotations__)
    assert [(r["id"], r["began_at"], r["limit_w"], r["duration_s"]) for r in rows] == [
        ("12", "2026-03-01T11:00:00Z", "4000.0", "1800.0"),
        ("13", "2026-03-01T11:00:00Z", "4000.0", ""),
    ]
    assert barq(a_site(), "power", "events", "--csv", "-").stdout.splitlines() == text.splitlines()


def test_one_event_is_shown_with_its_plan() -> None:
    """And where its hash is."""
    shown = barq(a_site(), "power", "event", "12")

    assert shown.stdout.startswith("power event 12: the limit fell at 2026-03-01 11:00 (1 h ago)\n")
    assert "depth share" in shown.stdout
    assert 'its hash in event 4711 of the log:\n{"version":1}\n' in shown.stdout
    assert json.loads(barq(a_site(), "power", "event", "12", "--json").stdout) == EVENT | {"plan": PLAN}


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    """With what to write instead."""
    wrong = barq(a_site(), "power", "events", "--since", "yesterday")
    folder = barq(a_site(), "power", "events", "--csv", str(tmp_path))

    assert (wrong.exit_code, "24h for a day ago" in wrong.stderr) == (2, True)
    assert (folder.exit_code, "cannot be written" in folder.stderr) == (2, True)
    assert barq(a_site(), "power", "event", "../x").exit_code == 2
