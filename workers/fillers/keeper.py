"""Keeps what one filler starts together: `python -I -S keeper.py TERM_S GUARD_PID NAME=VALUE COMMAND...`, no library.

All that the program starts, bearing NAME=VALUE in its environment, stays below this process: also what detaches itself
from its parent and its session, and wipes its environment. Told by SIGTERM, which the kernel sends when the guard dies,
it ends all of them: SIGTERM, then SIGKILL until none is left. It ends as the program did once nothing is left below it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress

_SET_CHILD_SUBREAPER = 36
_LOOK_S = 0.05
_WOKEN_BY = {signal.SIGTERM, signal.SIGCHLD}


def main(arguments: list[str]) -> int:
    """Start the program, and see all that comes of it to its end."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _WOKEN_BY)
    term_s, guard, mark, command = float(arguments[0]), int(arguments[1]), arguments[2], arguments[3:]
    if os.getppid() != guard:  # it died before the kernel was asked to tell of that
        return 1
    if ctypes.CDLL(None, use_errno=True).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "this kernel lets nobody keep what a program starts")
    environment = os.environ | dict([mark.split("=", 1)])
    codes = {os.posix_spawnp(command[0], command, environment, setsigmask=()): 0}
    kill_at_s: float | None = None
    while _bury(codes):
        woken = signal.sigtimedwait(_WOKEN_BY, 1.0 if kill_at_s is None else _LOOK_S)
        if woken is not None and woken.si_signo == signal.SIGTERM and kill_at_s is None:
            kill_at_s = time.monotonic() + term_s
            _tell_all(signal.SIGTERM)
        if kill_at_s is not None and time.monotonic() >= kill_at_s:
            _tell_all(signal.SIGKILL)
    return next(iter(codes.values()))


def _bury(codes: dict[int, int]) -> bool:
    """Take note of how those in `codes` ended. Whether any child is left."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return True
        if pid in codes:
            code = os.waitstatus_to_exitcode(status)
            codes[pid] = code if code >= 0 else 128 - code


def _tell_all(signum: int) -> None:
    """Whoever is gone meanwhile, or became somebody else's, is let be: the guard says of the latter."""
    for pid in _below(os.getpid()):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signum)


def _below(root: int) -> Iterator[int]:
    children: defaultdict[int, list[int]] = defaultdict(list)
    for name in os.listdir("/proc"):  # noqa: PTH208 - names are enough
        if name.isdigit():
            with suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                line = file.read()
                children[int(line[line.rindex(b")") + 2 :].split()[1])].append(int(name))
    waiting = [root]
    while waiting:
        found = children[waiting.pop()]
        yield from found
        waiting += found


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
