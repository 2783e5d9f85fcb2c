"""What the processes of a simulated gang tell their node."""

from __future__ import annotations

from typing import Protocol


class Host(Protocol):
    """What a member needs to know of its node."""

    def changed(self) -> None:
        """What it would report is another now."""
        ...

    def redrawn(self) -> None:
        """Its draw may be another now."""
        ...

    def freed(self) -> None:
        """A member ended: its GPUs are free."""
        ...
