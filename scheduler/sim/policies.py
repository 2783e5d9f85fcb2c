"""The policies that a simulation knows by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from scheduler.core.decide import Policy, PowerAware
from scheduler.errors import TraceError
from scheduler.sim.baselines import BASELINES

OURS = PowerAware.name
ALL = "all"
MAKERS: dict[str, Callable[[Mapping[str, float]], Policy]] = {
    OURS: lambda _: PowerAware(explains=False),  # nobody asks a simulated job why it waits
    **BASELINES,
}
"""Each makes a new one. It is told how long jobs take, by id, where their users said so."""


def policies_named(text: str) -> tuple[str, ...]:
    """`all`, or names with commas between them, each once. Raises `TraceError` that lists those there are."""
    if text.strip() == ALL:
        return tuple(MAKERS)
    names = tuple(dict.fromkeys(word.strip() for word in text.split(",")))
    if unknown := next((name for name in names if name not in MAKERS), None):
        raise TraceError(
            f"--policy {unknown}: there is no such policy; choose from {', '.join(MAKERS)}, or {ALL}"
        )
    return names
