"""The keeper of a filler's processes, as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from workers.fillers import keeper

KEEPS = (sys.executable, "-I", "-S", str(Path(keeper.__file__)), "0.1")


def test_it_ends_as_the_program_did() -> None:
    """Once all that this started is gone too, and with the mark in its environment."""
    says = "(sleep 0.2; echo late) & echo $MARK; exit 3"
    done = subprocess.run(
        [*KEEPS, str(os.getpid()), "MARK=a=b", "sh", "-c", says], capture_output=True, check=False, timeout=60
    )

    assert (done.returncode, done.stdout, done.stderr) == (3, b"a=b\nlate\n", b"")


def test_it_starts_nothing_for_a_guard_that_is_gone() -> None:
    """The kernel tells of its death only who asked before."""
    done = subprocess.run(
        [*KEEPS, "1", "MARK=x", "echo", "runs"], capture_output=True, check=False, timeout=60
    )

    assert done.stdout == b""
    assert done.returncode != 0
