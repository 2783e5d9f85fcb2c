"""Letting others go first."""

from __future__ import annotations

import pytest

from workers import courtesy
from workers.courtesy import LONGEST_S, Courtesy, is_crowded


def test_it_ends_with_the_crowd_or_with_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits on a quiet host, and nobody for ever on a busy one."""
    monkeypatch.setattr(courtesy, "is_crowded", lambda: False)
    assert not Courtesy().waits(10.0)

    monkeypatch.setattr(courtesy, "is_crowded", lambda: True)
    waiting = Courtesy()
    assert waiting.waits(10.0)
    assert waiting.waits(10.0 + LONGEST_S / 2)
    assert not waiting.waits(10.0 + LONGEST_S)


def test_a_host_with_processors_to_spare_is_not_crowded(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the kernel's own count of what is to be run now."""
    monkeypatch.setattr("os.cpu_count", lambda: 10**6)
    assert not is_crowded()
    monkeypatch.setattr("os.cpu_count", lambda: -1)
    assert is_crowded()
