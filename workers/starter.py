"""A child that waits to become a job's first process: forked while nobody waits, told later what to run.

A fork copies the page tables of a whole Python process, and each page that is written after it: more work than all that
a supervisor does to start a job. Whoever makes a `Starter` pays for that at once; what is left is one exec.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from workers.parenthood import die_with_parent

_CHUNK_BYTES: Final = 65536
_ERRORS: Final = 2  #: the last of the three that every process has open
_RESET: Final = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGCHLD,
    signal.SIGPIPE,
    signal.SIGXFSZ,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to run: a command found as a shell would find it, by the PATH of its own environment."""

    command: Sequence[str]
    working_dir: str
    environment: Mapping[str, str]
    nice: int

    def to_json(self) -> str:
        """As it is told to the child."""
        return json.dumps(
            {
                "command": [*self.command],
                "working_dir": self.working_dir,
                "environment": {**self.environment},
                "nice": self.nice,
            }
        )


class Starter:
    """The child. It dies with this process, is in its session until it is used, and can be used once."""

    def __init__(self) -> None:
        """Fork it. Raises OSError."""
        self._socket, its_end = socket.socketpair()
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            _serve(its_end, parent)
        its_end.close()

    def start(self, wanted: Wanted, output: int) -> bool:
        """Run it in a session of its own, printing to `output`; False if the child is gone, for another to do it.

        Raises OSError or ValueError, saying what is in the way.
        """
        with self._socket:
            try:
                socket.send_fds(self._socket, [b"."], [output])
                self._socket.sendall(wanted.to_json().encode())
                self._socket.shutdown(socket.SHUT_WR)
                answer = _read_all(self._socket)
            except OSError:
                return False
        if answer:
            raise _error(json.loads(answer))
        # Closed by the exec. Or by its death just before: then it is buried like a job that ended.
        return True


def _error(failure: dict[str, Any]) -> OSError | ValueError:
    number, what = failure["number"], failure["what"]
    return ValueError(what) if number is None else OSError(number, os.strerror(number), what)


def forget_signals() -> None:
    """Have no handler and no blocked signal of whom this process was forked from, as a program that a shell starts."""
    for signum in _RESET:
        signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _serve(requests: socket.socket, parent: int) -> NoReturn:
    """The life of the child until it is the job."""
    try:
        die_with_parent(parent)
        forget_signals()
        _keep_only(requests.fileno())
        _, received, *_ = socket.recv_fds(requests, 1, 1)
        if received:
            failure = _become(json.loads(_read_all(requests)), received[0])
            requests.sendall(json.dumps(failure).encode())
    finally:
        os._exit(1)


def _become(wanted: dict[str, Any], output: int) -> dict[str, Any]:
    """Be the job from now on; what is returned says why that cannot be."""
    what = wanted["working_dir"]
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for descriptor in (1, 2):
            os.dup2(output, descriptor)
        os.close(output)
        os.chdir(what)
        what = f"a niceness of {wanted['nice']}"
        os.nice(wanted["nice"])
        what = wanted["command"][0]
        os.execvpe(what, wanted["command"], wanted["environment"])  # noqa: S606 - a job is no shell's
    except OSError as error:
        return {"number": error.errno, "what": what}
    except ValueError as error:
        return {"number": None, "what": str(error)}


def _keep_only(descriptor: int) -> None:
    """Close all others but input and output, also those that a library of the guard has open."""
    for other in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208 - numbers are enough
        if other > _ERRORS and other != descriptor:
            with suppress(OSError):  # what listed them is closed by now
                os.close(other)


def _read_all(of: socket.socket) -> bytes:
    """Until the other end says no more. Raises OSError."""
    received = bytearray()
    with suppress(ConnectionResetError):  # it ended with something unread
        while data := of.recv(_CHUNK_BYTES):
            received += data
    return bytes(received)
