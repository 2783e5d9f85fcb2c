"""Whether the limit is kept, whatever its sources do: `python -m benchmarks.sources --hours 24 --seed 1 --json`.

Simulated days, one for each source of the limit and one with all of them at once. The givers speak each source's own
messages, in bytes, into Barq's own code, in virtual time (`tests/giving/`), and all that goes wrong does: peers that
fall silent, hang or answer nonsense; NaN, negative, absurd, old, late, doubled and lost messages; clocks that are
ahead; torn files; lines that break; a scheduler that is killed and starts anew; and the faults of guards and orders of
`make soak`. An independent meter judges the true draw once a second by what the givers told. For each source:

    messages     sent by its giver, or fetched from it (of files: 0, they are not counted)
    refused      events that say what was refused or could not be read, and why (the same one again is told once)
    falls        of what the giver allows, every size from 100 W to the largest there is
    stale        times that the giver fell silent for longer than `stale_after_s`
    faults       of guards, scheduler and store meanwhile
    over_s       seconds over the limit later than `reaction_s` (30 s) after it was told
    comply_s     the longest that the draw was above what was allowed
    draw_share   of the energy that was allowed, what was drawn
    proven_s     seconds in which the site's meter had proved a smaller margin (JSON alone)

With `--metered` the site has a trusted meter, work that draws all that it may, and a hall that draws 1 % more or 2 %
less than its file says, by the seed.

`--latency` measures with real peers and the real clock instead: see `benchmarks/source_latency.py`.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.source_latency import run_latency
from tests.giving.day import ALL, GIVERS, given_day

_ROW = "{:<14} {:>8} {:>8} {:>6} {:>6} {:>7} {:>7} {:>9} {:>11}"
_KEYS = ("messages", "refused", "falls", "stale", "faults", "over_s", "comply_s", "draw_share")


def day_of(name: str, *, seed: int, hours: float, is_metered: bool = False) -> dict[str, Any]:
    """The figures of one day. With all sources: also of each."""
    began_s = time.perf_counter()
    names = list(GIVERS) if name == ALL else [name]
    told = given_day(names, seed=seed, hours=hours, is_metered=is_metered)
    site = asdict(told.pop(ALL))
    each = {n: {k: getattr(f, k) for k in ("messages", "refused", "falls", "stale")} for n, f in told.items()}
    own = (
        each[name]
        if name != ALL
        else {k: sum(f[k] for f in each.values()) for k in ("messages", "refused", "stale")}
    )
    figures = {k: v for k, v in (site | own).items() if k in {*_KEYS, "restarts", "worst", "proven_s"}}
    figures |= {
        "source": name,
        "seed": seed,
        "hours": hours,
        "wall_s": round(time.perf_counter() - began_s, 1),
    }
    return figures | ({"each": each} if name == ALL else {})


def run_days(
    names: Sequence[str], *, seed: int, hours: float, as_json: bool, is_metered: bool = False
) -> int:
    """Each day as soon as it is over. 0 when no second was over."""
    if not as_json:
        print(_ROW.format("source", *_KEYS))
    over_s = 0
    for name in names:
        figures = day_of(name, seed=seed, hours=hours, is_metered=is_metered)
        over_s += figures["over_s"]
        if as_json:
            print(json.dumps(figures), flush=True)
        else:
            shown = (f"{v:.2f}" if isinstance(v, float) else v for v in (figures[k] for k in _KEYS))
            print(_ROW.format(name, *shown), flush=True)
        if figures["worst"]:
            print(f"{name}: {figures['worst']}", file=sys.stderr)
    return 1 if over_s else 0


def main() -> int:
    """Entry point: 0 when the limit was kept."""
    parser = argparse.ArgumentParser(
        description="days of a simulated site with faults in all that tells its limit"
    )
    parser.add_argument("--hours", type=float, default=24.0, help="of each day, simulated")
    parser.add_argument("--seed", type=int, default=0, help="the same seed is the same day")
    parser.add_argument(
        "--source", choices=[*GIVERS, ALL], action="append", help="only this one; may be given again"
    )
    parser.add_argument(
        "--metered", action="store_true", help="a site whose meter is trusted to prove a margin; see proven_s"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--latency", action="store_true", help="with real peers and the real clock instead")
    parser.add_argument("--falls", type=int, default=20, help="with --latency: of each source")
    args = parser.parse_args()
    logging.getLogger("scheduler").setLevel(logging.CRITICAL)  # what goes wrong is the point of it
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
    if args.latency:
        return run_latency(falls=args.falls, seed=args.seed, as_json=args.json, only=args.source or ())
    return run_days(
        args.source or [*GIVERS, ALL],
        seed=args.seed,
        hours=args.hours,
        as_json=args.json,
        is_metered=args.metered,
    )


if __name__ == "__main__":
    raise SystemExit(main())
