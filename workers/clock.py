"""The host's clock of leases and deadlines: CLOCK_BOOTTIME, which never jumps and counts while asleep."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path


def boottime_s() -> float:
    """Seconds since this host was booted."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@cache
def boot_id() -> str:
    """Names this boot of the host: times of another boot mean nothing in this one."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
