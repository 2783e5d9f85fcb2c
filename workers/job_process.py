"""The processes of one job: started in a session of their own, signalled, frozen, killed and reaped to the last one."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence

from workers.parenthood import die_with_parent
from workers.processes import FamilyTable, ProcessId, ProcessStat, ProcessTree, family, identify, read_stat
from workers.starter import Starter, Wanted, forget_signals

_FREEZE_ROUNDS = 50
_FREEZE_PAUSE_S = 0.002


class JobProcess:
    """The job of this supervisor. Everything below this process that is not in its session belongs to it."""

    def __init__(self, starter: Starter | None = None) -> None:
        """`starter`, if any, is to become its first process."""
        pid = os.getpid()
        self._starter = starter
        self._tree = ProcessTree(ProcessId(pid=pid, start=_own_start()), FamilyTable(pid))
        self.main: ProcessId | None = None
        self.exit_code: int | None = None
        self.signal: int | None = None
        self.is_over = False  #: the first process ended; others may be left

    def start(
        self,
        command: Sequence[str],
        *,
        working_dir: str,
        environment: Mapping[str, str],
        output: int,
        nice: int,
    ) -> None:
        """Start the first process; it dies with this one. Raises OSError or ValueError, saying what is in the way."""
        if not command:
            raise ValueError("the command is empty; give the program to run")
        wanted = Wanted(
            command=list(command), working_dir=working_dir, environment=dict(environment), nice=nice
        )
        starter, self._starter = self._starter, None
        is_started = starter is not None and starter.start(wanted, output)
        pid = starter.pid if starter is not None and is_started else _fork(wanted, output)
        stat = read_stat(pid)  # a zombie at worst: only `reap` makes it vanish
        self.main = None if stat is None else stat.id

    def reap(self) -> None:
        """Bury what has ended, and note how the first process did."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self.main is not None and pid == self.main.pid:
                self._note_end(status)

    def members(self, *, is_certain: bool = False) -> list[ProcessStat]:
        """The living processes of the job, read anew; `is_certain` that none is left out, which takes longer."""
        self._tree.refresh(is_full=is_certain)
        return self._tree.members

    def cpu_s(self) -> float:
        """CPU seconds that the job has spent since the first call; a cheap look."""
        self._tree.refresh()
        return self._tree.spent_s

    def ask(self, *, is_contract: bool, is_gentle: bool) -> None:
        """Send SIGTERM to the launcher, and to nobody whom it would merely kill if the job speaks the contract.

        The launcher is the first process, or, below shells that wait for one child, the first that handles the
        signal. If none does, a job without the contract is told to end, each of its processes. A gentle request is
        one to hold: a launcher of processes that handle the signal too (torchrun) would end them, so it gets none.
        They look at pause.json by themselves, a moment later.
        """
        alone = self._alone_and_listening()
        if alone is not None:
            _send(alone, signal.SIGTERM)
            return
        members = {stat.id.pid: stat for stat in self.members()}
        launcher = self._launcher(members)
        if launcher is not None:
            if not (is_gentle and any(handles_term(pid) for pid in members if pid != launcher)):
                _send(launcher, signal.SIGTERM)
        elif not is_contract:
            for pid in members:
                _send(pid, signal.SIGTERM)

    def _alone_and_listening(self) -> int | None:
        """The PID of a job that is one process and handles the signal: most are, and this is a cheap look."""
        main = self.main
        if main is None or self.is_over or family(os.getpid()) != {os.getpid(), main.pid}:
            return None
        return main.pid if handles_term(main.pid) else None

    def freeze(self) -> None:
        """Stop every process, and those that were forked meanwhile, until all stand still."""
        for _ in range(_FREEZE_ROUNDS):
            moving = [stat for stat in self.members(is_certain=True) if not stat.is_stopped]
            if not moving:
                return
            for stat in moving:
                _send(stat.id.pid, signal.SIGSTOP)
            time.sleep(_FREEZE_PAUSE_S)

    def thaw(self) -> None:
        """Let all go on."""
        for stat in self.members():
            _send(stat.id.pid, signal.SIGCONT)

    def terminate(self) -> None:
        """Tell what is left to end by itself."""
        for stat in self.members():
            _send(stat.id.pid, signal.SIGTERM)

    def kill(self) -> bool:
        """Kill what is left; True if nothing was. Call it, and `reap`, until then."""
        if not _has_children():
            return True
        members = self.members() or self.members(is_certain=True)
        for stat in members:
            _send(stat.id.pid, signal.SIGKILL)
        return not members

    def _launcher(self, members: Mapping[int, ProcessStat]) -> int | None:
        pid = self.main.pid if self.main is not None and not self.is_over else None
        while pid is not None and not handles_term(pid):
            children = [stat.id.pid for stat in members.values() if stat.parent == pid]
            pid = children[0] if len(children) == 1 else None
        return pid

    def _note_end(self, status: int) -> None:
        self.is_over = True
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            self.signal = -code
        else:
            self.exit_code = code


def _fork(wanted: Wanted, output: int) -> int:
    """Start it from here. Its PID, for `reap`. Raises OSError or ValueError."""
    parent = os.getpid()

    def prepare() -> None:
        forget_signals()
        die_with_parent(parent)
        os.nice(wanted.nice)

    try:
        started = subprocess.Popen(
            wanted.command,
            cwd=wanted.working_dir,
            env=wanted.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=prepare,  # noqa: PLW1509 - there is one thread here
        )
    except subprocess.SubprocessError as error:
        raise OSError(
            f"a niceness of {wanted.nice} or a death signal is refused by this host: {error}"
        ) from error
    started.returncode = 0  # reaped by `reap`, never by Popen
    return started.pid


def handles_term(pid: int) -> bool:
    """Whether a process has a handler for SIGTERM: without one the signal would end it."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:  # noqa: PTH123 - read at each pause of each job
            _, _, caught = file.read().partition(b"\nSigCgt:")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return bool(int(caught.split(maxsplit=1)[0] if caught else b"0", 16) >> (signal.SIGTERM - 1) & 1)


def _has_children() -> bool:
    """Whether anything is below this process: every orphan of the job becomes its child. Buries nobody."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _send(pid: int, signum: int) -> None:
    """Signal a descendant. Its PID cannot have passed to another process before somebody here has reaped it."""
    try:
        os.kill(pid, signum)
    except (ProcessLookupError, PermissionError):
        return  # it ended, or became somebody else's by setuid: what is left shows in the next look


def _own_start() -> int:
    own = identify(os.getpid())
    assert own is not None, "this process runs"  # noqa: S101 - true by being executed
    return own.start
