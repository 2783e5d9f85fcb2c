"""A hint whether the kernel killed something for want of memory."""

from __future__ import annotations

from pathlib import Path


def oom_kills() -> int | None:
    """How many processes of our control group the kernel has killed for memory; None where it does not say.

    The group may hold other jobs too, so that a rise is a hint and no proof.
    """
    try:
        groups = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
        group = next(line.removeprefix("0::") for line in groups if line.startswith("0::"))
        events = Path(f"/sys/fs/cgroup{group}/memory.events").read_text(encoding="utf-8")
        return next(int(line.split()[1]) for line in events.splitlines() if line.startswith("oom_kill "))
    except (OSError, StopIteration):
        return None


class OomWatch:
    """Whether the kernel killed anything for memory since this began."""

    def __init__(self) -> None:
        self._before: int | None = None

    def begin(self) -> None:
        """Count from now on."""
        self._before = oom_kills()

    @property
    def has_killed(self) -> bool:
        """Whether there were more kills since; False where nobody says."""
        now = oom_kills()
        return now is not None and self._before is not None and now > self._before
