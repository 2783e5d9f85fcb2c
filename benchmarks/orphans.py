"""Ends what a benchmark started, daemons that fled their parents included: by PID and start time, never by name."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from workers.parenthood import adopt_orphans
from workers.processes import TICKS_PER_S, ProcessTable, send

LOOK_EVERY_S = 0.05


@contextmanager
def ending_all_below() -> Iterator[None]:
    """Whatever descends from this process at the end of the block is killed and waited for, on SIGTERM as well."""
    adopt_orphans()
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        _kill_all_below()
        signal.signal(signal.SIGTERM, before)


def cpu_below_s() -> float:
    """CPU seconds of all that this process started, as far as they live or were waited for."""
    table = ProcessTable()
    table.refresh(is_full=True)
    times = os.times()
    alive = sum(stat.cpu_ticks for stat in table.below(os.getpid())) / TICKS_PER_S
    return alive + times.children_user + times.children_system


def _kill_all_below() -> None:
    table = ProcessTable()
    while _reap():
        table.refresh(is_full=True)
        for stat in table.below(os.getpid()):
            send(stat.id, signal.SIGKILL)
        time.sleep(LOOK_EVERY_S)


def _reap() -> bool:
    """Wait for children that have ended; whether there are others."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return True
