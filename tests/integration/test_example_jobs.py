"""The example jobs do what their files and their first lines promise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from barq.checkpoint import newest_verified
from barq.contract import ENV_CHECKPOINT_INTERVAL_S
from barq.jobfile import load_job_file
from tests.job_process import EXAMPLES, PATIENCE_S, JobProcess, Workplace
from tests.waiting import wait_for

JOB_FILES = sorted(EXAMPLES.glob("*.yaml"))


@pytest.mark.parametrize("path", JOB_FILES, ids=[path.stem for path in JOB_FILES])
def test_each_job_file_starts_a_script_that_is_there(path: Path) -> None:
    """A person can submit it as it is: it is read without complaint, and its script lies beside it."""
    (job,) = load_job_file(path)
    words = job.entrypoint.split() if isinstance(job.entrypoint, str) else job.entrypoint

    assert words[0] == "python"
    assert job.working_dir == str(EXAMPLES)
    assert (EXAMPLES / words[1]).is_file()


def test_every_picture_is_classified_exactly_once(tmp_path: Path) -> None:
    """Killed between two commits, what was written after the last commit is taken back and written again."""
    place = Workplace(tmp_path)
    with JobProcess(
        place, "classify_batch.py", "--steps", "100000", **{ENV_CHECKPOINT_INTERVAL_S: "0.2"}
    ) as job:
        wait_for(lambda: len(place.steps()) > 12 and place.commits(), timeout_s=PATIENCE_S)
        job.process.kill()
        job.wait_for_exit()
    commit, _ = newest_verified(place.checkpoints)
    assert commit is not None
    done = len(place.steps())
    assert commit.step <= done
    with JobProcess(place, "classify_batch.py", "--steps", str(done + 2), attempt="2") as job:
        assert job.wait_for_exit() == 0, job.log.read_text()

    results = [json.loads(line) for line in (place.output / "results.jsonl").read_text().splitlines()]
    assert [result["item"] for result in results] == list(range((done + 2) * 256))
    assert {result["shape"] for result in results} <= {"circle", "square", "triangle", "cross"}
    by_step: dict[int, set[float]] = {}
    for line in place.steps():
        by_step.setdefault(line["step"], set()).add(line["loss"])
    assert sorted(by_step) == list(range(done + 2))
    assert all(len(losses) == 1 for losses in by_step.values())
