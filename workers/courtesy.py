"""Who has something to do that can wait lets others go first, for a while."""

from __future__ import annotations

import os

LONGEST_S = 0.5


class Courtesy:
    """Waits while this host has more to run than processors, no longer than `LONGEST_S`."""

    def __init__(self) -> None:
        self._since_s: float | None = None

    def waits(self, now_s: float) -> bool:
        """Whether to wait on. The time runs from the first question."""
        if self._since_s is None:
            self._since_s = now_s
        return now_s - self._since_s < LONGEST_S and is_crowded()


def is_crowded() -> bool:
    """Whether more is to be run now than can be, without who asks. False where the kernel does not say."""
    try:
        with open("/proc/loadavg", "rb") as file:  # noqa: PTH123 - asked while there is much to do
            running = int(file.read().split()[3].partition(b"/")[0])
    except (OSError, ValueError, IndexError):
        return False
    return running - 1 > (os.cpu_count() or 1)
