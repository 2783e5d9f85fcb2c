"""How fast a site follows: `python -m benchmarks.control --nodes 8 --jobs 64 --json`.

A real site (`barq up`: Ray, guards, API, store) with simulated GPUs, and jobs that are real processes, know the
contract and carry `--state-mb` of state each. Every figure is taken outside the site: from the client that asks, and
from what the job processes themselves and the kernel say. None is the scheduler's word. Seconds:

    submit_s                 first request sent -> last answer, one request per job, one after the other
    submit_batch_s           one request with all the jobs -> its answer
    submit_to_all_started_s  first of those single requests sent -> the last job process did its first step
    suspend_s                limit sent (too low for any to run, enough for all to hold) -> the last process holds
    resume_s                 release of that limit sent -> the last process steps again
    release_s                limit sent (too low even to hold) -> the last process is gone, its commit on the disk
    requests_per_s           `show` requests answered a second, to one client, while all jobs run
    verified_commits         jobs whose commit of the step at which they left verifies, as read by the benchmark

What the site spent on it in CPU seconds goes to stderr.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from barq.checkpoint import DamagedCheckpoint, commit_name, verify
from barq.site.files import SiteFiles
from barq.site.stopping import read_processes
from benchmarks.cpu import CpuMeter
from benchmarks.job_watch import Ends, JobWatch, boottime_s, wait_for
from benchmarks.site import BenchSite, Size, running_site
from benchmarks.yardstick import Yardstick, tell, tell_load

JOB_DIR = Path(__file__).resolve().parent
JOB = (sys.executable, "-S", "-E", "-c", "from small_job import main; main()")
ASK_FOR_S = 1.0


class Control:
    """One run over one site."""

    def __init__(self, site: BenchSite, *, jobs: int, state_mb: int) -> None:
        self._client = site.client
        self._state = site.state
        self._watch = JobWatch(site.state)
        self._requests = [_request(n, state_mb) for n in range(jobs)]
        keeper = read_processes(SiteFiles(site.state))["keeper"].pid
        self._yardstick = Yardstick(CpuMeter(keeper).read_s, "the site")
        self.figures = self._yardstick.figures

    def run(self) -> dict[str, float]:
        """All figures, by their keys."""
        ids = self._start()
        self.figures["requests_per_s"] = self._ask(ids)
        self._suspend_and_resume(ids)
        self._release(ids)
        for job_id in ids:
            self._client.cancel(job_id)
        with self._yardstick.timed("submit_batch_s"):
            self._client.submit_many(self._requests)
        return self.figures

    def _start(self) -> list[str]:
        with self._yardstick.cpu("start"):
            began_s = boottime_s()
            with self._yardstick.timed("submit_s"):
                ids = [self._client.submit(request)["id"] for request in self._requests]
            self.figures["submit_to_all_started_s"] = self._watch.wait_for("running", ids) - began_s
        self._settle(ids, "RUNNING")
        return ids

    def _ask(self, ids: Sequence[str]) -> float:
        count, began_s = 0, time.monotonic()
        while (spent_s := time.monotonic() - began_s) < ASK_FOR_S:
            self._client.job(ids[count % len(ids)])
            count += 1
        return count / spent_s

    def _suspend_and_resume(self, ids: Sequence[str]) -> None:
        with self._yardstick.cpu("suspend"):
            began_s = boottime_s()
            self._client.limit(self._size.hold_w, reason="benchmark: hold")
            self.figures["suspend_s"] = self._watch.wait_for("suspended", ids) - began_s
        self._watch.assert_still(ids)
        self._settle(ids, "SUSPENDED")
        with self._yardstick.cpu("resume"):
            began_s = boottime_s()
            self._client.release_limits(reason="benchmark: go on")
            self.figures["resume_s"] = self._watch.wait_for("running", ids) - began_s
        self._settle(ids, "RUNNING")

    def _release(self, ids: Sequence[str]) -> None:
        ends = Ends([word.pid for word in self._watch.words().values()])
        with self._yardstick.cpu("release"):
            began_s = boottime_s()
            self._client.limit(self._size.rest_w, reason="benchmark: leave")
            self.figures["release_s"] = ends.wait() - began_s
        self._settle(ids, "PAUSED")
        self.figures["verified_commits"] = sum(self._is_verified(job_id) for job_id in ids)
        self._client.release_limits(reason="benchmark: done")

    @property
    def _size(self) -> Size:
        nodes = [n for n in self._client.nodes() if n["kind"] == "node"]
        return Size(nodes=len(nodes), gpus=len(nodes[0]["gpus"]))

    def _is_verified(self, job_id: str) -> bool:
        """Whether the newest commit of the job is there and every byte of it is as its manifest says."""
        commits = sorted((self._state / "jobs" / job_id / "checkpoints").glob("step-*"))
        try:
            return bool(commits) and commits[-1].name == commit_name(verify(commits[-1]).step)
        except DamagedCheckpoint as damage:
            print(damage, file=sys.stderr)
            return False

    def _settle(self, ids: Sequence[str], state: str) -> None:
        """Until the site itself has seen it: the next figure begins from rest."""

        def seen() -> float | None:
            found = {job["id"] for job in self._client.every_job() if job["state"] == state}
            return 1.0 if found >= set(ids) else None

        wait_for(seen, f"{len(ids)} jobs {state}")
        time.sleep(1.0)


def _request(number: int, state_mb: int) -> dict[str, Any]:
    return {
        "name": f"bench-{number}",
        "entrypoint": [*JOB, str(state_mb)],
        "working_dir": str(JOB_DIR),
        "resources": {"gpus": 1},
    }


def measure(*, nodes: int, jobs: int, state_mb: int) -> dict[str, float]:
    """Start a site with room for all jobs, run, and take it down."""
    size = Size(nodes=nodes, gpus=-(-jobs // nodes))
    with running_site(size) as site:
        return Control(site, jobs=jobs, state_mb=state_mb).run()


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.control", description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=64)
    parser.add_argument("--state-mb", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    options = parser.parse_args(arguments)
    tell_load()
    figures = measure(nodes=options.nodes, jobs=options.jobs, state_mb=options.state_mb)
    tell(figures, as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
