"""Barq and its peers side by side: `python -m benchmarks.peers --beside slurm --nodes 8 --jobs 64 --runs 3 --json`.

A machine is not as fast today as yesterday, nor, shared, from one minute to the next: figures of two systems can be
compared only where both ran in turn. This runs `benchmarks.control` and the benchmark of each peer that is named,
alternately and each in a process of its own, whoever was last going first in the next round. It shows the median of
each key and the ratio: what Barq took over what the peer took, so that below 1 Barq is ahead.

Barq's jobs carry `--state-mb` of state and have committed it before they are gone; the peers' jobs are empty `sleep`
processes that save nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

BARQ = "barq"
COMMANDS = {
    BARQ: ("benchmarks.control",),
    "slurm": ("benchmarks.slurm",),
    "slurm-as-shipped": ("benchmarks.slurm", "--as-shipped"),
    "ray": ("benchmarks.ray_jobs",),
}

Figures = Mapping[str, float]


class Failed(Exception):
    """One of the benchmarks did not end well; the message names it, and what it said stands above it."""


@dataclass(slots=True, kw_only=True)
class Comparison:
    """The runs of each system, in the order in which they were made."""

    runs: dict[str, list[Figures]] = field(default_factory=dict)
    load: list[float] = field(default_factory=list)  #: of the machine, before each run

    def medians(self) -> dict[str, dict[str, float]]:
        """By system and key."""
        return {
            name: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            for name, runs in self.runs.items()
        }

    def ratios(self) -> dict[str, dict[str, float]]:
        """By peer and key: the median of Barq over that of the peer, where both have one."""
        medians = self.medians()
        ours = medians.pop(BARQ)
        return {
            name: {key: ours[key] / value for key, value in theirs.items() if key in ours and value > 0}
            for name, theirs in medians.items()
        }

    def record(self) -> dict[str, object]:
        """For JSON."""
        return {
            "median": {name: _rounded(figures) for name, figures in self.medians().items()},
            "ratio": {name: _rounded(figures) for name, figures in self.ratios().items()},
            "runs": self.runs,
            "load": [round(load, 2) for load in self.load],
        }

    def table(self) -> str:
        """For a person."""
        medians, ratios = self.medians(), self.ratios()
        heads = ["median", *medians, *(f"{BARQ}/{name}" for name in ratios)]
        columns = [*medians.values(), *ratios.values()]
        lines = [[key, *(f"{c[key]:.3f}" if key in c else "" for c in columns)] for key in medians[BARQ]]
        return "\n".join(
            f"{line[0]:<24}" + "".join(f"{cell:>24}" for cell in line[1:]) for line in [heads, *lines]
        )


def order(peers: Sequence[str], number: int) -> list[str]:
    """Who runs in round `number`, from 0. A peer goes first, so that one that is not installed says so at once."""
    systems = [*peers, BARQ]
    return systems if number % 2 == 0 else systems[::-1]


def compare(peers: Sequence[str], *, rounds: int, size: Sequence[str], state_mb: int) -> Comparison:
    """Run all in turn. Raises `Failed`."""
    found = Comparison(runs={name: [] for name in (BARQ, *peers)})
    for number in range(rounds):
        for name in order(peers, number):
            found.load.append(os.getloadavg()[0])
            options = [*size, "--state-mb", str(state_mb)] if name == BARQ else size
            print(f"round {number + 1} of {rounds}: {name}", file=sys.stderr, flush=True)
            found.runs[name].append(_run([*COMMANDS[name], *options]))
    return found


def _run(arguments: Sequence[str]) -> Figures:
    """The figures of one run in a process of its own, which gets our interrupts and is waited for to clean up."""
    command = [sys.executable, "-m", *arguments, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        said, _ = process.communicate()
    if process.returncode != 0:
        raise Failed(f"{arguments[0]} ended with {process.returncode}")
    figures: dict[str, float] = json.loads(said)
    return figures


def _rounded(figures: Figures) -> dict[str, float]:
    return {key: round(value, 3) for key, value in figures.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the comparison; 1 where a benchmark failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--beside", nargs="+", choices=[name for name in COMMANDS if name != BARQ], default=["slurm"]
    )
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=64)
    parser.add_argument("--state-mb", type=int, default=1, help="of each of Barq's jobs")
    parser.add_argument("--runs", type=int, default=3, help="of each")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    options = parser.parse_args(arguments)
    size = ["--nodes", str(options.nodes), "--jobs", str(options.jobs)]
    try:
        found = compare(options.beside, rounds=options.runs, size=size, state_mb=options.state_mb)
    except Failed as reason:
        print(reason, file=sys.stderr)
        return 1
    print(json.dumps(found.record()) if options.json else found.table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
