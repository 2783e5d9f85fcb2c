"""How much of what runs has run for so long that what it leaves of its caps is known of it, and of nobody else.

Work that came within `SEASONED_S` may do what no work before it did. What others left undrawn says nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from scheduler.core.jobs import Phase
from scheduler.core.orders import AttemptOrder
from scheduler.core.snapshot import Group

SEASONED_S = 600.0

Since = Mapping[str, datetime]
"""Since when each attempt has been ordered to run, without a break, as far as this leader knows."""


def running_since(before: Since, groups: Iterable[Group], at: datetime) -> Since:
    """The same at `at`. Who was suspended meanwhile begins anew."""
    return {a.attempt_id: before.get(a.attempt_id, at) for a in _running(groups)}


def seasoned_share(since: Since, groups: Iterable[Group], at: datetime) -> float:
    """Of what all that runs may draw by its caps, the part of those that have run for long; of nothing, none."""
    all_w = seasoned_w = 0.0
    for attempt in _running(groups):
        caps_w = len(attempt.gpu_ids) * attempt.cap_w
        all_w += caps_w
        if (at - since.get(attempt.attempt_id, at)).total_seconds() >= SEASONED_S:
            seasoned_w += caps_w
    return seasoned_w / all_w if all_w > 0 else 0.0


def _running(groups: Iterable[Group]) -> Iterator[AttemptOrder]:
    for group in groups:
        if group.ordered is not None:
            yield from (a for a in group.ordered.attempts if a.phase is Phase.RUN)
