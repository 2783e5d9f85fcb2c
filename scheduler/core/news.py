"""What of a change is news: to whom it matters what became of the attempts, and to whom what is ordered."""

from __future__ import annotations

from scheduler.core.jobs import Attempt
from scheduler.core.snapshot import Group


class News:
    """What changed since the last whole decision, by id."""

    __slots__ = ("attempts", "groups", "jobs", "storage")

    def __init__(self) -> None:
        self.jobs: set[str] = set()
        self.attempts: set[str] = set()
        self.groups: set[str] = set()  #: that tell something else of their attempts, or came, or went
        self.storage = False  #: some node reads its checkpoints elsewhere than before, or came, or went


def tells_more(old: Group | None, new: Group | None) -> bool:
    """Whether what was heard of a group may change what is known of its attempts."""
    if old is None or new is None:
        return True
    return (old.facts, old.storage, old.spec) != (new.facts, new.storage, new.spec)


def frees_or_takes(old: Group | None, new: Group | None) -> bool:
    """Whether other GPUs of a group may be free for new work than were."""
    if old is None or new is None or old.gpus is not new.gpus or old.spec is not new.spec:
        return True
    return (old.power, old.cordoned, old.is_deaf) != (new.power, new.cordoned, new.is_deaf)


def is_ordered_otherwise(known: Attempt, attempt: Attempt) -> bool:
    """Whether the orders for an attempt are other than they were."""
    return (
        known.phase is not attempt.phase
        or known.cap_w != attempt.cap_w
        or known.pause_cause is not attempt.pause_cause
        or known.placements != attempt.placements
        or known.resume_from != attempt.resume_from
    )
