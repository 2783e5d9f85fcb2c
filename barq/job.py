"""What a training loop needs to be paused, moved and resumed without losing a step.

    job = Job.from_environment()
    first = job.resume(model=model, optimizer=optimizer)
    for step in job.steps(first, total):
        train_step(model, optimizer, batch(step))
    job.done()

At each step boundary the job looks whether the supervisor wants something: it holds, commits, or commits and
leaves with exit code 85. Run by hand, without a supervisor, it only commits, into `./checkpoints`, and
continues from there the next time. With several ranks all do the same at the same step.

    JobMisuse     the loop calls things in an order that would lose or repeat steps
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, assert_never

from barq.contract import EXIT_PAUSED, Action, JobPhase, JobStatus
from barq.job_environment import JobEnvironment
from barq.pause_gate import Order, PauseGate
from barq.ranks import Alone, Ranks, join
from barq.saving import Rhythm, Saver
from barq.shards import Parts, Savable, Stateful
from barq.status_report import StatusReport

log: Final = logging.getLogger("barq.job")


class JobMisuse(Exception):
    """The loop calls things in an order that would lose or repeat steps; the message says what to call."""


class Job:
    """This process as one rank of a Barq job; `step` counts the steps completed."""

    def __init__(
        self, environment: JobEnvironment, rhythm: Rhythm, keep: int, *, elastic: bool = False
    ) -> None:
        self.environment = environment
        self.step = 0
        self._rhythm = rhythm
        self._keep = keep
        self._elastic = elastic
        self._gate = PauseGate(environment.control_dir, environment.pause_signal)
        self._report = StatusReport(environment.status_dir if environment.rank == 0 else None)
        self._ranks: Ranks = Alone()
        self._saver: Saver | None = None
        self._gate.listen()

    @classmethod
    def from_environment(
        cls,
        *,
        checkpoint_dir: Path = Path("checkpoints"),
        interval_s: float | None = None,
        every_steps: int | None = None,
        keep: int | None = None,
        elastic: bool = False,
    ) -> Job:
        """Return the job that the environment describes. Call it early: from then on a pause is not missed.

        Commits every `interval_s` seconds or `every_steps` steps, whichever is first; with neither, as often
        as the supervisor says (300 s by hand). `checkpoint_dir` is for a run by hand: a supervisor gives its
        own. `elastic` says that the state is the same on every rank (data parallel): only then a commit of another
        number of ranks is continued from. Raises ContractError if the environment holds nonsense.
        """
        _log_to_stderr_if_nobody_listens()
        environment = JobEnvironment.read(checkpoint_dir)
        if interval_s is None and every_steps is None:
            rhythm = Rhythm(interval_s=environment.interval_s, every_steps=None, first_s=environment.first_s)
        else:
            rhythm = Rhythm(interval_s=interval_s, every_steps=every_steps)
        kept = environment.keep if keep is None else keep
        return cls(environment, rhythm, kept, elastic=elastic)

    @property
    def is_first_rank(self) -> bool:
        """Whether this is the rank that writes what is written once."""
        return self.environment.rank == 0

    def resume(self, state: Stateful | Savable | None = None, /, **parts: Stateful) -> int:
        """Load the newest verified commit into `state` or the named parts, and return the step to go on with.

        Call it once, after the state is built and, with several ranks, on every rank; 0 means a fresh start.
        Random generators of Python, NumPy and PyTorch continue where they were. Raises CheckpointError.
        """
        if (state is None) == (not parts) or self._saver is not None:
            message = "resume() wants one state, or named parts like model=..., and only once"
            raise JobMisuse(message)
        self._ranks = join(self.environment.rank, self.environment.world)
        saved = Parts(parts) if state is None else state
        self._saver = Saver(
            self.environment, self._ranks, saved, self._rhythm, self._keep, elastic=self._elastic
        )
        self.step = self._saver.restore()
        self._tell(JobPhase.RUNNING)
        return self.step

    def steps(self, start: int, total: int) -> Iterator[int]:
        """Yield the steps from `start` to `total - 1`, and pass the gate before the first and after each.

        A step counts as completed when the loop asks for the next one. Leaves by SystemExit(85) if told to.
        """
        self._the_saver()
        if start != self.step:
            message = (
                f"steps({start}, {total}): {self.step} steps are done; start with what resume() returned"
            )
            raise JobMisuse(message)
        self._pass_gate()
        for step in range(start, total):
            yield step
            self.completed(step)

    def completed(self, step: int) -> None:
        """Count `step` as completed and pass the gate: for loops that cannot be written over `steps`."""
        self._the_saver()
        if step != self.step:
            message = (
                f"completed({step}): the next step is {self.step}; call this once after each step, in order"
            )
            raise JobMisuse(message)
        self.step = step + 1
        self._pass_gate()

    def pause_wanted(self) -> bool:
        """Tell whether this rank knows of a pause to come: a long evaluation should then stop early."""
        return self._gate.poll() is not None

    def done(self) -> None:
        """Commit the final state and tell the supervisor that the work is finished."""
        self._save()
        self._tell(JobPhase.DONE)
        self._gate.close()

    def _pass_gate(self) -> None:
        order, is_due = self._agree(self._gate.poll(), is_due=self._the_saver().is_due(self.step))
        if order is not None:
            self._obey(order)
        elif is_due and self._save_in_passing():
            self._the_saver().prune()
        self._tell(JobPhase.RUNNING)

    def _agree(self, wanted: Order | None, *, is_due: bool) -> tuple[Order | None, bool]:
        """Return the latest order that any rank knows of, acted on from now, and whether a commit is due."""
        mine = [0 if wanted is None else wanted.to_number(), int(is_due)]
        number, due = self._ranks.largest(mine)
        order = Order.from_number(number)
        if order is not None:
            self._gate.acted_seq = order.seq
        return order, bool(due)

    def _obey(self, order: Order) -> None:
        log.info("step %d: %s (request %d)", self.step, order.action, order.seq)
        match order.action:
            case Action.SUSPEND:
                self._hold()
            case Action.SAVE_AND_CONTINUE:
                self._save_in_passing()
            case Action.SAVE_AND_EXIT:
                self._save()
                raise SystemExit(EXIT_PAUSED)
            case Action.RESUME:
                pass  # whoever holds stops holding; whoever runs need only acknowledge it
            case _:
                assert_never(order.action)

    def _hold(self) -> None:
        """Stay at this step boundary until told to go on; no rank waits inside a collective meanwhile."""
        is_held = True
        while is_held:
            _finish_kernels()
            self._tell(JobPhase.SUSPENDED)
            order, _ = self._agree(self._gate.wait(), is_due=False)
            if order is not None and order.action is not Action.SUSPEND:
                self._obey(order)
                is_held = order.action is not Action.RESUME

    def _save(self) -> None:
        saver = self._the_saver()
        if saver.name is None or saver.step != self.step:
            self._tell(JobPhase.SAVING)
            saver.save(self.step)
        self._tell(JobPhase.COMMITTED)

    def _save_in_passing(self) -> bool:
        """Whether this step is committed now. If it cannot be the job goes on, and its log says why."""
        saver = self._the_saver()
        if saver.name is None or saver.step != self.step:
            self._tell(JobPhase.SAVING)
            if not saver.save_in_passing(self.step):
                return False
        self._tell(JobPhase.COMMITTED)
        return True

    def _tell(self, phase: JobPhase) -> None:
        saver = self._the_saver()
        seq = self._gate.acted_seq
        self._report.tell(
            JobStatus(
                seq=seq,
                state=phase,
                step=self.step,
                commit=saver.name,
                save_s=saver.save_s,
                trouble=saver.trouble,
            )
        )

    def _the_saver(self) -> Saver:
        if self._saver is None:
            message = "nothing to save yet: call resume(state) before steps(), completed() or done()"
            raise JobMisuse(message)
        return self._saver


def _finish_kernels() -> None:
    """Wait for what was queued on the GPU: the power falls when the kernels stop, not when the loop does."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()


def _log_to_stderr_if_nobody_listens() -> None:
    """Let the few lines that are logged here reach the job's log, unless the job set up logging itself."""
    if not log.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("barq: %(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.INFO)
