"""A job that knows nothing of Barq: it prints how far it is, saves nothing, starts over when it is killed.

By hand:

    python configs/jobs/examples/legacy_loop.py --steps 100
"""

from __future__ import annotations

import argparse
import hashlib
import time


def main() -> None:
    """Work for `--steps` steps of about `--step-ms` each."""
    parser = argparse.ArgumentParser(description="work without ever saving")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--step-ms", type=float, default=50.0)
    arguments = parser.parse_args()

    digest = b""
    for step in range(arguments.steps):
        digest = hashlib.blake2b(digest + step.to_bytes(8, "big")).digest()
        time.sleep(arguments.step_ms / 1e3)
        print(f"step {step + 1} of {arguments.steps}: {digest[:4].hex()}", flush=True)


if __name__ == "__main__":
    main()
