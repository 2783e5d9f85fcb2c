"""What wakes a supervisor: signals, by a handler each, and whatever else is registered with its selector."""

from __future__ import annotations

import os
import selectors
import signal
from collections.abc import Callable, Mapping

_CHUNK_BYTES = 65536


class Wakeups:
    """Runs the handlers in the loop of who waits, never in the middle of something else."""

    def __init__(self, selector: selectors.BaseSelector, handlers: Mapping[int, Callable[[], None]]) -> None:
        self._selector = selector
        self._handlers = handlers
        self._received = b""

    def listen(self) -> None:
        """Catch the signals from now on."""
        self._reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for signum in self._handlers:
            signal.signal(signum, lambda *_: None)
        self._selector.register(self._reader, selectors.EVENT_READ, self._on_signals)

    def wait(self, longest_s: float, *, unhurried: int, gather_s: float) -> None:
        """Until something has come. If that is the signal `unhurried` alone, wait `gather_s` for what follows it."""
        came = self._select(longest_s)
        if came == 1 and self._received and not self._received.strip(bytes([unhurried])):
            self._select(gather_s)

    def _select(self, longest_s: float) -> int:
        self._received = b""
        ready = self._selector.select(longest_s)
        for key, _ in ready:
            key.data()
        return len(ready)

    def _on_signals(self) -> None:
        self._received = os.read(self._reader, _CHUNK_BYTES)
        for signum, handle in self._handlers.items():
            if signum in self._received:
                handle()
