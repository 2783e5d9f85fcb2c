"""Processes that a test starts and that never outlive it."""

from __future__ import annotations

import signal
import subprocess
import sys
from types import TracebackType
from typing import Self

from workers.processes import ProcessId, ProcessTable, identify, send

_PARENT = """
import subprocess, sys
for line in sys.stdin:
    program = bytes.fromhex(line).decode()
    print(subprocess.Popen([sys.executable, "-c", program], start_new_session=True).pid, flush=True)
"""


class Children:
    """One parent, as a supervisor is, and small Python programs below it, each in a session of its own."""

    def __init__(self) -> None:
        self._parent = subprocess.Popen(
            [sys.executable, "-c", _PARENT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._started: list[ProcessId] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        table = ProcessTable()
        table.refresh()
        below = {stat.id for root in (self.parent, *self._started) for stat in table.below(root.pid)}
        for child in below | set(self._started):
            send(child, signal.SIGKILL)
        self._parent.kill()
        self._parent.wait(60)
        for pipe in (self._parent.stdin, self._parent.stdout):
            assert pipe is not None
            pipe.close()

    @property
    def parent(self) -> ProcessId:
        """Above all of them."""
        found = identify(self._parent.pid)
        assert found is not None
        return found

    def start(self, program: str) -> ProcessId:
        """Run `program`."""
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(program.encode().hex() + "\n")
        self._parent.stdin.flush()
        found = identify(int(self._parent.stdout.readline()))
        assert found is not None
        self._started.append(found)
        return found
