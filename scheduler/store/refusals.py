"""What people ask of the store and cannot have.

    BarqError
    └── Refused
        ├── JobNotFound      no job has that id
        ├── JobIsFinal       nothing can change what has ended, or is being cancelled
        ├── ArrayNotFound    no array has that id
        ├── ArrayHasEnded    all jobs of an array have ended, or are being cancelled
        ├── InstructionNotFound  no dispatch instruction has that id
        ├── InstructionIsOver    nobody can answer what has ended, was superseded or refused
        ├── LimitNotFound    no manual limit has that number
        ├── PowerEventNotFound  no power event has that number
        ├── NothingSettled   nothing was settled with a partner of that name
        ├── TokenNotFound    no token has that name
        ├── NodeNotFound     no node of that name joined the site
        ├── MachineNotFound  no machine of a miner group has that id
        ├── GroupNotFound    no group of miners has that name, or nothing is known of its machines yet
        ├── MachineCannot    a machine cannot do what is wanted of it
        ├── TokenNameTaken   two tokens of one name could not be told apart
        ├── FiguresRefused   figures of the chain that cannot be, or cannot follow those that are known
        └── InvalidField     a value that makes no sense

`code` is stable: the API shows it, programs may branch on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from scheduler.core.jobs import JobState
from scheduler.errors import BarqError


class Refused(BarqError):
    """Root of the refusals."""

    code: ClassVar[str] = "refused"


class JobNotFound(Refused):
    """No job has that id."""

    code = "job_not_found"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"there is no job {job_id!r}; `barq jobs` lists them")
        self.job_id = job_id


class JobIsFinal(Refused):
    """Nothing can change what has ended, or is being cancelled."""

    code = "refused_final"

    def __init__(self, job_id: str, state: JobState) -> None:
        super().__init__(f"job {job_id} is {state.value}; submit it again to run it again")
        self.job_id, self.state = job_id, state


class ArrayNotFound(Refused):
    """No array has that id."""

    code = "array_not_found"

    def __init__(self, array_id: str) -> None:
        super().__init__(f"there is no array {array_id!r}; `barq jobs` lists jobs, `array_id` is in each")
        self.array_id = array_id


class ArrayHasEnded(Refused):
    """All jobs of an array have ended, or are being cancelled."""

    code = "refused_final"

    def __init__(self, array_id: str) -> None:
        super().__init__(
            f"all jobs of array {array_id} have ended or are ending; submit it again to run it again"
        )
        self.array_id = array_id


class LimitNotFound(Refused):
    """No manual limit has that number."""

    code = "limit_not_found"

    def __init__(self, limit_id: int) -> None:
        super().__init__(f"there is no manual limit {limit_id}; `barq power` lists those that stand")
        self.limit_id = limit_id


class InstructionNotFound(Refused):
    """No dispatch instruction has that id."""

    code = "instruction_not_found"

    def __init__(self, instruction_id: str) -> None:
        super().__init__(
            f"there is no dispatch instruction {instruction_id[:63]!r}; `barq dispatch list` lists them"
        )


class InstructionIsOver(Refused):
    """Nobody can answer what has ended, was superseded or refused."""

    code = "refused_final"

    def __init__(self, instruction_id: str, state: str) -> None:
        super().__init__(
            f"instruction {instruction_id} is {state} and takes no answer any more; see `barq dispatch list` for "
            "what holds now"
        )


class PowerEventNotFound(Refused):
    """No power event has that number."""

    code = "power_event_not_found"

    def __init__(self, number: int) -> None:
        super().__init__(f"there is no power event {number}; `barq power events` lists them")
        self.number = number


class NothingSettled(Refused):
    """Nothing was settled with a partner of that name, or not then."""

    code = "nothing_settled"

    def __init__(self, partner: str, known: Sequence[str], when: str = "") -> None:
        those = (
            ", ".join(known) or "nobody yet: the first interval is settled when a quarter of an hour is over"
        )
        super().__init__(f"nothing was settled with partner {partner[:63]!r}{when}; settled was with {those}")
        self.partner = partner


class TokenNotFound(Refused):
    """No token has that name."""

    code = "token_not_found"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no token named {name[:63]!r}; `barq token list` lists them")
        self.name = name


class NodeNotFound(Refused):
    """No node of that name joined the site."""

    code = "node_not_found"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"no node named {name!r} joined this site; `barq nodes` lists all, the site file has the rest"
        )
        self.name = name


class MachineNotFound(Refused):
    """No machine of a miner group has that id."""

    code = "miner_not_found"

    def __init__(self, miner_id: str) -> None:
        super().__init__(f"there is no miner {miner_id[:63]!r}; `barq miners` lists them")
        self.miner_id = miner_id


class GroupNotFound(Refused):
    """No group of miners has that name, or nothing is known of its machines yet."""

    code = "group_not_found"

    def __init__(self, group_id: str) -> None:
        super().__init__(f"no miners of a group {group_id[:63]!r} are known; `barq miners` lists them")
        self.group_id = group_id


class MachineCannot(Refused):
    """A machine cannot do what is wanted of it."""

    code = "miner_cannot"

    def __init__(self, miner_id: str, wish: str, why: str) -> None:
        detail, _, remedy = why.partition("; ")
        super().__init__(
            f"miner {miner_id} cannot be {wish}: {detail}; {remedy or f'`barq miners show {miner_id}` says more'}"
        )
        self.miner_id = miner_id


class TokenNameTaken(Refused):
    """Two tokens of one name could not be told apart."""

    code = "token_name_taken"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is a token named {name!r}; revoke it first, or choose another name")
        self.name = name


class FiguresRefused(Refused):
    """Figures of the chain that cannot be, or cannot follow those that are known."""

    code = "figures_refused"


class InvalidField(Refused):
    """A value that makes no sense."""

    code = "invalid_field"

    def __init__(self, field: str, value: object, remedy: str) -> None:
        super().__init__(f"{field}: {value!r} makes no sense; {remedy}")
        self.field, self.value, self.remedy = field, value, remedy
