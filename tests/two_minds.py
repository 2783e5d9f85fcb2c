"""A policy that remembers beside one that never does: a memory is a cache, so both come to the same decisions."""

from __future__ import annotations

from scheduler.core.decide import Decision, PowerAware
from scheduler.core.snapshot import Snapshot

_FIELDS = (
    "limit",
    "jobs",
    "attempts",
    "drafts",
    "reasons",
    "cut_work",
    "miners_w",
    "planned_w",
    "exposed_w",
    "lease_end",
    "wake_at",
    "awaits_room",
    "awaits_watts",
    "awaits_start",
    "awaits_word",
)


def differences(lived: Decision | None, fresh: Decision | None) -> list[str]:
    """In what two decisions differ, in words; events may come in any order."""
    if lived is None or fresh is None:
        return [] if lived is fresh else [f"one of them decides nothing: {lived} / {fresh}"]
    wrong = []
    for name in _FIELDS:
        ours, theirs = getattr(lived, name), getattr(fresh, name)
        if ours == theirs:
            continue
        if isinstance(ours, dict) and isinstance(theirs, dict):
            keys = [k for k in sorted(ours.keys() | theirs.keys()) if ours.get(k) != theirs.get(k)]
            wrong += [f"{name}[{k}]: remembers {ours.get(k)}, finds {theirs.get(k)}" for k in keys]
        else:
            wrong.append(f"{name}: remembers {ours}, finds {theirs}")
    if sorted(map(repr, lived.events)) != sorted(map(repr, fresh.events)):
        wrong.append(f"events: remembers {lived.events}, finds {fresh.events}")
    return wrong


class TwoMinds:
    """Barq's own policy, asked each time beside a new one. What they did not agree on is in `wrong`."""

    name = "two minds"

    def __init__(self) -> None:
        self.lived = PowerAware()
        self.wrong: list[str] = []
        self.rounds = 0

    def shed(self, snapshot: Snapshot) -> Decision | None:
        """What the one that remembers answers."""
        return self._compared("shed", snapshot, self.lived.shed(snapshot), PowerAware().shed(snapshot))

    def decide(self, snapshot: Snapshot) -> Decision:
        """What the one that remembers answers."""
        decision, fresh = self.lived.decide(snapshot), PowerAware()
        self._compared("decide", snapshot, decision, fresh.decide(snapshot))
        if (ours := self.lived.offer()) != (theirs := fresh.offer()):
            self.wrong.append(f"offer at {snapshot.at:%H:%M:%S.%f}: remembers {ours}, finds {theirs}")
        return decision

    def _compared(
        self, what: str, snapshot: Snapshot, lived: Decision | None, fresh: Decision | None
    ) -> Decision | None:
        self.rounds += 1
        self.wrong += [f"{what} at {snapshot.at:%H:%M:%S.%f}: {w}" for w in differences(lived, fresh)]
        return lived


__all__ = ["TwoMinds", "differences"]
