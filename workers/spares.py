"""Supervisors forked ahead, each with a child that waits to be its job: a start finds the dear part of it done.

As many are kept as the guard says that it may need. They are made, and ended, one by one, while nobody wants anything
and no other process of this host waits for a processor.
One ends when the fork server does, which it sees as the end of its socket.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

from workers.courtesy import is_crowded
from workers.rehearsal import rehearse
from workers.starter import Starter

QUIET_S: Final = 0.5  #: after a start, or an end, there are other things to do
PACE_S: Final = 0.02  #: between one spare and the next
CROWDED_S: Final = 0.05  #: until it is looked again whether others still wait for a processor
LATER_S: Final = 30.0  #: until it is tried again, where no process can be had
_LONGEST_BYTES: Final = 8192

log = logging.getLogger("barq.supervisor")

Become = Callable[[Path, Starter | None], NoReturn]


class Spares:
    """The spare supervisors of one fork server, whose end of the guard's socket is `requests`."""

    def __init__(self, become: Become, requests: socket.socket) -> None:
        self._become = become
        self._requests = requests
        self._ready: list[tuple[int, socket.socket]] = []
        self._wanted = 0
        self._due_s = 0.0  #: on the monotonic clock

    @property
    def rest_s(self) -> float | None:
        """How long until there is something to do, s; None = for ever."""
        return None if len(self._ready) == self._wanted else max(0.0, self._due_s - time.monotonic())

    def want(self, number: int) -> None:
        """From now on keep so many; not at once, for a guard that says so has just begun, or seen somebody end."""
        self._wanted = number
        self._due_s = time.monotonic() + QUIET_S

    def tend(self) -> None:
        """Make one, or end one, unless that is not due yet. Raises OSError if none can be forked."""
        now_s = time.monotonic()
        if now_s < self._due_s:
            return
        if is_crowded():  # nothing is won by work ahead where others wait for a processor
            self._due_s = now_s + CROWDED_S
            return
        self._due_s = now_s + LATER_S  # if the host refuses
        if len(self._ready) < self._wanted:
            self._ready.append(self._fork())
        elif len(self._ready) > self._wanted:
            self._ready.pop()[1].close()
        self._due_s = now_s + PACE_S

    def start(self, attempt: Path) -> int:
        """Have a spare one look after `attempt`, or a new one if there is none; its PID. Raises OSError."""
        self._due_s = time.monotonic() + QUIET_S
        while self._ready:
            pid, theirs = self._ready.pop()
            with theirs:
                try:
                    theirs.send(os.fsencode(attempt))
                except OSError:
                    continue  # somebody ended it
            return pid
        pid = os.fork()
        if pid == 0:
            self._let_go()
            self._become(attempt, None)
        return pid

    def _fork(self) -> tuple[int, socket.socket]:
        ours, its_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            its_end.close()
            raise
        if pid == 0:
            ours.close()
            self._let_go()
            self._wait(its_end)
        its_end.close()
        return pid, ours

    def _let_go(self) -> None:
        """A child that held these would keep others from seeing the fork server's end."""
        self._requests.close()
        for _, theirs in self._ready:
            theirs.close()

    def _wait(self, requests: socket.socket) -> NoReturn:
        """The life of a spare one until it is needed."""
        code = 1
        try:
            os.setsid()
            starter = Starter()
            rehearse()
            request = requests.recv(_LONGEST_BYTES)
            requests.close()
            if request:
                self._become(Path(os.fsdecode(request)), starter)
            code = 0
        except OSError:
            log.exception(
                "this supervisor, forked ahead, is of no use; another will be forked when it is needed"
            )
        finally:
            os._exit(code)
