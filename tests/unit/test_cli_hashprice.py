"""`barq hashprice`: a table with whose word it is and its age; figures that are told, and the list of all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.busy_site import barq
from tests.stub_site import StubSite

FIGURES: dict[str, Any] = {
    "number": 12, "as_of_at": "2026-03-01T11:00:00Z", "told_at": "2026-03-01T11:01:00Z", "origin": "operator",
    "by": "dana", "source": "desk", "btc_micro": 91_000_000_000, "difficulty": 152_000_000_000_000,
    "height": 925_000, "fees_sat": 3_000_000, "subsidy_sat": 312_500_000, "hashprice_micro": 38_000_000,
    "stale_after_s": 86_400.0, "corrects": False,
}  # fmt: skip
EARNS: dict[str, Any] = {
    "name": "m1", "draw_w": 14_000.0, "joule_per_th": 17.6, "known_share": 0.75, "micro_per_mwh": 88_160_000,
    "why": None,
}  # fmt: skip
UNKNOWN = {"name": "a-2", "draw_w": 0.0, "joule_per_th": None, "known_share": 0.0, "micro_per_mwh": None,
           "why": "its J/TH is not known: it was not measured yet"}  # fmt: skip
NOW: dict[str, Any] = {
    "at": "2026-03-01T12:00:00Z",
    "figures": FIGURES,
    "age_s": 3600.0,
    "is_stale": False,
    "why": None,
    "per_mwh": [{"joule_per_th": 17.5, "micro_per_mwh": 90_476_190}],
    "read_at": "2026-03-01T12:00:00Z",
    "partners": [
        EARNS
        | {"name": "north", "pool_fee": 0.02, "pool_scheme": "fpps", "follows": True}
        | {"groups": [EARNS | {"machines": [UNKNOWN]}]}
    ],
}


def test_what_mining_brings_is_a_table_with_provenance_and_age() -> None:
    """And each fleet; a machine that nobody measured says so."""
    site = StubSite().on("GET", "/hashprice", NOW)
    result = barq(site, "hashprice", "--machines")

    assert result.stdout.splitlines() == [
        "hashprice   38.00 per PH/s and day, before the pool's fee",
        "bitcoin     91,000.00",
        "difficulty  152,000,000,000,000",
        "block       3.125 BTC and 0.03 BTC of fees, at height 925000",
        "as of       2026-03-01 11:00 (1 h ago), trusted for 1 d",
        "state       fresh",
        "source      desk, told by dana 59 min ago",
        "",
        "J/TH  PER MWH",
        "17.5    90.48",
        "",
        "PARTNER  MINERS   DRAW  J/TH  MEASURED  PER MWH  POOL        WHY NOT",
        "north    m1      14 kW  17.6       75%    88.16  2.00% fpps  -",
        "           a-2     0 W     -        0%        -              its J/TH is not known: it was not measured yet",
        "",
        "Machines as read now.",
    ]
    assert dict(site.requests[0].url.params) == {"machines": "true"}


def test_stale_figures_are_shown_as_such_first() -> None:
    """Nothing else could be mistaken for what holds."""
    why = "the figures of desk are 30.0 h old, and trusted for 24.0 h"
    per_mwh = [{"joule_per_th": 17.5, "micro_per_mwh": None}]
    site = StubSite().on("GET", "/hashprice", NOW | {"is_stale": True, "why": why, "per_mwh": per_mwh})
    lines = barq(site, "hashprice").stdout.splitlines()

    assert lines[0] == f"STALE: {why}. Nothing is ranked or reckoned by them."
    assert "17.5        -" in lines


def test_where_nobody_told_any_it_is_said_how() -> None:
    """With the whole command."""
    none: dict[str, Any] = {"figures": None, "age_s": None, "why": "nobody", "partners": []}
    result = barq(StubSite().on("GET", "/hashprice", NOW | none), "hashprice")

    assert "barq hashprice set --btc PRICE" in result.stdout


def test_programs_get_json_and_shells_the_number() -> None:
    """As with each verb."""
    assert json.loads(barq(StubSite().on("GET", "/hashprice", NOW), "hashprice", "--json").stdout) == NOW
    assert barq(StubSite().on("GET", "/hashprice", NOW), "hashprice", "-q").stdout == "38.00\n"


SET = ("hashprice", "set", "--btc", "91,000.25", "--difficulty", "152.27e12", "--height", "925000", "--fees", "0.03",
       "--source", "desk")  # fmt: skip


def test_figures_are_told_in_the_units_that_people_know() -> None:
    """They travel as micro-units and satoshi."""
    site = StubSite().on("POST", "/hashprice", FIGURES)
    result = barq(site, *SET, "--as-of", "1h", "--correct")

    assert json.loads(site.requests[0].content) == {
        "btc_micro": 91_000_250_000,
        "difficulty": 152_270_000_000_000,
        "height": 925_000,
        "fees_sat": 3_000_000,
        "source": "desk",
        "as_of_at": "2026-03-01T11:00:00+00:00",
        "corrects": True,
    }
    assert result.stdout == "hashprice is 38.00 per PH/s and day, as of 2026-03-01 11:00 (1 h ago)\n"


@pytest.mark.parametrize("wrong", ["dear", "-1", "nan", "1e40"])
def test_what_is_no_number_is_refused_before_anybody_is_asked(wrong: str) -> None:
    """With the option and the remedy."""
    site = StubSite()
    result = barq(site, *SET[:3], wrong, *SET[4:])

    assert result.exit_code == 2
    assert "--btc" in result.stderr
    assert site.requests == []


def test_the_series_is_a_table() -> None:
    """What was told last first, a correction as one."""
    page = {
        "figures": [FIGURES | {"corrects": True, "height": 9, "source": "d", "difficulty": 5}],
        "next": None,
    }
    result = barq(StubSite().on("GET", "/hashprice/history", page), "hashprice", "history")

    assert result.stdout.splitlines() == [
        "NO  AS OF                       HASHPRICE    BITCOIN  DIFFICULTY  HEIGHT  FEES  BY    SOURCE",
        "12  2026-03-01 11:00 (1 h ago)      38.00  91,000.00           5       9  0.03  dana  d (a correction)",
    ]
