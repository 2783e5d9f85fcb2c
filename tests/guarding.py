"""A guard in a process of its own, and the orders that tests give it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from scheduler.core.jobs import Launch, Phase
from scheduler.core.lease import Refusal
from scheduler.core.orders import (
    AttemptFacts,
    AttemptOrder,
    FallbackStep,
    Fence,
    GpuSlot,
    GroupKind,
    GroupSpec,
    GuardReport,
    Observed,
    Order,
)
from scheduler.core.power import A100_SXM
from tests.waiting import wait_for
from workers.attempt_files import AttemptFiles
from workers.clock import boot_id, boottime_s
from workers.group_config import GroupConfig
from workers.processes import ProcessId, ProcessTable, identify, is_alive, read_stat, send
from workers.sockets import connect
from workers.wire import decode, encode

T = TypeVar("T")

EXAMPLES = Path(__file__).resolve().parents[1] / "configs" / "jobs" / "examples"
BASE_W = 400.0
IDLE_W = A100_SXM.idle_w
HELD_W = A100_SXM.held_w()
PATIENCE_S = 60.0


def node(gpus: int = 2) -> GroupSpec:
    """A simulated node with GPUs g0, g1, ..."""
    slots = tuple(GpuSlot(gpu_id=f"g{i}", model=A100_SXM.name) for i in range(gpus))
    return GroupSpec(group_id="n1", kind=GroupKind.NODE, base_w=BASE_W, gpus=slots, simulated=True)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a guard answers to an order."""

    refusal: Refusal | None
    report: GuardReport


@dataclass(frozen=True, kw_only=True)
class ReportAnswer:
    """What a guard answers to a question."""

    report: GuardReport


class GuardedNode:
    """A guard process in a directory, the jobs ordered of it, and the order that stands."""

    module = "workers.guard"

    def __init__(self, directory: Path, **config: Any) -> None:
        self.directory = directory / "group"
        self.directory.mkdir()
        plain = GroupConfig(spec=node(), poll_s=0.05, suspend_patience_s=0.7, orphan_s=60.0)
        self.config = plain
        self.configure(**config)
        self.fence = Fence(epoch=1, seq=0)
        self._process: subprocess.Popen[bytes] | None = None
        self._touched: set[ProcessId] = set()

    def caps_w(self) -> dict[str, float]:
        """The caps of the simulated GPUs, as the devices keep them."""
        caps_w: dict[str, float] = json.loads((self.directory / "gpus.json").read_bytes())
        return caps_w

    # --- the process ---------------------------------------------------------------------------------------------

    def configure(self, **config: Any) -> None:
        """Change what the next guard reads."""
        self.config = replace(self.config, **config)
        (self.directory / "group.json").write_bytes(encode(self.config))

    def start(self) -> GuardedNode:
        """Start the guard and wait until it answers."""
        command = [sys.executable, "-m", self.module, "--config", str(self.directory / "group.json")]
        with (self.directory.parent / "guard.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        wait_for(self._answers, timeout_s=PATIENCE_S, what="the guard answers")
        return self

    def end(self, signum: int) -> None:
        """End the guard by a signal and wait until it is gone."""
        assert self._process is not None
        self._process.send_signal(signum)
        self._process.wait(PATIENCE_S)
        self._process = None

    def close(self) -> None:
        """End everything that was started, and check that nothing is left."""
        if self._process is not None:
            self.end(signal.SIGKILL)
        left = self._touched | self._running()
        for process in left:
            send(process, signal.SIGKILL)
        wait_for(lambda: not any(map(is_alive, left)), timeout_s=PATIENCE_S, what="all are gone")

    def _running(self) -> set[ProcessId]:
        """The supervisors that live, and all below them."""
        table = ProcessTable()
        table.refresh()
        roots = [claim.process for files in self.attempts() if (claim := files.read_claim()) is not None]
        alive = {process for process in (*roots, *self._forked()) if is_alive(process)}
        return alive | {stat.id for process in alive for stat in table.below(process.pid)}

    def _forked(self) -> list[ProcessId]:
        """What guards of this node forked, also who has not claimed an attempt yet: it has their command line."""
        mark = os.fsencode(self.directory / "group.json")
        found = []
        for pid in (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()):
            process = identify(pid)
            with suppress(OSError):
                if process is not None and mark in (Path("/proc") / str(pid) / "cmdline").read_bytes():
                    found.append(process)
        return found

    @property
    def has_ended(self) -> bool:
        """Whether the guard ended by itself."""
        assert self._process is not None
        return self._process.poll() is not None

    def ask(self, request: bytes) -> bytes:
        """One request, one answer."""
        with (
            connect(self.directory / "guard.sock", timeout_s=PATIENCE_S) as stream,
            stream.makefile("rwb") as file,
        ):
            file.write(request + b"\n")
            file.flush()
            return file.readline()

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.directory.parent / "guard.log").read_text()
        try:
            return bool(self.ask(b'{"op":"report"}'))
        except OSError:
            return False

    # --- orders and reports --------------------------------------------------------------------------------------

    def order(
        self,
        *attempts: AttemptOrder,
        lease_s: float = 60.0,
        entitlement_w: float = 5000.0,
        fallback: Iterable[FallbackStep] = (FallbackStep(after_s=0.0, limit_w=5000.0),),
        miners_target_w: float = 0.0,
        released_stop: str = "",
    ) -> Answer:
        """Give the next order."""
        self.fence = replace(self.fence, seq=self.fence.seq + 1)
        return self.deliver(
            Order(
                group_id=self.config.spec.group_id,
                boot_id=boot_id(),
                fence=self.fence,
                expires_boottime_s=boottime_s() + lease_s,
                entitlement_w=entitlement_w,
                fallback=tuple(fallback),
                attempts=attempts,
                miners_target_w=miners_target_w,
                released_stop=released_stop,
            )
        )

    def deliver(self, order: Order) -> Answer:
        """Give this very order."""
        return decode(Answer, self.ask(b'{"op":"deliver","order":' + encode(order) + b"}"))

    def report(self) -> GuardReport:
        """What the guard observes."""
        return decode(ReportAnswer, self.ask(b'{"op":"report"}')).report

    def facts(self, attempt_id: str) -> AttemptFacts:
        """What the guard knows of an attempt."""
        return {facts.attempt_id: facts for facts in self.report().attempts}[attempt_id]

    def job(self, attempt_id: str, command: Iterable[str], **changes: Any) -> AttemptOrder:
        """An attempt that runs `command` on GPU g0, unless changed."""
        home = self.directory.parent / attempt_id.rpartition(".")[0]
        home.mkdir(exist_ok=True)
        launch = Launch(
            command=tuple(command),
            working_dir=str(home),
            env=changes.pop("env", ()),
            checkpoint_dir=str(home / "checkpoints"),
            output_dir=str(home / "output"),
            log_path=str(home / "job.log"),
            grace_s=changes.pop("grace_s", 20.0),
        )
        order = AttemptOrder(
            attempt_id=attempt_id,
            job_id=attempt_id.rpartition(".")[0],
            number=int(attempt_id.rpartition(".")[2]),
            phase=Phase.RUN,
            gpu_ids=("g0",),
            cap_w=300.0,
            tier=4,
            launch=launch,
        )
        return replace(order, **changes)

    def python(self, attempt_id: str, program: str, **changes: Any) -> AttemptOrder:
        """An attempt that runs a few lines of Python."""
        return self.job(attempt_id, ("python", "-c", program), **changes)

    def counter(self, attempt_id: str, *, steps: int = 100_000, **changes: Any) -> AttemptOrder:
        """An attempt of the smallest job that speaks the contract."""
        command = ("python", str(EXAMPLES / "counter.py"), "--steps", str(steps), "--step-ms", "10")
        return self.job(attempt_id, command, **changes)

    # --- what is to be seen --------------------------------------------------------------------------------------

    def attempts(self) -> list[AttemptFiles]:
        """The directories of all attempts."""
        return [AttemptFiles(path) for path in sorted(self.directory.glob("attempts/*"))]

    def files(self, attempt_id: str) -> AttemptFiles:
        """The directory of one."""
        return AttemptFiles(self.directory / "attempts" / attempt_id)

    def await_facts(self, attempt_id: str, holds: Callable[[AttemptFacts], bool], what: str) -> AttemptFacts:
        """The facts of an attempt as soon as `holds` says so."""

        def look() -> AttemptFacts | None:
            facts = self.facts(attempt_id)
            return facts if holds(facts) else None

        try:
            found = wait_for(look, timeout_s=PATIENCE_S, what=f"{attempt_id} {what}")
        except AssertionError as error:
            log_path = self.files(attempt_id).log_path
            log = log_path.read_text() if log_path.exists() else "no log"
            raise AssertionError(f"{error}\nlast: {self.facts(attempt_id)}\n{log}") from error
        assert found is not None
        return found

    def await_observed(self, attempt_id: str, observed: Observed) -> AttemptFacts:
        """The facts of an attempt as soon as it is in a state."""
        return self.await_facts(attempt_id, lambda facts: facts.observed is observed, f"is {observed}")

    def await_steps(self, attempt_id: str, steps: int = 1) -> int:
        """Steps done, as soon as there are that many more than now."""
        start = self.facts(attempt_id).step or 0
        return (
            self.await_facts(attempt_id, lambda f: (f.step or 0) >= start + steps, f"does {steps} steps").step
            or 0
        )

    def supervisor(self, attempt_id: str) -> ProcessId:
        """Who supervises an attempt."""
        claim = wait_for(self.files(attempt_id).read_claim, timeout_s=PATIENCE_S, what="a supervisor")
        assert claim is not None
        self._touched.add(claim.process)
        return claim.process

    def main(self, attempt_id: str) -> ProcessId:
        """The first process of an attempt."""

        def look() -> ProcessId | None:
            known = self.files(attempt_id).read_facts()
            return known.job if known else None

        found = wait_for(look, timeout_s=PATIENCE_S, what="a first process")
        assert found is not None
        self._touched.add(found)
        return found

    def touched(self, pid: int) -> ProcessId:
        """A process that a job started, to be ended with the test at the latest."""
        found = identify(pid)
        assert found is not None
        self._touched.add(found)
        return found


def cpu_ticks(process: ProcessId) -> int:
    """Clock ticks of CPU time that a process has used."""
    stat = read_stat(process.pid)
    assert stat is not None
    return stat.cpu_ticks


def is_idle_for(process: ProcessId, seconds: float) -> bool:
    """Whether a process uses less than a tenth of a core over some time."""
    before, began_s = cpu_ticks(process), time.monotonic()
    time.sleep(seconds)  # a span in which nothing must happen can only be waited out
    used = cpu_ticks(process) - before
    return used <= (time.monotonic() - began_s) * os.sysconf("SC_CLK_TCK") / 10
