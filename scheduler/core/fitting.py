"""What was found out about where jobs fit: it holds until nodes come, go, or read other checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Set as AbstractSet
from dataclasses import dataclass, field

Part = tuple[str, ...]
"""One rack, or one block: its name, behind those of the parts that it is in."""

Key = tuple[object, ...]
"""What of a job, or of a level, it hangs on."""


@dataclass(slots=True)
class Fitting:
    """Kept by a plan, filled by those who look."""

    generation: int = 0  #: rises with each change of the site
    shapes: dict[Key, bool] = field(default_factory=dict)  #: `placement.ever_fits`
    usable: dict[Key, AbstractSet[str]] = field(default_factory=dict)  #: `placement.usable`
    roomy: dict[Key, AbstractSet[str]] = field(default_factory=dict)  #: `placement.roomy`
    parts: dict[Key, Mapping[str, Part]] = field(default_factory=dict)  #: `topology.parts_at`

    def site_changed(self) -> None:
        """Jobs may fit where they did not."""
        self.generation += 1
        for found in (self.shapes, self.usable, self.roomy, self.parts):
            found.clear()
