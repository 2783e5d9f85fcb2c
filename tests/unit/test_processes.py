"""Processes as the kernel shows them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.children import Children
from tests.waiting import wait_for
from workers.job_process import handles_term
from workers.processes import ProcessTable, ProcessTree, identify, is_alive, read_stat, send

SLEEP = "import time; time.sleep(99)"


@pytest.fixture
def children() -> Iterator[Children]:
    """Processes that end with the test."""
    with Children() as children:
        yield children


def members(tree: ProcessTree) -> set[int]:
    """The PIDs of a tree, looked up anew."""
    tree.refresh()
    return {stat.id.pid for stat in tree.members}


def has_spent(pid: int) -> bool:
    """Whether a process has used some CPU time."""
    stat = read_stat(pid)
    return stat is not None and stat.cpu_ticks > 5


def test_a_process_is_told_from_another_with_its_pid(children: Children) -> None:
    """A PID with another start time is another process: not alive, and never signalled."""
    child = children.start(SLEEP)
    other = replace(child, start=child.start + 1)

    assert is_alive(child)
    assert not is_alive(other)
    assert not send(other, signal.SIGKILL)
    assert is_alive(child)
    assert send(child, signal.SIGKILL)
    wait_for(lambda: not is_alive(child), timeout_s=60, what="it ends")  # a zombie: its parent buries nobody
    assert not send(child, signal.SIGKILL)


def test_what_is_gone_is_none() -> None:
    """Asking for a process that is not there is no error."""
    assert read_stat(2**22 + 1) is None
    assert identify(2**22 + 1) is None


def test_a_name_with_brackets_and_spaces_is_read_past(children: Children, tmp_path: Path) -> None:
    """The name of a process is whatever somebody called it."""
    name = tmp_path / "a) R 1 (b"
    name.symlink_to("/bin/sleep")
    child = children.start(f"import os; os.execv({str(name)!r}, ['x', '99'])")

    wait_for(
        lambda: (Path(f"/proc/{child.pid}/comm").read_text()).startswith("a)"),
        timeout_s=60,
        what="it is renamed",
    )
    stat = read_stat(child.pid)
    assert stat is not None
    assert stat.parent == children.parent.pid
    assert stat.session == child.pid


def test_a_tree_holds_all_generations_and_keeps_orphans(children: Children) -> None:
    """Children of children belong to it, also when those between them are gone."""
    tree = ProcessTree(children.parent, ProcessTable())
    nested = (
        f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {SLEEP!r}]); time.sleep(99)"
    )
    child = children.start(nested)
    wait_for(lambda: len(members(tree)) == 2, timeout_s=60, what="both are seen")
    (grandchild,) = members(tree) - {child.pid}

    os.kill(child.pid, signal.SIGKILL)
    wait_for(lambda: members(tree) == {grandchild}, timeout_s=60, what="the orphan is kept")
    os.kill(grandchild, signal.SIGKILL)
    wait_for(lambda: members(tree) == set(), timeout_s=60, what="nobody is left")
    assert not tree.is_gone  # its root lives


def test_a_tree_counts_cpu_seconds_from_the_first_look(children: Children) -> None:
    """What was spent before is not counted, what is spent since is, and stopped processes spend nothing."""
    child = children.start("while True: pass")
    wait_for(partial(has_spent, child.pid), timeout_s=60, what="it spends")
    tree = ProcessTree(children.parent, ProcessTable())
    tree.refresh()
    assert tree.spent_s == 0.0

    def spends() -> bool:
        tree.refresh()
        return tree.spent_s > 0.05

    wait_for(spends, timeout_s=60, what="it spends more")
    os.kill(child.pid, signal.SIGSTOP)

    def stopped() -> bool:
        tree.refresh()
        return tree.is_stopped

    wait_for(stopped, timeout_s=60, what="it is stopped")
    spent_s = tree.spent_s
    tree.refresh()
    assert tree.spent_s == spent_s


def test_a_session_is_found_by_its_number(children: Children) -> None:
    """Whoever did not leave the session of its first process is in it."""
    nested = (
        f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {SLEEP!r}]); time.sleep(99)"
    )
    child = children.start(nested)
    table = ProcessTable()

    def found() -> bool:
        table.refresh(is_full=True)
        return len(table.in_session(child.pid)) == 2

    wait_for(found, timeout_s=60, what="both are in the session")


@pytest.mark.parametrize(
    "prelude, expected",
    [
        ("", False),
        ("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)", False),
        ("import signal; signal.signal(signal.SIGTERM, lambda *_: None)", True),
    ],
    ids=["default", "ignored", "handled"],
)
def test_a_handler_for_term_shows(
    children: Children, tmp_path: Path, prelude: str, *, expected: bool
) -> None:
    """Only a process with a handler of its own makes anything of SIGTERM but its end."""
    flag = tmp_path / "up"
    child = children.start(
        f"{prelude}\nimport pathlib, time; pathlib.Path({str(flag)!r}).touch(); time.sleep(99)"
    )
    wait_for(partial(flag.exists), timeout_s=60, what="it is up")

    assert handles_term(child.pid) is expected
