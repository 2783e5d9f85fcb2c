"""Waiting for a condition instead of sleeping: a test takes as long as it must and no longer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_S = 0.02


def wait_for(condition: Callable[[], T], *, timeout_s: float, what: str = "") -> T:
    """The first truthy value of `condition`, asked every 20 ms; AssertionError after `timeout_s`.

    `what` says what was waited for, in the words of the failure.
    """
    deadline_s = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline_s:
            raise AssertionError(_late(condition, timeout_s, what, value))
        time.sleep(POLL_S)
    return value


async def wait_until(condition: Callable[[], T], *, timeout_s: float, what: str = "") -> T:
    """As `wait_for`, leaving the event loop free in between."""
    deadline_s = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline_s:
            raise AssertionError(_late(condition, timeout_s, what, value))
        await asyncio.sleep(POLL_S)
    return value


def _late(condition: Callable[[], object], timeout_s: float, what: str, value: object) -> str:
    awaited = what or getattr(condition, "__qualname__", repr(condition))
    return f"not within {timeout_s:g} s: {awaited}; the last answer was {value!r}"
