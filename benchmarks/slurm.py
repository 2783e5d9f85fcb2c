"""How fast Slurm follows, by the yardstick of `benchmarks.control`: `python -m benchmarks.slurm --jobs 64 --json`.

A real Slurm (`benchmarks/slurm_cluster.py` says what to install and how it is set up) and jobs that are empty `sleep`
processes: no state, no checkpoint. As there, every figure is taken outside: from the commands that ask, from what the
jobs' processes say (each writes its PID when it begins) and from the kernel. Seconds:

    submit_s                 first `sbatch` -> the last one's answer, one request per job, one after the other
    submit_batch_s           one `sbatch --array` with all the jobs -> its answer
    submit_to_all_started_s  first of those single requests -> the last job process began
    suspend_s                one `scontrol suspend` of all -> the last process is stopped (state T)
    resume_s                 one `scontrol resume` of all -> the last process is no longer
    release_s                one `scontrol requeuehold` of all -> the last process is gone

Before each, Slurm itself has seen the one before; `resume` waits as well until a suspension is complete: Slurm 22.05
sends SIGTSTP, on which a process stops, and SIGSTOP two seconds later, and resumes nothing in between.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from benchmarks.job_watch import STILL_FOR_S, Ends, TooSlow, boottime_s, wait_for
from benchmarks.orphans import cpu_below_s
from benchmarks.sleepers import Sleepers, is_stopped, stat_of, wait_until
from benchmarks.slurm_cluster import Cluster, NoSlurm, Shape, running_cluster
from benchmarks.yardstick import Yardstick, tell, tell_load

SIGSTOP_AFTER_S = 2.0
SETTLE_S = 1.0


class Run:
    """One run over one cluster."""

    def __init__(self, cluster: Cluster, *, jobs: int) -> None:
        self._cluster = cluster
        self._count = jobs
        self._sleepers = Sleepers(cluster.directory / "words")
        script = f"#!/bin/sh\n{self._sleepers.command('$SLURM_JOB_ID')}\n"
        (cluster.directory / "job.sh").write_text(script, encoding="utf-8")
        self._yardstick = Yardstick(cpu_below_s, "Slurm")
        self.figures = self._yardstick.figures

    def run(self) -> dict[str, float]:
        """All figures, by their keys."""
        ids = self._start()
        pids = self._sleepers.pids(ids)
        self._suspend_and_resume(ids, pids)
        self._release(ids, pids)
        self._cluster.ask("scancel", *ids)
        with self._yardstick.timed("submit_batch_s"):
            self._submit(f"--array=1-{self._count}")
        return self.figures

    def _submit(self, *options: str) -> str:
        return self._cluster.ask("sbatch", "--parsable", "--output=/dev/null", *options, "job.sh").strip()

    def _start(self) -> list[str]:
        with self._yardstick.cpu("start"):
            began_s = boottime_s()
            with self._yardstick.timed("submit_s"):
                ids = [self._submit() for _ in range(self._count)]
            self.figures["submit_to_all_started_s"] = self._sleepers.wait_for_all(ids) - began_s
        self._settle("RUNNING")
        return ids

    def _suspend_and_resume(self, ids: Sequence[str], pids: Sequence[int]) -> None:
        with self._yardstick.cpu("suspend"):
            began_s = boottime_s()
            self._cluster.ask("scontrol", "suspend", ",".join(ids))
            self.figures["suspend_s"] = wait_until(pids, is_stopped, "stopped") - began_s
        time.sleep(STILL_FOR_S)
        self._settle("SUSPENDED")
        time.sleep(SIGSTOP_AFTER_S)
        if moving := [pid for pid in pids if not is_stopped(stat_of(pid))]:
            raise TooSlow(f"{moving} run while they should hold")
        with self._yardstick.cpu("resume"):
            began_s = boottime_s()
            self._cluster.ask("scontrol", "resume", ",".join(ids))
            self.figures["resume_s"] = wait_until(pids, lambda s: not is_stopped(s), "resumed") - began_s
        self._settle("RUNNING")

    def _release(self, ids: Sequence[str], pids: Sequence[int]) -> None:
        ends = Ends(pids)
        with self._yardstick.cpu("release"):
            began_s = boottime_s()
            self._cluster.ask("scontrol", "requeuehold", ",".join(ids))
            self.figures["release_s"] = ends.wait() - began_s
        self._settle("PENDING")

    def _settle(self, state: str) -> None:
        """Until Slurm itself has seen it: the next figure begins from rest."""

        def seen() -> float | None:
            return 1.0 if self._cluster.states() == [state] * self._count else None

        wait_for(seen, f"{self._count} jobs {state}")
        time.sleep(SETTLE_S)


def measure(*, nodes: int, jobs: int, as_shipped: bool = False) -> dict[str, float]:
    """Start a Slurm with room for all jobs, run, and take it down."""
    with running_cluster(Shape(nodes=nodes, cpus=-(-jobs // nodes), as_shipped=as_shipped)) as cluster:
        print(cluster.ask("scontrol", "--version").strip(), file=sys.stderr)
        return Run(cluster, jobs=jobs).run()


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures; 2 where Slurm is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.slurm", description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=64)
    parser.add_argument("--as-shipped", action="store_true", help="without what tunes its scheduler")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    options = parser.parse_args(arguments)
    tell_load()
    try:
        figures = measure(nodes=options.nodes, jobs=options.jobs, as_shipped=options.as_shipped)
    except NoSlurm as reason:
        print(reason, file=sys.stderr)
        return 2
    tell(figures, as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
