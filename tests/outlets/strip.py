"""A row of outlets with something plugged in, for tests: what the emulated PDUs switch and measure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum, auto


class Fault(StrEnum):
    """Ways to fail."""

    SILENT = auto()  #: never answers
    DEAF = auto()  #: says yes, and does nothing
    READ_ONLY = auto()  #: its owner gave us no right to switch
    STRANGE = auto()  #: answers with a state that is neither on nor off
    UNMETERED = auto()  #: does not measure each outlet


@dataclass
class Strip:
    """Outlets 1 to 8, all on. `later` holds what is switched with a delay, until a test lets it happen."""

    draws_w: dict[str, float] = field(default_factory=lambda: {str(i): 3000.0 + i for i in range(1, 9)})
    off: set[str] = field(default_factory=set)
    faults: set[Fault] = field(default_factory=set)
    is_slow: bool = False
    later: list[tuple[str, bool]] = field(default_factory=list)
    told: list[tuple[str, bool]] = field(default_factory=list)

    def is_on(self, outlet: str) -> bool:
        return outlet not in self.off

    def draw_w(self, outlet: str) -> float:
        return self.draws_w[outlet] if self.is_on(outlet) else 0.0

    def switch(self, outlet: str, is_on: bool) -> None:
        """As a client asks for it."""
        self.told.append((outlet, is_on))
        if Fault.DEAF in self.faults:
            return
        self.later.append((outlet, is_on))
        if not self.is_slow:
            self.happen()

    def happen(self) -> None:
        """What was delayed happens now."""
        for outlet, is_on in self.later:
            (self.off.discard if is_on else self.off.add)(outlet)
        self.later.clear()
