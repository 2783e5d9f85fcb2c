"""The pause ladder for one attempt: what to do next, gentlest first, escalated on a timer. No I/O.

    R1 suspend          ask a job that speaks the contract, freeze one that does not or that is late
    R3 save and exit    ask, thaw what is frozen, kill at the deadline, which may come nearer
    R4 kill

Asking to leave is never taken back. A job that says it holds, yet computes, is frozen: its word is a claim.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import assert_never

from barq.contract import Action, JobPhase, JobStatus, PauseRequest
from scheduler.core.jobs import Phase
from workers.attempt_files import Instruction

_REASON_CHARACTERS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What is seen of the job at one moment; the clock is CLOCK_BOOTTIME."""

    now_boottime_s: float
    status: JobStatus | None = None  #: None: it never said anything, so it does not speak the contract
    is_computing: bool = False  #: its processes use the CPU while they should hold


class Act(Enum):
    """What is done to the processes of the job."""

    SIGNAL = auto()  #: tell the launcher to look at pause.json; a job without the contract: to end
    FREEZE = auto()
    THAW = auto()
    KILL = auto()


Step = PauseRequest | Act
"""A request is put into pause.json before whatever follows it is done."""


class Ladder:
    """Where one attempt stands on the ladder."""

    def __init__(self, *, patience_s: float, grace_s: float) -> None:
        self._patience_s = patience_s
        self._grace_s = grace_s
        self.asked_at_s = 0.0
        self._deadline_s: float | None = None
        self.asked: PauseRequest | None = None
        self._seq = 0  #: of the newest request, asked or written ahead
        self.is_frozen = False
        self.is_killed = False

    @property
    def is_leaving(self) -> bool:
        """Whether it was asked to save and exit, or killed: there is no way back."""
        return self.is_killed or self._deadline_s is not None

    @property
    def was_asked_to_exit(self) -> bool:
        """Whether it was asked to save and exit."""
        return self._deadline_s is not None

    @property
    def is_held(self) -> bool:
        """Whether it was asked to suspend, and not to go on since."""
        return not self.is_leaving and self.asked is not None and self.asked.action is Action.SUSPEND

    def holds(self, status: JobStatus | None) -> bool:
        """Whether it does hold: frozen, or by its own word."""
        return self.is_held and (self.is_frozen or self._is_confirmed(status))

    def grace_left_s(self, now_boottime_s: float) -> float:
        """Seconds until what was asked to leave is killed."""
        return 0.0 if self.is_killed or self._deadline_s is None else self._deadline_s - now_boottime_s

    def climb(self, desired: Instruction, sight: Sight) -> list[Step]:
        """What to do now, in this order."""
        phase = Phase.SAVE_EXIT if self.is_leaving and desired.phase is not Phase.KILL else desired.phase
        match phase:
            case Phase.RUN:
                return self._go_on(desired, sight)
            case Phase.SUSPEND:
                return self._hold(desired, sight)
            case Phase.SAVE_EXIT:
                return self._leave(desired, sight)
            case Phase.KILL:
                return self._kill()
            case _:
                assert_never(phase)

    def _go_on(self, desired: Instruction, sight: Sight) -> list[Step]:
        if not self.is_held:
            return []
        return [self._ask(Action.RESUME, 0, desired, sight), *self._thaw()]

    def _hold(self, desired: Instruction, sight: Sight) -> list[Step]:
        if not self.is_held:
            asked = self._ask(Action.SUSPEND, 1, desired, sight)
            return [asked, *(self._freeze() if sight.status is None else [Act.SIGNAL])]
        late = sight.now_boottime_s - self.asked_at_s >= self._patience_s
        if sight.is_computing or (late and not self.holds(sight.status)):
            return self._freeze()
        return []

    def _leave(self, desired: Instruction, sight: Sight) -> list[Step]:
        if self.is_killed:
            return []
        if self._deadline_s is None:
            self._deadline_s = sight.now_boottime_s + self._grace_s
            if desired.deadline_boottime_s is not None:
                self._deadline_s = desired.deadline_boottime_s
            asked = self._ask(Action.SAVE_AND_EXIT, 3, desired, sight)
            return [asked, Act.SIGNAL, *self._thaw()]
        if sight.now_boottime_s >= self._deadline_s:
            return self._kill()
        if desired.deadline_boottime_s is None or desired.deadline_boottime_s >= self._deadline_s:
            return []
        self._deadline_s = desired.deadline_boottime_s
        # Without a signal: it was told to leave, and is told that once.
        return [self._ask(Action.SAVE_AND_EXIT, 3, desired, sight)]

    def _kill(self) -> list[Step]:
        if self.is_killed:
            return []
        self.is_killed = True
        return [Act.KILL]

    def _freeze(self) -> list[Step]:
        self.is_frozen = True
        return [Act.FREEZE]

    def _thaw(self) -> list[Step]:
        was_frozen, self.is_frozen = self.is_frozen, False
        return [Act.THAW] if was_frozen else []

    def remind(self, desired: Instruction, sight: Sight) -> PauseRequest | None:
        """A request to commit and carry on, of a job that speaks, runs and may; None for any other.

        Without a signal: it looks by itself a moment later, and nobody who does not is harmed.
        """
        if self.is_held or self.is_leaving or desired.phase is not Phase.RUN or sight.status is None:
            return None
        return self._ask(Action.SAVE_AND_CONTINUE, 0, desired, sight)

    def ahead(self, reason: str) -> PauseRequest:
        """A request to hold that is not asked yet. It has its number for good."""
        self._seq += 1
        return PauseRequest(
            seq=self._seq, action=Action.SUSPEND, deadline_boottime_s=None, reason=reason, rung=1
        )

    def was_asked(self, request: PauseRequest, now_boottime_s: float) -> None:
        """Take note that a request that was written ahead stands."""
        self.asked, self.asked_at_s = request, now_boottime_s

    def _ask(self, action: Action, rung: int, desired: Instruction, sight: Sight) -> PauseRequest:
        self._seq += 1
        self.asked_at_s = sight.now_boottime_s
        self.asked = PauseRequest(
            seq=self._seq,
            action=action,
            deadline_boottime_s=self._deadline_s,
            reason=desired.reason[:_REASON_CHARACTERS],
            rung=rung,
        )
        return self.asked

    def _is_confirmed(self, status: JobStatus | None) -> bool:
        if status is None or self.asked is None:
            return False
        return status.seq >= self.asked.seq and status.state is JobPhase.SUSPENDED
