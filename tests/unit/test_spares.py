"""When a fork server forks supervisors ahead; that they are used is in tests/integration/test_forkserver.py."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from workers import spares
from workers.spares import LATER_S, Spares
from workers.starter import Starter


def become(attempt: Path, starter: Starter | None) -> NoReturn:
    """Nobody is asked to look after anything here."""
    raise AssertionError(attempt, starter)


def refuse() -> NoReturn:
    """The host has no process left."""
    raise OSError(errno.EAGAIN, "no process left")


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spares]:
    """Spares of which two are wanted by now, on a host that refuses each."""
    monkeypatch.setattr("os.fork", refuse)
    monkeypatch.setattr(spares, "QUIET_S", 0.0)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        kept = Spares(become, theirs)
        assert kept.rest_s is None
        kept.want(2)
        yield kept


def test_a_host_that_refuses_is_asked_again_much_later(kept: Spares, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so once, and is left in peace."""
    monkeypatch.setattr(spares, "is_crowded", lambda: False)
    with pytest.raises(OSError, match="no process left"):
        kept.tend()
    assert (kept.rest_s or 0.0) > LATER_S / 2
    kept.tend()


def test_nobody_is_forked_ahead_while_others_wait(kept: Spares, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crowded host is looked at again; it is not even asked."""
    monkeypatch.setattr(spares, "is_crowded", lambda: True)
    kept.tend()
    assert kept.rest_s is not None
