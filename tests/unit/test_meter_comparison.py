"""The report beside the revenue meter: what differs and what is missing is shown."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from barq.reporting.comparison import Comparison, compare
from barq.reporting.meter_file import MeterMap, read_meter_file
from tests.paper_month import BRUSSELS, meter_csv, month, shown, starts, steady, whole_month

KWH = MeterMap(value="kWh")


def compared(
    folder: Path, report: object, text: str, columns: MeterMap = KWH, zone: ZoneInfo = BRUSSELS
) -> Comparison:
    """A report beside a file."""
    path = folder / "utility.csv"
    path.write_text(text, encoding="utf-8")
    return compare(report, read_meter_file(path, columns, zone))  # type: ignore[arg-type]


def test_two_that_agree_differ_by_nothing(tmp_path: Path) -> None:
    """Over the whole month, the night with 25 hours included."""
    found = compared(tmp_path, whole_month(), meter_csv())
    totals = found.totals()
    assert (len(found.both), len(found.slots)) == (2980, 2980)
    assert totals["difference_wh"] == pytest.approx(0.0, abs=1e-6)
    assert totals["meter_wh"] == pytest.approx(sum(steady(i) for i in range(2980)))
    assert totals["meter_firm_wh"] + totals["meter_granted_wh"] == pytest.approx(totals["meter_wh"])
    assert (found.missing_here, found.missing_in_file, found.outside) == ((), (), 0)


def test_differences_are_shown_with_their_quarters(tmp_path: Path) -> None:
    """The largest first; the total in Wh and per cent of the meter."""
    text = meter_csv(lambda i: steady(i) + {5: -100.0, 9: 300.0}.get(i, 0.0))
    found = compared(tmp_path, whole_month(), text)
    at = starts()
    assert [(s.starts_at, round(s.difference_wh or 0)) for s in found.largest[:2]] == [
        (at[9], -300),
        (at[5], 100),
    ]
    totals = found.totals()
    assert totals["difference_wh"] == pytest.approx(-200.0)
    assert totals["difference_percent"] == pytest.approx(-20_000 / totals["meter_wh"])


def test_what_either_side_lacks_is_listed_and_in_no_total(tmp_path: Path) -> None:
    """As stretches; a cell without a value is missing, too."""
    text = meter_csv(without=[10, 11, 40]).replace(f"{steady(12) / 1000:.4f}", "", 1)
    found = compared(tmp_path, shown(month(without=[20, 21])), text)
    at = starts()
    assert found.missing_here == ((at[20], at[22]),)
    assert found.missing_in_file == ((at[10], at[13]), (at[40], at[41]))
    assert found.totals()["compared_s"] == (2980 - 6) * 900


def test_a_quarter_that_was_not_metered_whole_is_no_difference(tmp_path: Path) -> None:
    """It is missing here: what it lacks was drawn, and nobody saw it."""
    report = whole_month()
    report["quarters"][3]["tally"]["unmetered_s"] = 30.0
    found = compared(tmp_path, report, meter_csv())
    assert found.missing_here == ((starts()[3], starts()[4]),)


def test_minutes_of_the_meter_are_summed_to_quarters(tmp_path: Path) -> None:
    """A quarter of which a minute is missing is missing."""
    at = starts(1)[0]
    minutes = [int(at.timestamp()) + 60 * m for m in range(60) if m != 20]
    text = "\n".join(["time,kW", *(f"{s},8.0" for s in minutes), ""])
    found = compared(tmp_path, shown(month(lambda _: 2000.0)), text, MeterMap(value="kW", unit="kW"))
    assert (found.cadence_s, found.slot_s) == (60, 900)
    assert [s.meter_wh for s in found.slots[:4]] == [
        pytest.approx(2000.0),
        None,
        *[pytest.approx(2000.0)] * 2,
    ]


def test_an_hourly_meter_is_compared_by_the_hour(tmp_path: Path) -> None:
    """The quarters of an hour are summed."""
    text = "time,kWh\n2026-10-01 00:00,8.5\n2026-10-01 01:00,8\n2026-10-01 02:00,8\n"
    found = compared(tmp_path, shown(month(lambda _: 2000.0)), text)
    assert found.slot_s == 3600
    assert [s.difference_wh for s in found.slots[:3]] == [-500.0, 0.0, 0.0]
    assert found.totals()["meter_peak_w"] == pytest.approx(8500.0)


def test_a_file_of_another_month_has_nothing_in_common(tmp_path: Path) -> None:
    """That is said, and no figure is made of it."""
    text = "time,kWh\n2026-09-01 00:00,1\n2026-09-01 00:15,1\n"
    found = compared(tmp_path, whole_month(), text)
    totals = found.totals()
    assert (found.outside, found.both, totals["difference_percent"], totals["meter_peak_w"]) == (
        2,
        (),
        None,
        None,
    )


def test_the_meters_energy_has_the_parts_that_were_found_here(tmp_path: Path) -> None:
    """In the same proportion, quarter by quarter."""
    text = meter_csv(lambda _: 4000.0)
    found = compared(tmp_path, shown(month(lambda _: 2000.0)), text)
    assert found.slots[0].parts_wh == {
        "firm_wh": 2000.0,
        "granted_wh": 2000.0,
        "breach_wh": 0.0,
        "unclassed_wh": 0.0,
    }
