"""The gate that a job passes at each step boundary, to see what the supervisor wants of it now.

A signal only makes the job look sooner. The truth is `pause.json`, which is looked at every `LOOK_EVERY_S`
even if no signal ever arrives, for signals get lost.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

from barq.contract import PAUSE_FILE, Action, ContractError, PauseRequest, read_pause_request

LOOK_EVERY_S: Final = 0.2
HELD_LOOK_EVERY_S: Final = 0.05
_ACTIONS: Final = tuple(Action)

log: Final = logging.getLogger("barq.job")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to do, and the number of the request that said so."""

    seq: int
    action: Action

    def to_number(self) -> int:
        """Return a positive number that grows with `seq`, so that the largest of all ranks' is the latest."""
        return self.seq * len(_ACTIONS) + _ACTIONS.index(self.action) + 1

    @classmethod
    def from_number(cls, number: int) -> Order | None:
        """Return the order that `to_number` made `number` of, None for 0."""
        if number == 0:
            return None
        seq, index = divmod(number - 1, len(_ACTIONS))
        return cls(seq=seq, action=_ACTIONS[index])


class PauseGate:
    """Watches one control directory; without one (None) it never has anything to say."""

    def __init__(self, control_dir: Path | None, pause_signal: signal.Signals = signal.SIGTERM) -> None:
        self.acted_seq = 0
        self._control_dir = control_dir
        self._pause_signal = pause_signal
        self._signalled = False
        self._must_leave = False
        self._request: PauseRequest | None = None
        self._looked_at_s = float("-inf")
        self._seen: tuple[int, ...] | None = None
        self._owner_pid = os.getpid()
        self._former: Callable[[int, FrameType | None], object] | int | None = None

    def listen(self) -> None:
        """Let the pause signal set a flag from now on, given a supervisor and the main thread."""
        if self._control_dir is not None and threading.current_thread() is threading.main_thread():
            self._former = signal.signal(self._pause_signal, self._on_signal) or signal.SIG_DFL

    def close(self) -> None:
        """Give the pause signal its former meaning back."""
        if self._former is not None:
            signal.signal(self._pause_signal, self._former)
            self._former = None

    def poll(self) -> Order | None:
        """Return what is wanted and not yet acted on; asks the disk at most every `LOOK_EVERY_S`."""
        if self._signalled or time.monotonic() - self._looked_at_s >= LOOK_EVERY_S:
            self._look()
        return self._outstanding()

    def wait(self) -> Order:
        """Return the next request after the one acted on; until it comes, use next to no processor time."""
        while (order := self._outstanding()) is None:
            time.sleep(HELD_LOOK_EVERY_S)
            self._look()
        return order

    def _outstanding(self) -> Order | None:
        if self._request is not None and self._request.seq > self.acted_seq:
            return Order(seq=self._request.seq, action=self._request.action)
        if self._must_leave:
            return Order(seq=self.acted_seq, action=Action.SAVE_AND_EXIT)
        return None

    def _look(self) -> None:
        if self._control_dir is None:
            return
        signalled, self._signalled = (
            self._signalled,
            False,
        )  # before reading: a signal from now on counts again
        self._looked_at_s = time.monotonic()
        seen = _fingerprint(self._control_dir / PAUSE_FILE)
        if seen != self._seen or signalled:
            self._seen = seen
            self._read(self._control_dir, signalled=signalled)

    def _read(self, control_dir: Path, *, signalled: bool) -> None:
        try:
            request = read_pause_request(control_dir)
        except ContractError:
            log.exception("the pause request in %s is nonsense and cannot be obeyed", control_dir)
            request = None
        if request is None:
            # A signal with nothing to explain it is somebody who wants this process gone: save while it can.
            self._must_leave = self._must_leave or signalled
        elif self._request is None or request.seq > self._request.seq:
            self._request = request

    def _on_signal(self, signum: int, _frame: FrameType | None) -> None:
        if os.getpid() == self._owner_pid:
            self._signalled = True
            return
        signal.signal(signum, signal.SIG_DFL)  # a forked child of the job must still die of it
        os.kill(os.getpid(), signum)


def _fingerprint(path: Path) -> tuple[int, ...] | None:
    """Return what changes whenever the file is replaced, None if there is none."""
    try:
        found = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
