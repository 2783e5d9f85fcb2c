"""Arrays and elastic gangs on a real site: the command line, real processes, and power that falls."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from barq.cli import app
from tests.site_harness import RunningSite, running_site
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(400)

#: Says which one it is, and how many of its array it saw at work.
ELEMENT = """
import os, sys, time
from pathlib import Path
room, index = Path(sys.argv[1]), os.environ["BARQ_ARRAY_INDEX"]
mine = room / f"at-work-{index}"
mine.touch()
seen, until = 0, time.monotonic() + 0.5
while time.monotonic() < until:
    seen = max(seen, len(list(room.glob("at-work-*"))))
    time.sleep(0.02)
told = [index, os.environ["BARQ_ARRAY_ID"], os.environ["BARQ_ARRAY_COUNT"], str(seen)]
(room / f"told-{index}").write_text(" ".join(told))
mine.unlink()
"""
#: Counts on as many ranks as there are; the state is the same on all of them.
ELASTIC = """
import json, sys, time
from pathlib import Path
from barq.job import Job

class Count:
    total = 0
    def save(self, path): path.write_text(str(self.total))
    def load(self, path): self.total = int(path.read_text())

job, count, room = Job.from_environment(elastic=True), Count(), Path(sys.argv[1])
for step in job.steps(job.resume(count), 2_000):
    count.total += step
    if job.is_first_rank:
        with (room / "steps.jsonl").open("a") as log:
            log.write(json.dumps([step, count.total, job.environment.world]) + "\\n")
    if (room / "enough").exists() and step >= int((room / "enough").read_text()):
        break
    time.sleep(0.05)
job.done()
"""


def barq(site: RunningSite, *words: str) -> Any:
    """What `barq ... --json` prints."""
    done = CliRunner().invoke(app, [words[0], "--json", *words[1:]], env={"BARQ_STATE": str(site.state)})
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def steps(room: Path) -> list[tuple[int, int, int]]:
    """Step, sum and number of ranks, as far as they are written."""
    path = room / "steps.jsonl"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [tuple(json.loads(line)) for line in lines if line.endswith("]")]


def test_arrays_and_elastic_gangs_on_a_site(tmp_path: Path) -> None:
    """An array keeps its limit; a gang of two nodes goes on with one when power falls, from the step that it saved."""
    with running_site(tmp_path / "state") as site:
        _an_array_runs_two_at_once(site, tmp_path / "array")
        _a_gang_shrinks_with_the_power(site, tmp_path / "gang")


def _an_array_runs_two_at_once(site: RunningSite, room: Path) -> None:
    room.mkdir()
    (room / "element.py").write_text(ELEMENT)
    job_file = room / "job.yaml"
    job_file.write_text(
        f"name: part\nentrypoint: [{sys.executable}, {room}/element.py, {room}]\nworking_dir: {room}\narray: 0-8:2%2\n"
    )

    made = barq(site, "submit", str(job_file))
    array_id = made[0]["array_id"]
    assert [job["id"] for job in made] == [f"{array_id}_{index}" for index in (0, 2, 4, 6, 8)]
    after = barq(site, "submit", "--after", array_id, "--", "true")[0]["id"]
    ended = barq(site, "wait", array_id, "--timeout", "120s")

    assert {job["state"] for job in ended} == {"SUCCEEDED"}
    told = [(room / f"told-{index}").read_text().split() for index in (0, 2, 4, 6, 8)]
    assert [words[:3] for words in told] == [[str(i), array_id, "5"] for i in (0, 2, 4, 6, 8)]
    assert max(int(words[3]) for words in told) <= 2
    assert site.wait_state(after, "SUCCEEDED", "FAILED", timeout_s=60)["state"] == "SUCCEEDED"
    assert {job["id"] for job in barq(site, "jobs", "--array", array_id)} == {job["id"] for job in made}
    assert barq(site, "show", array_id)["jobs"] == {"SUCCEEDED": 5}

    endless = barq(site, "submit", "--array", "0-3%2", "--", "sleep", "600")[0]["array_id"]
    wait_for(
        lambda: barq(site, "show", endless)["jobs"].get("RUNNING") == 2, timeout_s=60, what="two at work"
    )
    barq(site, "cancel", endless)
    wait_for(
        lambda: barq(site, "show", endless)["jobs"] == {"CANCELLED": 4}, timeout_s=60, what="all cancelled"
    )


def _a_gang_shrinks_with_the_power(site: RunningSite, room: Path) -> None:
    room.mkdir()
    (room / "elastic.py").write_text(ELASTIC)
    request: Mapping[str, Any] = {
        "entrypoint": [sys.executable, str(room / "elastic.py"), str(room)],
        "working_dir": str(room),
        "nodes": "1..2",
        "resources": {"gpus": 4},
        "checkpoint": {"interval": "2s"},
    }
    job_id = site.client.submit(request)["id"]
    wait_for(lambda: len(steps(room)) >= 3, timeout_s=90, what="three steps on two nodes")

    site.client.limit(3300, reason="less power")
    wait_for(
        lambda: any(world == 1 for *_, world in steps(room)), timeout_s=120, what="steps on one node alone"
    )
    (room / "enough.tmp").write_text(str(steps(room)[-1][0]))
    (room / "enough.tmp").rename(room / "enough")  # whole, or not there
    job = site.wait_state(job_id, "SUCCEEDED", "FAILED", timeout_s=90)
    site.client.release_limits()

    assert job["state"] == "SUCCEEDED", site.client.events(job_id)
    attempts = site.client.attempts(job_id)
    assert [len(attempt["placements"]) for attempt in attempts] == [2, 1]
    done = steps(room)
    assert [step for step, *_ in done] == list(range(len(done)))  # none lost, none done twice
    assert [total for _, total, _ in done] == [sum(range(step + 1)) for step, *_ in done]
