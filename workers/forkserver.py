"""The fork server: a warm, single-threaded child of the guard that forks supervisors in well under a millisecond each.

It is started before the guard has any thread, event loop or lock, so that a fork copies none of them. It ends when
the guard does, which it sees as the end of its socket; its supervisors do not: each has a session of its own.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import traceback
from dataclasses import replace
from pathlib import Path

from scheduler.core.orders import AttemptFacts, Observed
from workers.attempt_files import AttemptFiles, Claim, FactsFile, Instruction, Launching
from workers.clock import boot_id
from workers.inspection import Findings
from workers.oom import oom_kills
from workers.prepared import Collected, Prepared
from workers.processes import identify
from workers.supervisor import supervise
from workers.wire import adapter, encode

ANSWER_TIMEOUT_S = 10.0
_LONGEST_BYTES = 8192
_FAILED = "failed: "

log = logging.getLogger("barq.supervisor")


class ForkServerGone(RuntimeError):
    """The fork server does not answer; the guard ends and a new one adopts what runs."""


class ForkFailed(OSError):
    """The host refused another process."""


class ForkServer:
    """The guard's end."""

    def __init__(self) -> None:
        """Fork the server. Call it early: the child has what this process has now."""
        _rehearse()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self._socket.close()
            _serve(theirs)
        theirs.close()
        self._socket.settimeout(ANSWER_TIMEOUT_S)

    def start(self, attempt: Path) -> int:
        """Fork a supervisor for the directory `attempt` and return its PID. Raises ForkFailed, ForkServerGone."""
        try:
            self._socket.send(os.fsencode(attempt))
            answer = self._socket.recv(_LONGEST_BYTES).decode("utf-8", "replace")
        except OSError as error:
            raise ForkServerGone(f"the fork server (PID {self.pid}) does not answer: {error}") from error
        if answer.startswith(_FAILED):
            raise ForkFailed(answer.removeprefix(_FAILED))
        if not answer:
            raise ForkServerGone(f"the fork server (PID {self.pid}) has ended")
        return int(answer)

    def close(self) -> None:
        """End the fork server and bury it. Its supervisors go on."""
        self._socket.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def _serve(requests: socket.socket) -> None:
    """The life of the fork server."""
    code = 1
    try:
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD):
            signal.signal(signum, signal.SIG_IGN)  # SIGCHLD ignored: the kernel buries dead supervisors
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)
        gc.collect()
        gc.freeze()  # leave the shared pages alone
        while request := requests.recv(_LONGEST_BYTES):
            requests.send(_fork(Path(os.fsdecode(request)), requests))
        code = 0
    finally:
        os._exit(code)


def _rehearse() -> None:
    """Do once what guard and supervisors do at a start, so that neither builds or looks it up while a job waits."""
    for kind in (Claim, Collected, FactsFile, Findings, Instruction, Launching, Prepared):
        adapter(kind)
    identify(os.getpid())
    boot_id()
    oom_kills()
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False  # nobody reads who said it
    nobody = AttemptFacts(attempt_id="", observed=Observed.STARTING)
    encode(FactsFile(facts=nobody))
    replace(nobody, step=1)


def _fork(attempt: Path, requests: socket.socket) -> bytes:
    try:
        pid = os.fork()
    except OSError as error:
        return f"{_FAILED}{error}".encode()
    if pid == 0:
        requests.close()
        _become_supervisor(attempt)
    return str(pid).encode()


def _become_supervisor(attempt: Path) -> None:
    """The life of a supervisor."""
    code = 70
    try:
        os.setsid()
        signal.signal(
            signal.SIGCHLD, signal.SIG_DFL
        )  # it buries its own dead, and wants to know how they died
        _speak_into(AttemptFiles(attempt).log_path)
        supervise(attempt)
        code = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        raise
    finally:
        os._exit(code)


def _speak_into(path: Path) -> None:
    """Let what the supervisor says go to its own file, and keep nothing of the guard's."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    output = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
