"""The stages of an attempt, in the order in which its supervisor goes through them."""

from __future__ import annotations

from enum import Enum, auto


class Stage(Enum):
    """How far the attempt is."""

    CHECKING = auto()  #: looking for the commit to resume from; held here while it must not run
    PREPARING = auto()  #: a process beside makes ready what the job brings along
    RUNNING = auto()
    CLEARING = auto()  #: the first process ended, others may be left
    INSPECTING = auto()  #: looking for the newest commit
    COLLECTING = auto()  #: a process beside copies its outputs
    ENDED = auto()  #: the final facts are still to be written
