"""The gate: what is wanted is read from the file, a signal only makes it look sooner, and nothing is obeyed twice."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from barq.contract import PAUSE_FILE, Action, PauseRequest, write_pause_request
from barq.pause_gate import LOOK_EVERY_S, Order, PauseGate
from barq.strict_json import MAX_COUNT


class Clock:
    """Stands in for the `time` module of the gate; sleeping passes the time and may let something happen."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.slept_s: list[float] = []
        self.on_sleep = lambda: None

    def monotonic(self) -> float:
        """The time now."""
        return self.now_s

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self.slept_s.append(seconds)
        self.now_s += seconds
        self.on_sleep()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The gate's clock, moved by hand."""
    clock = Clock()
    monkeypatch.setattr("barq.pause_gate.time", clock)
    return clock


@pytest.fixture
def gate(tmp_path: Path, clock: Clock) -> Iterator[PauseGate]:
    """A gate that listens to SIGUSR1 and has looked once: nothing was wanted."""
    gate = PauseGate(tmp_path, signal.SIGUSR1)
    gate.listen()
    assert gate.poll() is None
    yield gate
    gate.close()


def ask(directory: Path, seq: int, action: Action) -> None:
    """Put a request into the control directory."""
    write_pause_request(
        directory, PauseRequest(seq=seq, action=action, deadline_boottime_s=None, reason="test", rung=1)
    )


def test_a_signal_makes_it_look_at_once(gate: PauseGate, tmp_path: Path) -> None:
    """The request is seen at the next poll, although it is too early for an ordinary look."""
    ask(tmp_path, 1, Action.SUSPEND)
    assert gate.poll() is None
    os.kill(os.getpid(), signal.SIGUSR1)

    assert gate.poll() == Order(seq=1, action=Action.SUSPEND)


def test_a_lost_signal_costs_a_fifth_of_a_second(gate: PauseGate, tmp_path: Path, clock: Clock) -> None:
    """The file is looked at even if no signal comes."""
    ask(tmp_path, 1, Action.SAVE_AND_EXIT)
    clock.now_s += LOOK_EVERY_S

    assert gate.poll() == Order(seq=1, action=Action.SAVE_AND_EXIT)


def test_an_order_stands_until_it_is_acted_on(gate: PauseGate, tmp_path: Path, clock: Clock) -> None:
    """Polling in an evaluation does not use the order up; acting on it does, also if the file is touched again."""
    ask(tmp_path, 3, Action.SUSPEND)
    clock.now_s += 1
    assert gate.poll() == gate.poll() == Order(seq=3, action=Action.SUSPEND)

    gate.acted_seq = 3
    os.utime(tmp_path / PAUSE_FILE)
    os.kill(os.getpid(), signal.SIGUSR1)
    clock.now_s += 1

    assert gate.poll() is None


def test_an_older_request_is_not_obeyed(gate: PauseGate, tmp_path: Path, clock: Clock) -> None:
    """A file that goes back in time changes nothing."""
    ask(tmp_path, 5, Action.SUSPEND)
    clock.now_s += 1
    gate.poll()
    (tmp_path / PAUSE_FILE).unlink()
    ask(tmp_path, 4, Action.RESUME)
    clock.now_s += 1

    assert gate.poll() == Order(seq=5, action=Action.SUSPEND)


def test_a_signal_without_a_request_means_leave(gate: PauseGate) -> None:
    """Somebody wants this process gone and gave no reason: it saves while it can."""
    os.kill(os.getpid(), signal.SIGUSR1)

    assert gate.poll() == Order(seq=0, action=Action.SAVE_AND_EXIT)


def test_a_signal_beside_a_request_that_was_obeyed_means_nothing(
    gate: PauseGate, tmp_path: Path, clock: Clock
) -> None:
    """The file was seen before its signal arrived: that signal asks for nothing more."""
    ask(tmp_path, 1, Action.SUSPEND)
    clock.now_s += 1
    assert gate.poll() is not None
    gate.acted_seq = 1
    os.kill(os.getpid(), signal.SIGUSR1)

    assert gate.poll() is None


def test_nonsense_is_not_obeyed_but_said(
    gate: PauseGate, tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once, not at every look, and a good request after it is obeyed."""
    (tmp_path / PAUSE_FILE).write_text('{"action": "explode"}')
    with caplog.at_level(logging.ERROR, "barq.job"):
        for _ in range(3):
            clock.now_s += 1
            assert gate.poll() is None
    assert len(caplog.records) == 1

    ask(tmp_path, 1, Action.SUSPEND)
    clock.now_s += 1
    assert gate.poll() == Order(seq=1, action=Action.SUSPEND)


def test_waiting_wakes_up_soon_after_a_request(gate: PauseGate, tmp_path: Path, clock: Clock) -> None:
    """It sleeps in pieces of at most 50 ms and ignores signals that explain nothing new."""
    ask(tmp_path, 1, Action.SUSPEND)
    clock.now_s += 1
    gate.poll()
    gate.acted_seq = 1

    def later() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        if len(clock.slept_s) == 5:
            ask(tmp_path, 2, Action.RESUME)

    clock.on_sleep = later

    assert gate.wait() == Order(seq=2, action=Action.RESUME)
    assert len(clock.slept_s) == 5
    assert max(clock.slept_s) <= 0.05


def test_without_a_supervisor_nothing_is_wanted_and_signals_keep_their_meaning(clock: Clock) -> None:
    """A run by hand dies of SIGTERM like any other program."""
    before = signal.getsignal(signal.SIGTERM)
    gate = PauseGate(None)
    gate.listen()

    assert signal.getsignal(signal.SIGTERM) is before
    assert gate.poll() is None


def test_closing_gives_the_signal_back(tmp_path: Path) -> None:
    """Whoever handled the signal before handles it again."""
    before = signal.getsignal(signal.SIGUSR1)
    gate = PauseGate(tmp_path, signal.SIGUSR1)
    gate.listen()
    assert signal.getsignal(signal.SIGUSR1) != before
    gate.close()
    gate.close()

    assert signal.getsignal(signal.SIGUSR1) is before


def test_off_the_main_thread_it_only_looks(tmp_path: Path) -> None:
    """Python lets only the main thread handle signals; the file is enough."""
    before = signal.getsignal(signal.SIGUSR1)
    gate = PauseGate(tmp_path, signal.SIGUSR1)
    thread = threading.Thread(target=gate.listen)
    thread.start()
    thread.join()

    assert signal.getsignal(signal.SIGUSR1) is before
    ask(tmp_path, 1, Action.SUSPEND)
    assert gate.poll() == Order(seq=1, action=Action.SUSPEND)


def test_a_forked_child_of_the_job_still_dies_of_the_signal(gate: PauseGate) -> None:
    """A data loader's worker must not outlive the job because it inherited the handler."""
    child = os.fork()
    if child == 0:
        os.kill(os.getpid(), signal.SIGUSR1)
        os._exit(0)

    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGUSR1
    assert gate.poll() is None


@given(
    orders=st.lists(
        st.builds(Order, seq=st.integers(0, MAX_COUNT), action=st.sampled_from(Action)), min_size=1
    )
)
def test_the_largest_number_is_that_of_the_latest_order(orders: list[Order]) -> None:
    """So that one maximum over all ranks finds it; and every number fits 64 bits."""
    numbers = [order.to_number() for order in orders]

    assert [Order.from_number(number) for number in numbers] == orders
    latest = Order.from_number(max(numbers))
    assert latest is not None
    assert latest.seq == max(order.seq for order in orders)
    assert min(numbers) > 0
    assert max(numbers) < 2**63
    assert Order.from_number(0) is None
