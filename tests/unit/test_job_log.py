"""The log of a job: appended over attempts, rotated, and no danger to the job."""

from __future__ import annotations

from pathlib import Path

import pytest

from barq.contract import dropped_bytes, dropped_file
from workers.job_log import JobLog


def names(directory: Path) -> list[str]:
    """The files of a directory, in order."""
    return sorted(path.name for path in directory.iterdir())


def test_attempts_append(tmp_path: Path) -> None:
    """A second attempt goes on where the first ended; missing directories are made."""
    path = tmp_path / "deep" / "job.log"
    for text in (b"one\n", b"two\n"):
        log = JobLog(path)
        log.write(text)
        log.close()

    assert path.read_bytes() == b"one\ntwo\n"


def test_a_full_file_is_moved_and_the_oldest_goes(tmp_path: Path) -> None:
    """Five files at most, the newest first, none much longer than the limit."""
    log = JobLog(tmp_path / "job.log", max_bytes=10, files=3)
    for number in range(6):
        log.write(f"line {number:04}\n".encode())
    log.close()

    assert names(tmp_path) == ["job.log", "job.log.1", "job.log.2", "job.log.dropped"]
    texts = [(tmp_path / name).read_text() for name in names(tmp_path)]
    assert texts == ["line 0005\n", "line 0004\n", "line 0003\n", "30"]


@pytest.mark.parametrize("nonsense", ["", "-5", "many", "9" * 5000])
def test_what_was_dropped_is_counted_on_whatever_the_job_wrote_there(tmp_path: Path, nonsense: str) -> None:
    """Nonsense counts for nothing, or is a large number; the log goes on."""
    path = tmp_path / "job.log"
    assert dropped_bytes(path) == 0
    dropped_file(path).write_text(nonsense)
    log = JobLog(path, max_bytes=10, files=2)
    for number in range(4):
        log.write(f"line {number:04}\n".encode())

    assert dropped_bytes(path) >= 20
    assert path.read_text() == "line 0003\n"


def test_two_writers_rotate_once(tmp_path: Path) -> None:
    """Two supervisors of one job: the one that finds the file moved follows, and no line is lost."""
    path = tmp_path / "job.log"
    one, two = JobLog(path, max_bytes=10), JobLog(path, max_bytes=10)
    one.write(b"from one, long\n")
    two.write(b"from two, long\n")
    one.write(b"again\n")
    two.write(b"again\n")

    assert path.read_text() == "again\nagain\n"
    assert (tmp_path / "job.log.1").read_text() == "from two, long\n"
    assert (tmp_path / "job.log.2").read_text() == "from one, long\n"


def test_a_file_that_somebody_removed_is_made_again(tmp_path: Path) -> None:
    """What is written after the file was deleted is not written into the void."""
    path = tmp_path / "job.log"
    log = JobLog(path)
    log.write(b"lost\n")
    path.unlink()
    log.write(b"kept\n")

    assert path.read_text() == "kept\n"


def test_a_disk_that_refuses_costs_lines_and_says_so(tmp_path: Path) -> None:
    """What could not be written is counted, and named as soon as something can be."""
    (tmp_path / "blocked").write_text("a file where a directory should be")
    log = JobLog(tmp_path / "blocked" / "job.log")
    log.write(b"12345")
    assert log.lost_bytes == 5

    (tmp_path / "blocked").unlink()
    log.write(b"back\n")
    text = (tmp_path / "blocked" / "job.log").read_text()
    assert text == "[barq: 5 bytes of the log could not be written]\nback\n"
    assert log.lost_bytes == 0
