"""A commit that cannot be made costs that commit: what is in memory is not thrown away for it."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from barq import contract
from barq.contract import Action, JobStatus, read_status
from barq.job import Job
from tests.job_by_hand import Site, Sum, run


class FullDisk:
    """A disk that has no room, as long as it `is_full`."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.is_full = True
        self.tries = 0
        patch.setattr("barq.saving.write_shard", self._written(patch))

    def _written(self, patch: pytest.MonkeyPatch) -> Any:
        from barq.shards import write_shard

        def write(directory: Path, rank: int, state: Any) -> None:
            self.tries += 1
            write_shard(directory, rank, state)
            if self.is_full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        return write


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A site for one job; the gate looks at every boundary."""
    handler = signal.getsignal(signal.SIGUSR1)
    monkeypatch.setattr("barq.pause_gate.LOOK_EVERY_S", 0.0)
    yield Site(tmp_path, monkeypatch)
    signal.signal(signal.SIGUSR1, handler)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> FullDisk:
    """A disk that is full."""
    return FullDisk(monkeypatch)


def told(site: Site) -> JobStatus:
    """What the job last said."""
    status = read_status(site.status_dir)
    assert status is not None
    return status


def test_training_goes_on_without_a_commit_and_tries_again(
    site: Site, disk: FullDisk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Not at each step: a disk in trouble is left alone for a minute. Nothing half-written fills it further."""
    now_s = [0.0]
    monkeypatch.setattr("barq.saving.time.monotonic", lambda: now_s[0])
    job = Job.from_environment(every_steps=2, keep=9)
    for step in job.steps(job.resume(Sum()), 10):
        now_s[0] += 20
        if step == 4:
            assert (site.commits(), disk.tries) == ([], 1)
            assert told(site).trouble == "step 2 could not be committed: No space left on device"
            disk.is_full = False

    assert (site.commits()[0], disk.tries) == ("step-000000005", 4)
    assert told(site).trouble is None
    assert "step 2 could not be committed" in caplog.text


def test_a_job_that_is_reminded_goes_on_too(site: Site, disk: FullDisk) -> None:
    """What the site asks for in passing is no reason to end either."""
    job = Job.from_environment()
    for step in job.steps(job.resume(Sum()), 4):
        if step == 1:
            site.ask(1, Action.SAVE_AND_CONTINUE)

    assert (job.step, disk.tries, site.commits()) == (4, 1, [])


def test_whoever_leaves_says_that_it_could_not_save(site: Site, disk: FullDisk) -> None:
    """An end that has saved nothing is never called a good one."""
    with pytest.raises(OSError, match="No space left"):
        run(Sum(), 5, 2, site)
    assert disk.tries == 1
    with pytest.raises(OSError, match="No space left"):
        run(Sum(), 2)


def test_an_old_commit_that_cannot_be_removed_is_left(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As one that somebody else has open, on a file system over the network."""

    def busy(path: Path, **_: object) -> None:
        raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(path))

    monkeypatch.setattr(shutil, "rmtree", busy)
    caplog.set_level(logging.WARNING)
    site.set(contract.ENV_CHECKPOINT_KEEP, "1")
    run(Sum(), 6, every_steps=2)

    assert site.commits()[-1] == "step-000000006"
    assert "old commits are left" in caplog.text
