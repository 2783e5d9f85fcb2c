"""All attempts on this node: started once each, adopted by the next guard, forgotten when nobody asks any more."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from scheduler.core.enforce import PhaseCommand
from scheduler.core.orders import AttemptFacts, AttemptOrder, Observed
from scheduler.core.presence import LEAVING
from workers.attempt_files import AttemptFiles, Claim, Instruction, Launching
from workers.clock import boot_id
from workers.forkserver import ForkServer
from workers.gpu.port import GpuDriver
from workers.group_config import GroupConfig
from workers.interfaces import interface_of
from workers.job_storage import JobStorage
from workers.local_attempt import LocalAttempt
from workers.processes import ProcessTable, identify, send
from workers.wire import WireError

T = TypeVar("T")

CLEAR_AWAY_S = 2.0  #: the longest that the directories of what is over are left lying
MAX_READY = 16  #: supervisors that wait for an attempt; each takes about 2 MB
LOOK_AT_PROCESSES_S = 0.2  #: the dearest part of a look, and the slowest to matter

log = logging.getLogger("barq.guard")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What attempts need of their guard."""

    directory: Path  #: one sub-directory per attempt
    guard_lock: Path
    config: GroupConfig
    fork_server: ForkServer
    gpus: GpuDriver
    storage: JobStorage | None = None  #: None = jobs are where their launch says


class Attempts:
    """The attempts of one node."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._around = surroundings
        self._table = ProcessTable()
        self._known: dict[str, LocalAttempt] = {}
        self._to_urge: list[LocalAttempt] = []  #: held by this guard; their supervisors are still to be told
        self._forgotten: list[
            tuple[float, Path]
        ] = []  #: since when; their directories are still to be removed

    def __iter__(self) -> Iterator[LocalAttempt]:
        return iter(self._known.values())

    @property
    def present(self) -> list[LocalAttempt]:
        """Those that are not over."""
        return [a for a in self if not a.is_ended]

    @property
    def ended_ids(self) -> frozenset[str]:
        """Those that ran here and are over."""
        return frozenset(a.order.attempt_id for a in self if a.is_ended)

    def adopt(self) -> None:
        """Take over what an earlier guard left: supervisors go on, what never began is removed. Raises OSError."""
        self._around.directory.mkdir(parents=True, exist_ok=True)
        for path in sorted(p for p in self._around.directory.iterdir() if p.is_dir()):
            attempt = self._found(AttemptFiles(path))
            if attempt is not None:
                self._add(attempt)
                attempt.recall()
        self.look()

    def look(self) -> None:
        """Learn what became of all of them."""
        lively = [a for a in self if a.is_lively]
        if time.monotonic() - self._table.sampled_at_s >= LOOK_AT_PROCESSES_S:
            self._look_at_processes(lively)
        for attempt in lively:
            attempt.look()
        if any(a.is_ended for a in lively):
            self._look_at_processes(lively)  # at once: others wait for what these held

    def _look_at_processes(self, attempts: list[LocalAttempt]) -> None:
        self._table.refresh(pid for a in attempts for pid in a.tree.to_read_again())
        for attempt in attempts:
            attempt.tree.update()

    def tell(self, commands: Iterable[PhaseCommand], *, grace_s: float | None = None) -> None:
        """Tell each its phase. `grace_s` cuts short the grace of those that are to save and exit.

        Jobs that are to hold hear of it before all supervisors. Theirs hear it from them, or at the next call.
        """
        late, self._to_urge = self._to_urge, []
        told = [self._known[c.attempt_id] for c in commands if self._tell(c, grace_s)]
        self._to_urge = [attempt for attempt in told if attempt.hold_at_once()]
        for attempt in (*late, *(a for a in told if a not in self._to_urge)):
            attempt.urge()

    def _tell(self, command: PhaseCommand, grace_s: float | None) -> bool:
        attempt = self._known[command.attempt_id]
        started_with_s = attempt.order.launch.grace_s
        own_s = started_with_s if command.grace_s is None else command.grace_s
        return attempt.tell(
            command.phase,
            command.reason,
            grace_s=own_s if grace_s is None else min(own_s, grace_s),
            save_every_s=command.save_every_s,
        )

    def start(self, order: AttemptOrder) -> None:
        """Start an attempt that was never started here. If it cannot be, its facts say why."""
        order = self._placed(order)
        files = AttemptFiles(self._around.directory / order.attempt_id)
        instruction = Instruction(
            seq=1, phase=order.phase, reason=order.reason, save_every_s=order.save_every_s
        )
        try:
            files.create(self._launching(order))
            files.write_instruction(instruction)
            pid = self._around.fork_server.start(files.path)
        except OSError as error:
            self.refuse(order, f"the node cannot start it: {error}", is_passing=True)
            return
        process = identify(pid)
        claim = None if process is None else Claim(process=process, boot_id=boot_id())
        attempt = LocalAttempt(files, order, claim, self._table)
        attempt.remember(instruction)
        self._add(attempt)

    def refuse(self, order: AttemptOrder, why: str, *, is_passing: bool = False) -> None:
        """Note that an attempt cannot be started here, for good; `is_passing`: a later one of the job may be."""
        log.warning("refusing %s: %s", order.attempt_id, why)
        files = AttemptFiles(self._around.directory / order.attempt_id)
        attempt = LocalAttempt(files, order, None, self._table)
        try:
            files.create(self._launching(order))
            self._claim(files)
            attempt.end(launch_error=why, exit_code=os.EX_TEMPFAIL if is_passing else None)
        except OSError:
            log.exception("the refusal of %s cannot be written; trying again", order.attempt_id)
            return
        self._add(attempt)

    def forget(self, wanted: Iterable[str]) -> None:
        """Forget those that are over and that the accepted order does not name any more."""
        gone = {a.order.attempt_id for a in self if not a.is_lively}
        now_s = time.monotonic()
        self._forgotten += [(now_s, self._known.pop(name).files.path) for name in gone - frozenset(wanted)]

    def get_ready(self, *, gpus: int) -> None:
        """Have a supervisor ready for each attempt that could start on one of `gpus`; not while others save."""
        if not self._are_leaving:
            taken = sum(len(a.order.gpu_ids) for a in self.present)
            self._around.fork_server.keep_ready(min(MAX_READY, max(0, gpus - taken)))

    @property
    def _are_leaving(self) -> bool:
        return any(a.present.phase in LEAVING for a in self.present)

    def clear_away(self) -> None:
        """Remove the directories of those that were forgotten; not while others save, who need the disk more."""
        is_quiet = not self._are_leaving
        late_s = time.monotonic() - CLEAR_AWAY_S
        due = [path for since_s, path in self._forgotten if is_quiet or since_s < late_s]
        self._forgotten = [(since_s, path) for since_s, path in self._forgotten if path not in due]
        for path in due:
            try:
                shutil.rmtree(path)
            except OSError:
                log.exception("%s cannot be removed; the next guard will find it", path)

    def facts(
        self, ordered: Iterable[AttemptOrder], waits: Mapping[str, str] = MappingProxyType({})
    ) -> tuple[AttemptFacts, ...]:
        """The facts of all that were started, and the absence of those that were not; some tell what they wait for."""
        absent = [o.attempt_id for o in ordered if o.attempt_id not in self._known]
        started = [attempt.known.facts for attempt in self]
        missing = (
            AttemptFacts(attempt_id=name, observed=Observed.ABSENT, doing=waits.get(name, ""))
            for name in absent
        )
        return (*started, *missing)

    def _add(self, attempt: LocalAttempt) -> None:
        self._known[attempt.order.attempt_id] = attempt
        if not attempt.is_ended:
            self._around.gpus.attach(attempt.order.gpu_ids, attempt.tree)

    def _placed(self, order: AttemptOrder) -> AttemptOrder:
        """The order with its directories where this machine has them."""
        storage = self._around.storage
        return order if storage is None else replace(order, launch=storage.placed(order.launch))

    def _launching(self, order: AttemptOrder) -> Launching:
        config = self._around.config
        return Launching(
            order=order,
            guard_lock=str(self._around.guard_lock),
            orphan_s=config.orphan_s,
            suspend_patience_s=config.suspend_patience_s,
            visible_devices="" if config.spec.simulated else ",".join(order.gpu_ids),
            nice=config.job_nice,
            interface=interface_of(config.spec.address) if order.rank.nodes > 1 else "",
        )

    def _found(self, files: AttemptFiles) -> LocalAttempt | None:
        """The attempt in a directory; None if nothing ever ran in it, and then it is removed."""
        if self._claim(files):  # nobody else can any more
            shutil.rmtree(files.path)
            return None
        claim = _read(files.read_claim)
        launching = _read(files.read_launching)
        if launching is not None:
            return LocalAttempt(files, launching.order, claim, self._table)
        if claim is not None and claim.boot_id == boot_id():
            send(claim.process, signal.SIGKILL)  # its job dies with it
        shutil.rmtree(files.path)
        return None

    def _claim(self, files: AttemptFiles) -> bool:
        own = identify(os.getpid())
        return own is not None and files.claim(Claim(process=own, boot_id=boot_id()))


def _read(what: Callable[[], T | None]) -> T | None:
    """What a file says, None if it says nothing that makes sense."""
    try:
        return what()
    except WireError:
        log.exception("a file of an attempt makes no sense and is taken for missing")
        return None
