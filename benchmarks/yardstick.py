"""What the benchmarks of one system after the other share: figures by key, CPU seconds to stderr, one way to print."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Yardstick:
    """Figures of one run, in seconds, by their keys; `cpu_s` says what `whose` processes have spent so far."""

    def __init__(self, cpu_s: Callable[[], float], whose: str) -> None:
        self._cpu_s = cpu_s
        self._whose = whose
        self.figures: dict[str, float] = {}

    @contextmanager
    def timed(self, key: str) -> Iterator[None]:
        """How long what stands within takes."""
        began_s = time.monotonic()
        yield
        self.figures[key] = time.monotonic() - began_s

    @contextmanager
    def cpu(self, what: str) -> Iterator[None]:
        """Say on stderr what it cost."""
        before_s = self._cpu_s()
        yield
        print(f"{what}: {self._cpu_s() - before_s:.2f} CPU s of {self._whose}", file=sys.stderr)


def tell_load() -> None:
    """How busy the machine is before anything is measured, on stderr."""
    print(f"load before: {os.getloadavg()[0]:.2f}", file=sys.stderr)


def tell(figures: dict[str, float], *, as_json: bool) -> None:
    """The figures on stdout."""
    rounded = {key: round(value, 3) for key, value in figures.items()}
    print(json.dumps(rounded) if as_json else "\n".join(f"{k:<24} {v}" for k, v in rounded.items()))
