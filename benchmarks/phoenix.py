"""The Phoenix replay: `python -m benchmarks.phoenix --json`.

Fits the power model of a 256-GPU cluster on one of Emerald AI's days and scores it on another, then plays both of their
events through Barq's decision core and prints what they measured beside what Barq does. Their files are read from
--traces; the default is $BARQ_TRACES/power, or shared/traces/power beside the repository. `docs/phoenix.md` tells the
method. `power_model.on_caiso.rmse_share` and `events.srp` are the figures that `docs/phoenix.md` quotes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from scheduler.errors import BarqError
from scheduler.sim.phoenix.emerald import missing, read_emerald
from scheduler.sim.phoenix.replay import replay
from scheduler.sim.phoenix.table import as_json, rows, text

ROOT = Path(__file__).resolve().parents[1]


def traces() -> Path:
    """Where power traces lie, if the user has them."""
    shared = os.environ.get("BARQ_TRACES") or str(ROOT.parent / "shared" / "traces")
    return Path(shared) / "power"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print both columns. 2 where a file is missing or cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.phoenix", description=__doc__.splitlines()[0])
    parser.add_argument("--traces", type=Path, default=traces(), help="folder of emerald_*.csv.gz")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    options = parser.parse_args(arguments)
    if lacking := missing(options.traces):
        print(f"{lacking}; fetch them, or name their folder with --traces", file=sys.stderr)
        return 2
    try:
        found = replay(read_emerald(options.traces))
    except (BarqError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(as_json(found)) if options.json else text(rows(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
