"""CPU seconds of a family of processes: ended members count, each once, whether anybody waited for them or not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.cpu import CpuMeter, Family, Ledger, Spent
from workers.processes import ProcessId


def family(**members: tuple[int, int, int]) -> Family:
    """By name of the PID, p1 and so on: parent, own ticks, those of children that were waited for."""
    return {
        ProcessId(pid=int(name[1:]), start=1): Spent(parent=parent, own=own, waited=waited)
        for name, (parent, own, waited) in members.items()
    }


def totals(*looks: Family) -> list[int]:
    """After each look."""
    ledger = Ledger()
    return [ledger.take(look) for look in looks]


def test_one_that_nobody_waited_for_counts_on() -> None:
    """As it was last seen: before, the sum fell when it ended."""
    assert totals(family(p1=(0, 5, 0), p2=(1, 100, 0)), family(p1=(0, 6, 0)), family(p1=(0, 8, 0))) == [
        105,
        106,
        108,
    ]


def test_one_that_was_waited_for_counts_once() -> None:
    """With what it spent since it was last seen, and children that came and went between two looks."""
    assert totals(family(p1=(0, 5, 0), p2=(1, 100, 0)), family(p1=(0, 6, 130))) == [105, 136]


def test_what_is_waited_for_on_the_way_ends_up_with_who_lives() -> None:
    """A parent that ended too had waited, and was waited for."""
    before = family(p1=(0, 5, 0), p2=(1, 10, 0), p3=(2, 100, 0))

    assert totals(before, family(p1=(0, 5, 111))) == [115, 116]
    assert totals(before, family(p1=(0, 5, 10))) == [115, 115]


def test_a_family_that_is_gone_has_spent_what_it_had() -> None:
    """And another process of the same PID is no member."""
    assert totals(family(p1=(0, 5, 0), p2=(1, 100, 0)), {}, {}) == [105, 105, 105]


_FAMILY = """
import os, signal, sys, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits
(child_in, parent_out), (parent_in, child_out) = os.pipe(), os.pipe()
if not (child := os.fork()):
    while time.process_time() < 0.4: pass
    os.write(child_out, b"x")
    os.read(child_in, 1)
    os._exit(0)
os.read(parent_in, 1)
print("burnt", flush=True)
sys.stdin.readline()
os.write(parent_out, b"x")
try: os.waitpid(child, 0)
except ChildProcessError: pass
print("gone", flush=True)
sys.stdin.readline()
"""


@pytest.mark.timeout(60)
def test_real_processes_are_read_so() -> None:
    """A child that burns time and ends without anybody waiting for it."""
    with subprocess.Popen(
        [sys.executable, "-c", _FAMILY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        meter = CpuMeter(parent.pid)
        assert parent.stdout.readline() == "burnt\n"
        before_s = meter.read_s()
        parent.stdin.write("\n")
        parent.stdin.flush()
        assert parent.stdout.readline() == "gone\n"
        after_s = meter.read_s()
        parent.stdin.write("\n")
        parent.stdin.flush()

    assert before_s >= 0.35
    assert before_s <= after_s < 2 * before_s
