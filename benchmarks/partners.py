"""A month of mining partners, simulated: `python -m benchmarks.partners --days 30 --seed 1 --json`.

AI work and three partners whose machines run whole share a limit that changes every few minutes, falls without a word
and flickers, through the real loop on a virtual clock. docs/metrics.md says what the figures mean.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from typing import Any

from benchmarks import partner_month as month
from benchmarks.partner_books import Booked, Books
from benchmarks.partner_figures import Watch, figures
from benchmarks.simulate import DAY_S
from scheduler.core.decide import PowerAware
from scheduler.signals.synthetic_day import Season
from scheduler.sim.engine import Case


def measure(days: float, seed: int, season: Season) -> dict[str, Any]:
    """One run, with its figures."""
    site, watch, books = month.site(), Watch(PowerAware(explains=False)), Books()
    case = Case(
        jobs=month.jobs(site, days, seed),
        power=month.limits(days, seed, season),
        site=site,
        policy=watch,
        window_s=days * DAY_S,
        seed=seed,
        listener=books.decided,
    )
    engine, began_s = Booked(case, books), time.process_time()
    outcome = asyncio.run(engine.run())
    told = {"days": days, "seed": seed, "season": season.value, "jobs": len(case.jobs), "ticks": engine.ticks}
    made = figures(outcome, site, month.OWNERS, watch)
    cpu_s = time.process_time() - began_s
    books.end(days * DAY_S)
    return told | {"cpu_s": cpu_s} | made | {"books": books.figures(outcome, month.OWNERS)}


def _lines(found: dict[str, Any]) -> list[str]:
    partners, books = found.pop("partners"), found.pop("books")
    lines = [
        f"{name:28}{value:,.4f}" if isinstance(value, float) else f"{name:28}{value}"
        for name, value in found.items()
    ]
    lines += ["", "settlement:", *(f"  {name:26}{value}" for name, value in books.items())]
    columns = list(next(iter(partners.values())))
    lines += ["", f"{'partner':10}" + "".join(f"{c:>24}" for c in columns)]
    lines += [f"{n:10}" + "".join(f"{v:>24,.4f}" for v in row.values()) for n, row in partners.items()]
    return lines


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--days", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--season", type=Season, choices=list(Season), default=Season.SUMMER)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    found = measure(args.days, args.seed, args.season)
    if args.json:
        json.dump(found, sys.stdout)
    else:
        print("\n".join(_lines(found)))


if __name__ == "__main__":
    main()
