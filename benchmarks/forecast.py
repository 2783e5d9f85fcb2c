"""Forecasts of the limit on real traces: `python -m benchmarks.forecast --json`.

At each of a row of days, all that is known up to a moment of it is learned from, and the 48 hours after it are forecast
by each method: learned, and both kinds of persistence. Printed are pinball loss and coverage by lead time. The traces
are those of the standard grid, mapped to watts as there, and the sun over California's grid, whose own file is a week.
Public traces are looked for under --traces; the default is $BARQ_TRACES, or shared/traces beside the repository.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from scheduler.errors import BarqError
from scheduler.forecasting.methods import predict
from scheduler.forecasting.scoring import score
from scheduler.forecasting.timeline import Timeline
from scheduler.predictions import AHEAD, QUARTER, Made, Method, Score
from scheduler.sim.grid import POWER_WINDOWS
from scheduler.sim.maps import parse_power_map, parse_start
from scheduler.sim.power_file import read_power

ROOT = Path(__file__).resolve().parents[1]
FILES = {w.name: w.file for w in POWER_WINDOWS} | {"sun": "power/power_caiso_mix_hourly_2020_2022.csv.gz"}
MAPS = {w.name: w.map for w in POWER_WINDOWS} | {
    "sun": "time=datetime,value=power_production_solar_avg,scale=p95:700kW,min=160kW,mend=yes"
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A part of a trace: what is known before the first forecast, how many are made, and how far apart."""

    trace: str
    start: str
    known_days: int
    forecasts: int
    each_h: int


CASES = (
    Case(trace="caiso", start="0d", known_days=3, forecasts=8, each_h=6),
    Case(trace="sun", start="2022-03-01", known_days=60, forecasts=20, each_h=27),
    Case(trace="sa1", start="2024-08-09", known_days=60, forecasts=20, each_h=27),
    Case(trace="sa1", start="2024-09-29", known_days=10, forecasts=20, each_h=27),
    Case(trace="de", start="2025-04-04", known_days=60, forecasts=20, each_h=27),
    Case(trace="de", start="2025-05-25", known_days=10, forecasts=20, each_h=27),
)
"""27 hours apart, so that forecasts begin at all times of the day; those of caiso are what its week has room for."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print how good each method was. 2 where a trace is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.forecast", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--traces", type=Path, default=_traces(), help="folder that holds power/")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    parser.add_argument("--only", metavar="TRACE", help="one trace: caiso, sun, sa1, de")
    options = parser.parse_args(arguments)
    try:
        found = [_judged(options.traces, case) for case in CASES if options.only in (None, case.trace)]
    except BarqError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(found) if options.json else "\n\n".join(_text(one) for one in found))
    return 0


def _traces() -> Path:
    return Path(os.environ.get("BARQ_TRACES") or ROOT.parent / "shared" / "traces")


def _judged(folder: Path, case: Case) -> dict[str, Any]:
    line = _timeline(folder, case)
    begun_s = time.process_time()
    made = list(_forecasts(line, case))
    took_s = (time.process_time() - begun_s) / len(made)
    found = score(line, made, since=line.starts_at)
    return {
        "trace": case.trace,
        "known_days": case.known_days,
        "forecasts": len(made),
        "cpu_s_each": round(took_s, 2),
        "skill": found.skill,
        "against": found.best_persistence,
        "methods": {method: _figures(found, method) for method in Method},
    }


def _timeline(folder: Path, case: Case) -> Timeline:
    """The mean limit of each quarter of the part of the trace."""
    days = case.known_days + (case.each_h * (case.forecasts - 1)) / 24 + AHEAD / timedelta(days=1)
    days = min(days, 7.0) if case.trace == "caiso" else days
    asked = parse_power_map(MAPS[case.trace], option=case.trace)
    start = parse_start(case.start, option="start")
    power = read_power(folder / FILES[case.trace], asked, start=start, days=days, name=case.trace)
    steps = power.trace.steps
    minutes = np.zeros(int(power.window_s // 60))
    for at_s, limit_w in steps:
        minutes[int(at_s // 60) :] = limit_w
    quarters = minutes[: len(minutes) // 15 * 15].reshape(-1, 15).mean(axis=1)
    begins_at = datetime(2024, 1, 1, tzinfo=UTC) if start.days is not None else start.at(UTC)
    return Timeline(starts_at=begins_at, limits_w=quarters)


def _forecasts(line: Timeline, case: Case) -> Iterator[Made]:
    """From what is known at each moment, and no more."""
    for i in range(case.forecasts):
        known = (case.known_days * 24 + i * case.each_h) * 4
        past = Timeline(starts_at=line.starts_at, limits_w=line.limits_w[:known])
        if known < len(line):
            yield predict(past, made_at=line.starts_at + known * QUARTER)


def _figures(found: Score, method: Method) -> dict[str, Any]:
    return {
        "loss_w": found.loss_w(method),
        "by_lead": [
            {"until_h": t.until_h, "quarters": t.count, "pinball_w": t.pinball_w, "covered": t.covered}
            for t in found.tallies[method]
        ],
    }


def _text(one: dict[str, Any]) -> str:
    what = f"{one['trace']}: {one['known_days']} days known, {one['forecasts']} forecasts"
    lines = [
        f"{what}, {one['cpu_s_each']} s CPU each; skill {one['skill']:.3f} against {one['against']}",
        f"  {'method':<10}{'lead':>7}{'p10':>9}{'p50':>9}{'p90':>9}{'mean':>9}  kW; in p10..p90",
    ]
    for method, figures in one["methods"].items():
        for row in figures["by_lead"]:
            losses = [w / 1000 for w in row["pinball_w"]]
            numbers = "".join(f"{w:9.2f}" for w in [*losses, sum(losses) / 3])
            lines.append(
                f"  {method:<10}{'<' + str(row['until_h']) + ' h':>7}{numbers}  {row['covered']:.0%}"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
