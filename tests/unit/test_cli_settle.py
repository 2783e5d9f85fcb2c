"""`barq settle`: a month on the terminal and as files, adjustments, the balance of the site."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
from fastapi.encoders import jsonable_encoder

from api.wire.settlement import INTERVAL
from barq.reporting.settlement import complaints
from scheduler.core.contracts import LostHashprice, Quotes
from scheduler.core.curtailment import Cause
from scheduler.core.settled_totals import changes_of, totals_of
from scheduler.core.settlement import Change, adjusted, settled
from scheduler.store.chain import GENESIS
from scheduler.store.settlement import canonical, link_hash
from tests.busy_site import barq
from tests.settled import AT, MWH, S21, draft, energy, figures, terms
from tests.stub_site import StubSite

WORDS = ("settle", "--partner", "north", "--month", "2026-10")


def statement() -> Any:
    """Two intervals, one of them without a price, and an adjustment; as the API shows it."""
    contract = terms(credit=LostHashprice(hashing=S21), max_curtailed_s=3600)
    curtailed = {Cause.GRID: MWH // 7}
    priced = Quotes(at=AT, figures=figures())
    made = [
        draft(energy(MWH, curtailed), contract=contract, quotes=priced),
        draft(energy(MWH, curtailed, MWH), contract=contract, quotes=Quotes(at=AT), number=1),
    ]
    rows = [settled(one, 0) for one in made]
    change = Change(metered_ws=-MWH // 10)
    added = adjusted(rows[0], (), change, credited_micro=0, reason="<b>log</b>", by="asma", at=AT)
    links, before = [], GENESIS
    for number, row in enumerate([*rows, added], start=1):
        body = canonical(row)
        links.append(
            {
                "link": number,
                "number": 1 if row is added else 0,
                "row": json.loads(body),
                "hash_before": before,
                "hash": link_hash(before, body),
            }
        )
        before = link_hash(before, body)
    sums = [jsonable_encoder(t) | {"due_micro": t.due_micro} for t in (totals_of(rows), changes_of([added]))]
    return {
        "site": "demo",
        "partner": "north",
        "month": "2026-10",
        "since_at": "2026-10-01T00:00:00Z",
        "until_at": "2026-11-01T00:00:00Z",
        "made_at": "2026-11-02T00:00:00Z",
        "links": links,
        "measured": sums[0],
        "adjusted": sums[1],
    }


def site_with(found: Any) -> StubSite:
    """A site that tells this."""
    return StubSite().on("GET", "/settlement/statements/north", found)


def test_the_month_is_told_to_the_micro_unit() -> None:
    """Sums, causes, inputs with their source, what has no price, adjustments, and that it adds up."""
    result = barq(site_with(statement()), *WORDS)
    out = re.sub(" +", " ", result.stdout)
    assert (result.exit_code, result.stderr) == (0, "")
    for told in (
        "north at demo, 2026-10 (UTC)",
        "drawn 1,900.000 kWh",
        "charge 99.750000",
        "measured 2,000.000 kWh 285.714 kWh 105.000000",
        "adjusted -100.000 kWh 0.000 kWh -5.250000",
        "grid 285.714 kWh credited",
        "price price_per_mwh 52,500,000 contract by contract 2",
        "credit difficulty 152,000,000,000,000 figures.csv 2026-10-01T00:00:00Z 1",
        "1 no figures of the chain are known for then",
        "asma 2026-10-01T00:00:00Z <b>log</b>",
        "0 s of 1 h by contract",
        "intervals 2 of 2976 that are over",
        "it adds up",
    ):
        assert told in out


def test_files_have_it_all_and_their_rows_add_up(tmp_path: Path) -> None:
    """CSV, JSON and a page that escapes what people wrote."""
    result = barq(site_with(statement()), *WORDS, "--out", str(tmp_path / "new"))
    assert result.exit_code == 0
    name = "settlement-north-2026-10"
    files = {p.suffix: p.read_text("utf-8") for p in (tmp_path / "new").iterdir() if p.stem == name}
    rows = list(csv.DictReader(files[".csv"].splitlines()))
    assert [row["quality"] for row in rows] == ["miner_reported", "adjustment", "unpriced"]
    assert sum(int(row["charge_micro"] or 0) for row in rows) == 99_750_000
    assert (rows[2]["credit_micro"], rows[2]["reason"]) == ("", "no figures of the chain are known for then")
    assert complaints(json.loads(files[".json"])) == []
    assert "&lt;b&gt;log" in files[".html"]
    assert "<script" not in files[".html"]


def test_what_does_not_add_up_is_told_and_fails() -> None:
    """Whoever runs it in a script is told, too."""
    found = statement()
    found["measured"]["charge_micro"] += 1
    result = barq(site_with(found), *WORDS)
    assert result.exit_code == 1
    assert "it does not add up: the total measured charge_micro is 105000001" in result.stderr


def test_an_adjustment_is_sent_in_whole_units() -> None:
    """KWh become watt-seconds, money micro-units, exactly."""
    made = {
        "partner_id": "north",
        "starts_at": INTERVAL["draft"]["starts_at"],
        "number": 1,
        "metered_ws": -432_000,
        "charge_micro": -6300,
        "credit_micro": 250_000,
    }
    site = StubSite().on("POST", "/settlement/adjustments", made)
    words = ("--partner", "north", "--metered-kwh", "-0.12", "--credit", "0.25", "--reason", "log")
    result = barq(site, "settle", "adjust", "2026-10-01T13:00Z", *words)
    assert result.exit_code == 0, result.stderr
    assert "by -0.120 kWh: charge -0.006300, credit 0.250000; adjustment 1 of it" in result.stdout
    ((_, body),) = site.asked()
    assert (body["metered_ws"], body["credit_micro"], body["charge_micro"]) == (-432_000, 250_000, None)


def test_the_balance_is_told_by_day() -> None:
    """With the losses as they are."""
    one = {"covered_ms": 900_000, "metered_ms": 900_000, "link": 1, "hash": "0"}
    energy_of = {"site_ws": 3_600_000, "ai_ws": 0, "overhead_ws": 360_000, "losses_ws": 36_000}
    balances = [
        {**one, **energy_of, "starts_at": "2026-10-01T00:00:00Z", "partners_ws": {"north": 3_204_000}}
    ]
    site = StubSite().on(
        "GET", "/settlement/balances", {"site": "d", "month": "2026-10", "balances": balances}
    )
    out = re.sub(" +", " ", barq(site, "settle", "balance", "--month", "2026-10").stdout)
    assert "2026-10-01 1.000 kWh 0.890 kWh 0.000 kWh 0.100 kWh 0.010 kWh 1.00 % 1, 15 min" in out


@pytest.mark.parametrize(
    "words,told",
    [
        (("settle", "--month", "2026-10"), "--partner: is missing"),
        (("settle", "--partner", "north"), "--month: is missing"),
        (("settle", "adjust", "t", "--partner", "n", "--reason", "r", "--charge", "0.0000001"), "--charge"),
        (("settle", "adjust", "t", "--partner", "n", "--reason", "r", "--metered-kwh", "x"), "--metered-kwh"),
        (("settle", "adjust", "t", "--partner", "n", "--reason", "r", "--cause", "grid"), "belong together"),
    ],
)
def test_wrong_use_is_told_with_a_remedy(words: tuple[str, ...], told: str) -> None:
    """Before anything is asked."""
    site = StubSite()
    result = barq(site, *words)
    assert result.exit_code == 2
    assert told in result.stderr
    assert not site.requests
