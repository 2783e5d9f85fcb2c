"""What the processes of an attempt print, on its way to the job's log."""

from __future__ import annotations

import os
import selectors
from collections.abc import Iterator
from contextlib import contextmanager

from workers.job_log import JobLog

_CHUNK_BYTES = 65536
_CHUNKS_AT_ONCE = 32


class JobOutput:
    """The pipe that one process after the other prints to, read by the selector's loop."""

    def __init__(self, log: JobLog, selector: selectors.BaseSelector) -> None:
        self._log = log
        self._selector = selector
        self._pipe: int | None = None

    @contextmanager
    def opened(self) -> Iterator[int]:
        """The descriptor that a process is to print to, while it is being started. Raises OSError."""
        self.close()
        self._pipe, its_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._pipe, False)
        self._selector.register(self._pipe, selectors.EVENT_READ, self.read)
        try:
            yield its_end
        finally:
            os.close(its_end)

    def read(self) -> None:
        """Move what was printed to the log; no more at a time than a full pipe holds, and then some."""
        for _ in range(_CHUNKS_AT_ONCE):
            if self._pipe is None:
                return
            try:
                data = os.read(self._pipe, _CHUNK_BYTES)
            except BlockingIOError:
                return
            if data:
                self._log.write(data)
            else:
                self.close()

    def close(self) -> None:
        """Let go of the pipe."""
        if self._pipe is not None:
            self._selector.unregister(self._pipe)
            os.close(self._pipe)
            self._pipe = None
