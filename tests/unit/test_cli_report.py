"""`barq report compliance`: a month on the terminal, as a page and as a table, beside the revenue meter."""

from __future__ import annotations

import csv
import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from barq.reporting.page import scale_of
from scheduler.core.accounting import Quarter, Tally
from tests.busy_site import barq
from tests.paper_month import meter_csv, month, quarter, shown, starts, steady, whole_month
from tests.stub_site import StubSite

TZ = ("--month", "2026-10", "--tz", "Europe/Brussels")


def site_with(report: Any) -> StubSite:
    """A site that tells this report."""
    return StubSite().on("GET", "/reports/compliance", report)


def a_short_month() -> Any:
    """An hour, with a breach under a document with an odd name, and a correction."""
    at = starts(1)
    quarters = [quarter(at[0], 1500.0), quarter(at[1], 3000.0, document="<b>odd</b>", breach_wh=12.5)]
    correction = Quarter(
        starts_at=at[0],
        number=1,
        tally=Tally(draw_wh=-50.0, granted_wh=-50.0),
        reason="meter log",
        by="asma",
        recorded_at=at[3],
    )
    return shown([quarters[0], correction, quarters[1]])


def run(report: Any, *words: str) -> Result:
    """What the command does."""
    return barq(site_with(report), "report", "compliance", *TZ, *words)


def test_the_month_is_told_in_figures() -> None:
    """Totals, days, documents, breaches with what was allowed then, corrections."""
    site = site_with(a_short_month())
    result = barq(site, "report", "compliance", *TZ)
    out = re.sub(" +", " ", result.stdout)
    assert (result.exit_code, result.stderr) == (0, "")
    assert dict(site.requests[0].url.params) == {"month": "2026-10", "tz": "Europe/Brussels"}
    for told in (
        "drawn 4.450 kWh",
        "surplus granted 2.438 kWh",
        "firm 2.000 kWh",
        "breach 0.013 kWh, 60 s over the limit",
        "peak of 15 min 12 kW, in the quarter from 2026-10-01 00:15+02:00",
        "covered 0.07 % of 31 d 1 h",
        "By day, without 30 of which nothing was read:",
        "2026-10-01 4.450 kWh 2.438 kWh",
        "grid 1.988 kWh 1.000 kWh 0.013 kWh 15 min 1 f12 <b>odd</b>",
        "2026-10-01 00:15+02:00 60 s 0.013 kWh 8 kW by grid, <b>odd</b>, feeder f12, 2026-10-01 00:15+02:00 to",
        "2026-10-01 00:00+02:00 -0.050 kWh asma 2026-10-01 00:45+02:00 meter log",
    ):
        assert told in out


def test_nothing_missing_is_all_and_a_second_missing_is_not() -> None:
    """99.99 % is the most that is told where anything is not covered."""
    whole = whole_month()
    assert "100.00 % of 31 d" in run(whole).stdout
    whole["tally"]["unmetered_s"] = 1.0
    assert "99.99 % of 31 d" in run(whole).stdout


class Page(HTMLParser):
    """Looks for what would be fetched, and for tags that are not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [f"{tag} {name}" for name, _ in attrs if name in {"src", "href"}]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    """No script, nothing fetched, and names of documents are text."""
    result = run(a_short_month(), "--html", str(tmp_path / "report.html"))
    text = (tmp_path / "report.html").read_text("utf-8")
    page = Page()
    page.feed(text)
    assert result.stderr == f"wrote {tmp_path / 'report.html'}\n"
    assert (page.fetched, page.open) == ([], [])
    assert "<script" not in text
    assert "&lt;b&gt;odd&lt;/b&gt;" in text
    assert text.count("<rect") == 4 * len(a_short_month()["days"])


def test_the_bars_of_the_page_stand_before_a_scale(tmp_path: Path) -> None:
    """Round energies, the highest above the highest bar, so that a bar's height can be read."""
    run(a_short_month(), "--html", str(tmp_path / "report.html"))
    text = (tmp_path / "report.html").read_text("utf-8")

    told = re.findall(r'y="([\d.]+)" font-size="11" text-anchor="end">([^<]+)<', text)
    assert [label for _, label in told] == ["0 Wh", "1 kWh", "2 kWh", "3 kWh", "4 kWh", "5 kWh"]
    highest_bar = min(float(y) for y in re.findall(r'<rect x="[\d.]+" y="([\d.]+)"', text))
    assert float(told[-1][0]) < highest_bar < float(told[-2][0])  # 4.45 kWh


@pytest.mark.parametrize(
    "top_wh, scale_wh",
    [
        (1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (2500, [0, 500, 1000, 1500, 2000, 2500]),
        (7e6, [0, 2e6, 4e6, 6e6, 8e6]),
    ],
)
def test_a_scale_is_round(top_wh: float, scale_wh: list[float]) -> None:
    """Never with more than five steps, never lower than what it is for."""
    assert scale_of(top_wh) == pytest.approx(scale_wh)


def test_a_month_that_is_running_says_until_when_its_figures_are(tmp_path: Path) -> None:
    """On the terminal and on the page, in the zone that was asked for."""
    report = {**a_short_month(), "running": True, "length_s": 5400.0}
    result = run(report, "--html", str(tmp_path / "report.html"))

    said = "So far: the month is running: all figures are until 2026-10-01 01:30."
    assert said in result.stdout
    assert said in (tmp_path / "report.html").read_text("utf-8")
    assert "So far" not in run(a_short_month()).stdout


def test_the_table_adds_up_to_the_report(tmp_path: Path) -> None:
    """Each quarter is a row; its columns come to the totals, its evidence is JSON."""
    report = shown(month(without=[7]))
    run(report, "--csv", str(tmp_path / "quarters.csv"))
    with (tmp_path / "quarters.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2979
    for name in ("draw_wh", "firm_wh", "granted_wh", "breach_wh", "covered_s"):
        assert sum(float(row[name]) for row in rows) == pytest.approx(report["tally"][name]), name
    assert (rows[0]["starts_at"], rows[0]["local"]) == ("2026-09-30T22:00:00Z", "2026-10-01T00:00+02:00")
    assert (rows[0]["documents"], rows[0]["feeders"]) == ("notice 118", "f12")
    assert json.loads(rows[0]["evidence"])[0]["granted_wh"] == 1000.0


def test_the_revenue_meter_stands_beside_it(tmp_path: Path) -> None:
    """Its totals, the difference, the largest ones, what is missing; in JSON, table and page, too."""
    meter, table, page = (tmp_path / name for name in ("utility.csv", "quarters.csv", "report.html"))
    meter.write_text(meter_csv(lambda i: steady(i) + (250.0 if i == 4 else 0.0), without=[9]), "utf-8")
    words = ("--meter", str(meter), "--meter-map", "time=time,value=kWh")
    result = run(whole_month(), *words, "--csv", str(table), "--html", str(page))
    out = re.sub(" +", " ", result.stdout)
    assert "compared 2979 of 2980 intervals of 15 min" in out
    assert "difference -250.0 Wh (-0.004 %)" in out
    assert "2026-10-01 01:00+02:00 2.004 kWh 2.254 kWh -250.0 Wh" in out
    assert "in the file 2026-10-01 02:15+02:00 2026-10-01 02:30+02:00" in out
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[4]["difference_wh"]) == pytest.approx(-250.0)
    assert rows[9]["difference_wh"] == ""
    assert "Beside the revenue meter" in page.read_text("utf-8")

    told = json.loads(run(whole_month(), *words, "--json").stdout)["meter"]
    assert told["totals"]["difference_wh"] == pytest.approx(-250.0)
    assert told["missing_in_file"] == [["2026-10-01T00:15:00+00:00", "2026-10-01T00:30:00+00:00"]]


@pytest.mark.parametrize(
    "words,told",
    [
        (("--tz", "Mars/Base"), "--tz: there is no time zone 'Mars/Base'"),
        (("--meter-map", "time=a"), "--meter-map: no file is given"),
        (("--meter", "gone.csv"), "gone.csv: cannot be read"),
        (("--html", "/gone/x.html"), "--html: /gone/x.html cannot be written"),
    ],
)
def test_wrong_use_is_told_with_a_remedy(words: tuple[str, ...], told: str) -> None:
    """As wrong use."""
    result = run(a_short_month(), *words)
    assert result.exit_code == 2
    assert told in result.stderr


def test_the_report_can_be_added_up_by_hand(tmp_path: Path) -> None:
    """By the line that the documentation gives."""
    document = Path(__file__).parents[2] / "docs" / "compliance-report.md"
    (line,) = re.findall(r"```sh\n(.*?)```", document.read_text("utf-8"), flags=re.DOTALL)
    report = a_short_month()
    run(report, "--csv", str(tmp_path / "october.csv"))
    done = subprocess.run(
        ["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    tally = report["tally"]
    assert [float(word) for word in done.stdout.split()] == pytest.approx(
        [tally["firm_wh"], tally["granted_wh"], tally["breach_wh"]], abs=1e-3
    )


def test_a_correction_is_sent_in_watt_hours() -> None:
    """And told with its number."""
    made = a_short_month()["corrections"][0]
    site = StubSite().on("POST", "/reports/corrections", made)
    words = ("2026-10-01T00:00+02:00", "--granted-kwh", "-0.05", "--reason", "meter log")
    result = barq(site, "report", "correct", *words)
    assert site.asked() == [
        (
            "/api/v1/reports/corrections",
            {
                "quarter_at": "2026-10-01T00:00+02:00",
                "firm_wh": 0.0,
                "granted_wh": -50.0,
                "breach_wh": 0.0,
                "reason": "meter log",
            },
        )
    ]
    assert (
        result.stdout == "corrected the quarter from 2026-09-30T22:00:00Z by -50.0 Wh: correction 1 of it\n"
    )
