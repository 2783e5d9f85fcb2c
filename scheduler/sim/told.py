"""What the supervisor of a simulated gang's member tells of it."""

from __future__ import annotations

from typing import Final, NamedTuple

from scheduler.core.orders import AttemptFacts, Observed

_KILLED: Final = 9  #: the signal


class Told(NamedTuple):
    """All that it hangs on."""

    attempt_id: str
    observed: Observed
    step: int
    committed_step: int  #: 0 = nothing is committed
    resumed_step: int | None
    save_s: float
    asked_to_exit: bool
    killed: bool
    exit_code: int | None

    def as_facts(self) -> AttemptFacts:
        """As a guard reports it."""
        step = self.committed_step
        return AttemptFacts(
            attempt_id=self.attempt_id,
            observed=self.observed,
            step=self.step,
            committed_step=step or None,
            committed_path=f"/sim/step-{step}" if step else None,
            resumed_step=self.resumed_step,
            save_s=self.save_s if step else None,
            asked_to_exit=self.asked_to_exit,
            says_done=self.exit_code == 0,
            killed=self.killed,
            exit_code=self.exit_code,
            signal=_KILLED if self.killed else None,
        )
