"""The directory of an attempt."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scheduler.core.jobs import Phase
from workers.attempt_files import AttemptFiles, Claim, Freshness, Instruction
from workers.processes import ProcessId
from workers.wire import WireError


def claim(pid: int) -> Claim:
    """A claim by a process."""
    return Claim(process=ProcessId(pid=pid, start=1), boot_id="b")


def test_an_attempt_is_claimed_once(tmp_path: Path) -> None:
    """The first supervisor owns it for good; nobody starts it a second time."""
    files = AttemptFiles(tmp_path)

    assert files.claim(claim(1))
    assert not files.claim(claim(2))
    assert files.read_claim() == claim(1)
    assert [path.name for path in tmp_path.iterdir()] == ["supervisor.pid"]


def test_what_was_never_written_is_none(tmp_path: Path) -> None:
    """An empty directory says nothing, and that is no error."""
    files = AttemptFiles(tmp_path)

    assert (files.read_claim(), files.read_facts(), files.read_instruction(), files.read_launching()) == (
        None,
    ) * 4


def test_nonsense_is_told_from_nothing(tmp_path: Path) -> None:
    """A file that makes no sense is an error that names the field."""
    (tmp_path / "desired.json").write_text('{"seq": "one", "phase": "run"}')

    with pytest.raises(WireError, match="seq"):
        AttemptFiles(tmp_path).read_instruction()


def test_a_file_is_new_until_it_was_seen_and_has_settled(tmp_path: Path) -> None:
    """A replaced file is new; one that is old and known is not; one that is very young always is."""
    files = AttemptFiles(tmp_path)
    news = Freshness(tmp_path / "desired.json")
    assert not news.is_new()

    files.write_instruction(Instruction(seq=1, phase=Phase.RUN))
    assert news.is_new()
    assert news.is_new()  # so young that a second write might look the same
    _make_older(tmp_path / "desired.json")
    assert news.is_new()
    assert not news.is_new()
    files.write_instruction(Instruction(seq=2, phase=Phase.RUN))
    assert news.is_new()


def _make_older(path: Path) -> None:
    then_s = path.stat().st_mtime - 10
    os.utime(path, (then_s, then_s))
