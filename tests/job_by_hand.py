"""A job in the process of the test: a state to train, and the directories and variables of a supervisor."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from barq import contract
from barq.contract import Action, PauseRequest
from barq.job import Job


class Sum:
    """A state that grows by a random number with each step."""

    def __init__(self) -> None:
        self.total = 0.0

    def step(self) -> None:
        """Add a number that depends on all numbers drawn before."""
        self.total += random.random()

    def state_dict(self) -> dict[str, Any]:
        """The sum so far."""
        return {"total": self.total}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a sum."""
        self.total = state["total"]


class Site:
    """What a supervisor gives a job, made by hand: directories and variables."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.checkpoints, self.control, self.status_dir = root / "k", root / "c", root / "s"
        self.control.mkdir()
        self.status_dir.mkdir()
        self._patch = patch
        self.set(contract.ENV_JOB_ID, "j1")
        self.set(contract.ENV_CHECKPOINT_DIR, str(self.checkpoints))
        self.set(contract.ENV_CONTROL_DIR, str(self.control))
        self.set(contract.ENV_STATUS_DIR, str(self.status_dir))
        self.set(contract.ENV_PAUSE_SIGNAL, "SIGUSR1")
        self.start_attempt("1")

    def set(self, name: str, value: str) -> None:
        """Set a variable of the job's environment."""
        self._patch.setenv(name, value)

    def start_attempt(self, attempt: str) -> None:
        """The next job is that attempt, and nothing is wanted of it yet."""
        self.set(contract.ENV_ATTEMPT, attempt)
        (self.control / contract.PAUSE_FILE).unlink(missing_ok=True)

    def ask(self, seq: int, action: Action) -> None:
        """Want something of the job."""
        request = PauseRequest(seq=seq, action=action, deadline_boottime_s=None, reason="test", rung=3)
        contract.write_pause_request(self.control, request)

    def commits(self) -> list[str]:
        """The names of all commits."""
        return sorted(path.name for path in self.checkpoints.glob("step-*"))


def run(state: Sum, total: int, pause_at: int | None = None, site: Site | None = None, **options: Any) -> Job:
    """Train up to `total`; at step `pause_at` the site asks the job to save and exit."""
    job = Job.from_environment(**options)
    for step in job.steps(job.resume(state), total):
        state.step()
        if step == pause_at and site:
            site.ask(step + 1, Action.SAVE_AND_EXIT)
    job.done()
    return job
