"""What changed of machines, as lines of the log of events: one for each change, and one for many that are alike.

A whole fleet that appears at once is one line with all its machines. The record of changes keeps each by itself, under
the number of that line, which holds the SHA-256 of them: so the record can be proven against the log.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Final

from scheduler.core.identities import IdentityChange, Trait, event_of, sentence
from scheduler.core.reasons import Event

SHOWN: Final = 5
"""Machines that a line names; its data has all."""
_TOGETHER: Final = {
    Trait.APPEARED: "appeared in {}",
    Trait.IDENTIFIED: "of {} say who they are",
    Trait.RETURNED: "returned in {}",
    Trait.VANISHED: "are not among those of {} any more",
    Trait.POOLS: "of {} tell their pools",
}

Line = tuple[Event, tuple[IdentityChange, ...]]


def lines_of(changes: Iterable[IdentityChange]) -> list[Line]:
    """The events that tell of these changes, each with those that it tells of; a machine is in each once."""
    found: dict[tuple[str, ...], list[IdentityChange]] = {}
    for change in changes:
        alike = (change.group_id, change.partner, change.at.isoformat())
        key = alike if _is_told_together(change) else (*alike, change.miner_id)
        found.setdefault((change.what, *key), []).append(change)
    return [(_event(some), tuple(some)) for some in found.values()]


def _is_told_together(change: IdentityChange) -> bool:
    """Pools that were others before are each owner's own matter."""
    return change.what in _TOGETHER and not (change.what is Trait.POOLS and change.before)


def _event(changes: Sequence[IdentityChange]) -> Event:
    first = changes[0]
    if len(changes) == 1:
        return event_of(first)
    names = [change.miner_id for change in changes]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    what = _TOGETHER[first.what].format(f"{first.partner}/{first.group_id}")
    return Event(
        at=first.at,
        kind=f"machine.{first.what}",
        text=f"{len(names)} machines {what}: {', '.join(names[:SHOWN])}{more}",
        data={
            "machines": " ".join(names),
            "group": first.group_id,
            "partner": first.partner,
            "changes_sha256": digest_of(changes),
        },
    )


def digest_of(changes: Iterable[IdentityChange]) -> str:
    """SHA-256 of the JSON list of [machine, before, after, sentence], in this order, without spaces, in UTF-8."""
    told = [[c.miner_id, c.before, c.after, sentence(c)] for c in changes]
    return hashlib.sha256(json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()
