"""A run with its figures: what is printed, written and compared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scheduler.sim.outcome import RunOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A run and its figures, as `summary` makes them."""

    outcome: RunOutcome
    figures: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What sets it apart from the others of one simulation; fit for a file's name."""
        words = (self.outcome.jobs_name, self.outcome.power_name, self.outcome.policy, str(self.outcome.seed))
        return "-".join(re.sub(r"[^A-Za-z0-9_.]+", "_", word) for word in words)
