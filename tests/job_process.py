"""An example job as a real process, with a supervisor made by hand: directories, variables, requests, signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from barq import contract
from barq.contract import Action, JobPhase, JobStatus, PauseRequest
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "configs" / "jobs" / "examples"
PATIENCE_S = 60.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def share_of_a_core(cpu_s: Callable[[], float], span_s: float) -> float:
    """What part of a core is used over a span of at least so long, in which nothing must happen."""
    before_s, began_s = cpu_s(), time.monotonic()
    time.sleep(span_s)
    used_s = cpu_s() - before_s
    return used_s / (time.monotonic() - began_s)


class Workplace:
    """What stays from one attempt to the next: checkpoints and output."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.checkpoints = root / "checkpoints"
        self.output = root / "output"

    def steps(self) -> list[dict[str, Any]]:
        """Every step that any attempt did, in the order in which they were written."""
        path = self.output / "steps.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def commits(self) -> list[str]:
        """The names of all commits, oldest first."""
        return sorted(path.name for path in self.checkpoints.glob("step-*") if "." not in path.name)

    def losses(self) -> list[float]:
        """The loss of each step in turn, to be compared bit for bit."""
        return [line["loss"] for line in self.steps()]


class JobProcess:
    """One rank of one attempt, running; leaving its `with` kills it if it still runs."""

    def __init__(
        self, place: Workplace, script: str, *arguments: str, attempt: str = "1", **variables: str
    ) -> None:
        self.place = place
        self.control = place.root / f"control-{attempt}"
        self.status_dir = place.root / f"status-{attempt}"
        self.log = place.root / f"log-{attempt}-{variables.get('RANK', '0')}"
        for directory in (self.control, self.status_dir, place.output):
            directory.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(EXAMPLES / script), *arguments],
                env=self._environment(attempt) | variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def ask(self, seq: int, action: Action, *, lose_signal: bool = False) -> None:
        """Want something of the job: first the file, then the signal, which may get lost."""
        request = PauseRequest(seq=seq, action=action, deadline_boottime_s=None, reason="test", rung=1)
        contract.write_pause_request(self.control, request)
        if not lose_signal:
            self.process.send_signal(signal.SIGTERM)

    def status(self) -> JobStatus | None:
        """What the job claims."""
        return contract.read_status(self.status_dir)

    def wait_until_step(self, step: int) -> JobStatus:
        """Wait until the job claims that `step` steps are completed."""
        return self._wait_for_status(lambda status: status.step >= step, f"step {step}")

    def wait_for_phase(self, phase: JobPhase, seq: int) -> JobStatus:
        """Wait until the job claims to be in `phase` in answer to the request `seq`."""
        return self._wait_for_status(
            lambda status: (status.state, status.seq) == (phase, seq), f"{phase} {seq}"
        )

    def wait_for_exit(self) -> int:
        """Wait until the process has ended and return its exit code."""
        return self.process.wait(timeout=PATIENCE_S)

    def cpu_s(self) -> float:
        """Processor time that the process has used so far, to 10 ms."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S

    def _wait_for_status(self, is_it: Any, what: str) -> JobStatus:
        def there() -> JobStatus | None:
            assert self.process.poll() is None, self.log.read_text()
            status = self.status()
            return status if status is not None and is_it(status) else None

        found = wait_for(there, timeout_s=PATIENCE_S, what=what)
        assert found is not None
        return found

    def _environment(self, attempt: str) -> dict[str, str]:
        return os.environ | {
            "PYTHONPATH": str(ROOT),
            contract.ENV_JOB_ID: "j1",
            contract.ENV_ATTEMPT: attempt,
            contract.ENV_CHECKPOINT_DIR: str(self.place.checkpoints),
            contract.ENV_CHECKPOINT_INTERVAL_S: "3600",
            contract.ENV_CONTROL_DIR: str(self.control),
            contract.ENV_STATUS_DIR: str(self.status_dir),
            contract.ENV_OUTPUT_DIR: str(self.place.output),
            contract.ENV_PAUSE_SIGNAL: "SIGTERM",
        }
