"""Clocks: leases live on one that never jumps, limits and settlement on one that the world agrees on."""

from __future__ import annotations

import ctypes
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Final

from barq.doctor.finding import Finding, fail, ok, warn
from barq.doctor.place import Place
from barq.errors import BarqError
from barq.location import find_site

TIMEX_BYTES: Final = 512  #: struct timex is 208; the kernel writes no more than it knows
TIME_ERROR: Final = 5  #: what adjtimex answers while nothing disciplines the clock
#: A Date header has whole seconds.
DRIFT_WARN_S: Final = 2.0
DRIFT_FAIL_S: Final = 30.0
ASK_S: Final = 1.0


def boottime(_place: Place) -> Finding:
    """The clock of leases."""
    try:
        time.clock_gettime(time.CLOCK_BOOTTIME)
    except (AttributeError, OSError) as error:
        return fail(
            "clock-boottime",
            f"no CLOCK_BOOTTIME: {error}",
            "leases cannot be kept",
            "run on Linux 2.6.39 or newer",
        )
    return ok("clock-boottime", "CLOCK_BOOTTIME counts, also through sleep")


def clock_state() -> int:
    """What adjtimex says of the system's clock, without touching it. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    state = int(libc.adjtimex(ctypes.create_string_buffer(TIMEX_BYTES)))
    if state < 0:
        raise OSError(ctypes.get_errno(), "adjtimex failed")
    return state


def synchronized(_place: Place, state: Callable[[], int] = clock_state) -> Finding:
    """Whether NTP or PTP holds the clock."""
    try:
        is_held = state() != TIME_ERROR
    except (OSError, AttributeError) as error:
        return warn("clock-sync", f"unknown: {error}", "limits may apply early or late", "see timedatectl")
    if not is_held:
        return warn(
            "clock-sync",
            "nothing synchronizes the clock",
            "scheduled limits apply early or late by its error, and records do not stand up in settlement",
            "timedatectl set-ntp true, or install chrony (in a container: on its host)",
        )
    return ok("clock-sync", "synchronized")


def drift(place: Place) -> Finding:
    """How far this clock is from that of the site."""
    try:
        url = find_site(dict(place.environ) | {"BARQ_STATE": str(place.state)}).url
        asked_at_s = time.time()
        there_s = _time_there_s(f"{url.rstrip('/')}/healthz")
        off_s = max(0.0, asked_at_s - there_s - 1.0, there_s - time.time())
    except BarqError:
        return ok("clock-drift", "no site is known to compare with")
    except (OSError, ValueError, TypeError, urllib.error.URLError) as error:
        return warn(
            "clock-drift",
            f"the site does not tell its time: {error}",
            "nothing can be said",
            "see barq nodes",
        )
    if off_s < DRIFT_WARN_S:
        return ok("clock-drift", f"within {DRIFT_WARN_S:g} s of the site")
    grade = fail if off_s >= DRIFT_FAIL_S else warn
    return grade(
        "clock-drift",
        f"{off_s:.0f} s off the site's clock",
        "tokens, schedules and records of this machine and of the site contradict each other",
        "synchronize both clocks, see clock-sync",
    )


def _time_there_s(url: str) -> float:
    """The other side's clock, to the second. Raises OSError, ValueError, TypeError."""
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url} is no web address")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=ASK_S) as answer:
        return parsedate_to_datetime(answer.headers["Date"]).timestamp()
