"""The smallest job that can be paused: it counts, and hashes a little. It needs nothing but Python and Barq.

By hand:

    python configs/jobs/examples/counter.py --steps 100
"""

from __future__ import annotations

import argparse
import hashlib
import time
from pathlib import Path

from barq.job import Job
from step_log import StepLog, output_dir


class Counter:
    """A chain of hashes, one link per step, with as many bytes of ballast to save as one likes."""

    def __init__(self, seed: int, ballast_bytes: int) -> None:
        self.link = hashlib.blake2b(str(seed).encode(), digest_size=32).digest()
        self.ballast = hashlib.shake_128(self.link).digest(ballast_bytes)

    def step(self, step: int) -> float:
        """Add a link and return a number in [0, 1) that depends on every link before it."""
        for _ in range(100):
            self.link = hashlib.blake2b(self.link + step.to_bytes(8, "big"), digest_size=32).digest()
        return int.from_bytes(self.link[:6], "big") / 2**48

    def save(self, path: Path) -> None:
        """Write link and ballast into the file `path`."""
        path.write_bytes(self.link + self.ballast)

    def load(self, path: Path) -> None:
        """Become what was saved in the file `path`."""
        saved = path.read_bytes()
        self.link, self.ballast = saved[:32], saved[32:]


def main() -> None:
    """Count to `--steps`, each step taking about `--step-ms`, most of it spent waiting."""
    parser = argparse.ArgumentParser(description="count, and survive being paused")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--step-ms", type=float, default=10.0)
    parser.add_argument("--state-mb", type=float, default=0.0, help="size of the state to save")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="directory for steps.jsonl")
    arguments = parser.parse_args()

    out = output_dir(arguments.out, "counter")
    job = Job.from_environment(checkpoint_dir=out / "checkpoints")
    counter = Counter(arguments.seed, int(arguments.state_mb * 1e6))
    log = StepLog(out, job.environment.attempt)
    first = job.resume(counter)
    for step in job.steps(first, arguments.steps):
        log.append(step, counter.step(step))
        time.sleep(arguments.step_ms / 1e3)
    job.done()


if __name__ == "__main__":
    main()
