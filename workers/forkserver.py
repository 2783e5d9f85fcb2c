"""The fork server: a warm, single-threaded child of the guard that forks supervisors, some of them ahead.

It is started before the guard has any thread, event loop or lock, so that a fork copies none of them. It ends when
the guard does, which it sees as the end of its socket; its supervisors do not: each has a session of its own.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import select
import shutil
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import NoReturn

from workers.attempt_files import AttemptFiles, Claim
from workers.clock import boot_id
from workers.parenthood import adopt_orphans
from workers.processes import identify
from workers.rehearsal import rehearse, rehearse_words
from workers.spares import Spares
from workers.starter import Starter
from workers.supervisor import Supervisor

ANSWER_TIMEOUT_S = 10.0
_LONGEST_BYTES = 8192
_FAILED = "failed: "
_START = b"start "
_READY = b"ready "

log = logging.getLogger("barq.supervisor")


class ForkServerGone(RuntimeError):
    """The fork server does not answer; the guard ends and a new one adopts what runs."""


class ForkFailed(OSError):
    """The host refused another process."""


class ForkServer:
    """The guard's end."""

    def __init__(self) -> None:
        """Fork the server. Call it early: the child has what this process has now."""
        rehearse_words()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self._socket.close()
            _serve(theirs)
        theirs.close()
        self._socket.settimeout(ANSWER_TIMEOUT_S)
        self._kept_ready = 0

    def keep_ready(self, number: int) -> None:
        """Have so many supervisors forked ahead, soon. Raises ForkServerGone."""
        if number == self._kept_ready:
            return
        try:
            self._socket.send(_READY + str(number).encode())
        except OSError as error:
            raise ForkServerGone(f"the fork server (PID {self.pid}) does not listen: {error}") from error
        self._kept_ready = number

    def start(self, attempt: Path) -> int:
        """Have a supervisor look after the directory `attempt`; its PID. Raises ForkFailed, ForkServerGone."""
        try:
            self._socket.send(_START + os.fsencode(attempt))
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
        rehearse()
        gc.collect()
        gc.freeze()  # leave the shared pages alone
        spares = Spares(_become_supervisor, requests)
        while True:
            ready, _, _ = select.select([requests], [], [], spares.rest_s)
            if not ready:
                _tend(spares)
            elif not (request := requests.recv(_LONGEST_BYTES)):
                break
            elif request.startswith(_START):
                requests.send(_start(Path(os.fsdecode(request.removeprefix(_START))), spares))
            else:
                spares.want(int(request.removeprefix(_READY)))
        code = 0
    finally:
        os._exit(code)


def _start(attempt: Path, spares: Spares) -> bytes:
    try:
        return str(spares.start(attempt)).encode()
    except OSError as error:
        return f"{_FAILED}{error}".encode()


def _tend(spares: Spares) -> None:
    try:
        spares.tend()
    except OSError:
        log.exception("no supervisor can be forked ahead; trying again")


def _become_supervisor(attempt: Path, starter: Starter | None) -> NoReturn:
    """The life of a supervisor."""
    code = 70
    try:
        if starter is None:
            os.setsid()
        signal.signal(
            signal.SIGCHLD, signal.SIG_DFL
        )  # it buries its own dead, and wants to know how they died
        _speak_into(AttemptFiles(attempt).log_path)
        supervise(attempt, starter)
        code = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        raise
    finally:
        os._exit(code)


def supervise(path: Path, starter: Starter | None = None) -> None:
    """Look after the attempt in `path` until it is over; nothing if somebody ever did so before."""
    files = AttemptFiles(path)
    own = identify(os.getpid())
    if own is None or not files.claim(Claim(process=own, boot_id=boot_id())):
        return
    launching = files.read_launching()
    if launching is None:
        raise FileNotFoundError(
            f"{path}/launch.json is missing; a guard writes it before it forks a supervisor"
        )
    adopt_orphans()
    Supervisor(files, launching, starter).run()
    shutil.rmtree(files.work_dir, ignore_errors=True)  # what it left goes with the next attempt's


def _speak_into(path: Path) -> None:
    """Let what the supervisor says go to its own file, and keep nothing of the guard's."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    output = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
