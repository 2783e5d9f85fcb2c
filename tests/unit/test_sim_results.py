"""What a simulation writes: whole or not at all, readable by anything, and small enough to look at."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scheduler.sim import export
from scheduler.sim.export import NotOurs, write_results
from scheduler.sim.judged import Judged
from scheduler.sim.metrics import summary
from scheduler.sim.outcome import RunOutcome, Span
from scheduler.sim.pictures import worst_hour_s
from scheduler.sim.readings import Readings
from scheduler.sim.report import COLUMNS, html_report, plots_of
from tests.simulated_world import eventful_day, interval, run


def judged(outcome: RunOutcome) -> Judged:
    """A run with its figures."""
    return Judged(outcome=outcome, figures=summary(outcome, None))


def names_in(folder: Path) -> set[str]:
    """All files below it."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_folder_of_results(tmp_path: Path) -> None:
    """One table of figures, three series for each run, one page; and nothing else is left beside it."""
    day = eventful_day()
    out = tmp_path / "new" / "out"

    write_results([judged(day), judged(replace(day, policy="a/b c"))], out, about={"seed": 7})

    series = {
        f"series/helios-sa1-{policy}-7-{what}.csv"
        for policy in ("ours", "a_b_c")
        for what in ("power", "queue", "jobs")
    }
    assert names_in(out) == {"figures.json", "report.html"} | series
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    table = json.loads((out / "figures.json").read_text(encoding="utf-8"))
    assert table["seed"] == 7
    assert [one["policy"] for one in table["runs"]] == ["ours", "a/b c"]
    with (out / "series" / "helios-sa1-ours-7-power.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 144
    assert list(rows[0]) == [
        "starts_s",
        "limit_w",
        "site_w",
        "ai_w",
        "idle_w",
        "miner_north_w",
        "miner_south_w",
    ]
    assert float(rows[50]["miner_south_w"]) == 130e3


def test_the_next_result_takes_the_place_of_the_last(tmp_path: Path) -> None:
    """Nothing of the old one stays."""
    write_results([judged(eventful_day())], tmp_path / "out", about={})
    write_results([judged(run(interval(0.0, 1.0)))], tmp_path / "out", about={})

    rows = (
        (tmp_path / "out" / "series" / "helios-sa1-ours-7-power.csv").read_text(encoding="utf-8").splitlines()
    )
    assert len(rows) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_fails_half_way_leaves_the_last_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk while the page is written, say."""
    write_results([judged(eventful_day())], tmp_path / "out", about={})
    before = names_in(tmp_path)

    def fails(*_: Any, **__: Any) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export, "page_of", fails)
    with pytest.raises(OSError, match="No space left"):
        write_results([judged(run(interval(0.0, 1.0)))], tmp_path / "out", about={})

    assert names_in(tmp_path) == before
    assert len(json.loads((tmp_path / "out" / "figures.json").read_text(encoding="utf-8"))["runs"]) == 1


def test_a_folder_with_something_else_in_it_is_not_touched(tmp_path: Path) -> None:
    """Nor is a file."""
    (tmp_path / "thesis.tex").write_text("years of work", encoding="utf-8")

    with pytest.raises(NotOurs, match=r"holds 'thesis\.tex'.*name a new or empty folder"):
        write_results([], tmp_path, about={})
    with pytest.raises(NotOurs, match="is a file; name a folder"):
        write_results([], tmp_path / "thesis.tex", about={})
    assert names_in(tmp_path) == {"thesis.tex"}


def test_runs_come_in_any_order(tmp_path: Path) -> None:
    """The tables are in the order of their numbers."""
    day = eventful_day()

    with export.results_in(tmp_path / "out", about={}, of=2) as results:
        results.add(1, judged(replace(day, policy="second")))
        results.add(0, judged(replace(day, policy="first")))
        assert not (tmp_path / "out").exists()

    table = json.loads((tmp_path / "out" / "figures.json").read_text(encoding="utf-8"))
    assert [one["policy"] for one in table["runs"]] == ["first", "second"]


def test_an_earlier_result_is_in_the_way_of_a_new_one(tmp_path: Path) -> None:
    """Where that is asked."""
    write_results([judged(eventful_day())], tmp_path / "out", about={})

    export.check_folder(tmp_path / "out")
    with pytest.raises(NotOurs, match=r"earlier result.*--force"):
        export.check_folder(tmp_path / "out", only_new=True)


def test_two_runs_of_one_name_are_refused(tmp_path: Path) -> None:
    """One's series would overwrite the other's."""
    with pytest.raises(ValueError, match="two are called"):
        write_results([judged(eventful_day())] * 2, tmp_path / "out", about={})
    assert list(tmp_path.iterdir()) == []


def test_the_page_stays_small(tmp_path: Path) -> None:
    """100,000 intervals in each of nine runs are a few MB, the script of the plots included."""
    many = run(*(interval(float(i), 1e3, 1.0 * (i % 900)) for i in range(100_000)), window_s=100_000.0)
    figures = summary(many, None)

    page = html_report([(many, figures)] * 9, about={"command": "barq simulate"})

    assert len(page) < 4_000_000


def test_names_cannot_break_out_of_the_page() -> None:
    """A policy or a job may be called anything."""
    evil = "</script><b>bad</b>"
    day = eventful_day()
    spans = tuple(replace(span, job_id=evil + span.job_id) for span in day.spans)
    page = html_report([(o := replace(day, policy=evil, spans=spans), summary(o, None))], about={"x": evil})

    assert evil not in page


def test_every_column_of_the_table_is_a_figure() -> None:
    """A heading over nothing would say that nothing is known."""
    assert {column.key for column in COLUMNS} <= set(summary(eventful_day(), None))


def test_the_worst_hour_is_that_of_the_breach() -> None:
    """Without one, that in which most spans begin."""
    day = eventful_day()
    calm = replace(
        day,
        intervals=(interval(0.0, 1e6),),
        spans=tuple(
            Span(job_id="a", starts_s=at, ends_s=at + 10.0, gpus=1, what="run")
            for at in (0.0, 7300.0, 7400.0)
        ),
    )

    assert worst_hour_s(day, Readings.of(day)) == 8 * 3600.0
    assert worst_hour_s(calm, Readings.of(calm)) == 2 * 3600.0


def test_a_short_breach_is_still_seen_when_thinned() -> None:
    """The mean of its bucket hides it; the line of the highest draw does not."""
    spike = run(interval(0.0, 2e3, 1e3), interval(1800.0, 2e3, 9e3), interval(1801.0, 2e3, 1e3))

    power = plots_of(spike, points=10)[0]

    source = power.renderers[0].data_source.data
    assert max(source["draw"]) == pytest.approx(9.0)
    assert max(source["AI"]) < 2.0
