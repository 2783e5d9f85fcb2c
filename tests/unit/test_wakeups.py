"""What wakes a supervisor."""

from __future__ import annotations

import os
import selectors
import signal
from collections.abc import Iterator

import pytest

from workers.wakeups import Wakeups

HOUR_S = 3600.0


class Woken:
    """Wakeups that note what they handled."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.selector = selectors.DefaultSelector()
        self._wakeups = Wakeups(
            self.selector,
            {
                signal.SIGUSR1: lambda: self.heard.append("order"),
                signal.SIGIO: lambda: self.heard.append("bell"),
            },
        )
        self._wakeups.listen()

    def wait(self, gather_s: float) -> None:
        """Returns at once for what is not the bell alone."""
        self._wakeups.wait(HOUR_S, unhurried=signal.SIGIO, gather_s=gather_s)


@pytest.fixture
def woken() -> Iterator[Woken]:
    """In this process, whose signals are as before at the end."""
    former = {signum: signal.getsignal(signum) for signum in (signal.SIGUSR1, signal.SIGIO)}
    woken = Woken()
    yield woken
    os.close(signal.set_wakeup_fd(-1))
    for key in list(woken.selector.get_map().values()):
        os.close(key.fd)
    woken.selector.close()
    for signum, handler in former.items():
        signal.signal(signum, handler)


def test_an_order_is_handled_at_once(woken: Woken) -> None:
    """Also together with a bell."""
    os.kill(os.getpid(), signal.SIGUSR1)
    woken.wait(HOUR_S)
    os.kill(os.getpid(), signal.SIGIO)
    os.kill(os.getpid(), signal.SIGUSR1)
    woken.wait(HOUR_S)

    assert woken.heard == ["order", "order", "bell"]


def test_a_bell_alone_waits_for_what_follows(woken: Woken) -> None:
    """No longer than told."""
    os.kill(os.getpid(), signal.SIGIO)
    woken.wait(0.01)
    assert woken.heard == ["bell"]

    reader, writer = os.pipe()
    woken.selector.register(
        reader, selectors.EVENT_READ, lambda: woken.heard.append(os.read(reader, 9).decode())
    )
    os.write(writer, b"output")
    os.kill(os.getpid(), signal.SIGIO)
    woken.wait(HOUR_S)
    os.close(writer)
    assert sorted(woken.heard) == ["bell", "bell", "output"]
