"""What a guard needs of a switched outlet of a PDU: to turn a machine off that does not obey, and to see its watts.

OSError
  OutletError            the outlet was not switched or not read; the message names PDU, outlet, answer and remedy
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

#: A call answers or fails within this, s, however many exchanges it takes.
DEADLINE_S: Final = 2.0
#: What is beyond this cannot be meant: no outlet carries it, W.
MOST_W: Final = 100_000.0


class OutletError(OSError):
    """The outlet was not switched, or not read. Perhaps it was: read it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutletReading:
    """What an outlet says of itself."""

    is_on: bool
    draw_w: float | None = None  #: None = this PDU does not measure each outlet


class Outlet(Protocol):
    """One outlet. Each call ends within DEADLINE_S, with its answer or with an OutletError."""

    @property
    def address(self) -> str:
        """PDU and outlet, as errors and the record name them."""
        ...

    async def read(self) -> OutletReading:
        """Its state and draw now."""
        ...

    async def switch(self, *, is_on: bool) -> None:
        """Turn it on or off. That it returns means that the PDU said yes: read it."""
        ...

    async def close(self) -> None:
        """Let go of connections. Never fails; the outlet stays as it is."""
        ...
