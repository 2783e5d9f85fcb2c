"""How fast Ray's Jobs API follows, by the yardstick of `benchmarks.control`: `python -m benchmarks.ray_jobs --json`.

A real Ray on this machine and jobs that are empty `sleep` processes: no state, no checkpoint. As there, every figure
is taken outside: from the API's answers, from what the jobs' processes say and from the kernel. Seconds:

    submit_s                 first POST /api/jobs/ -> the last answer, one request per job, one after the other
    submit_to_all_started_s  first of those requests -> the last job process began
    release_s                first POST /api/jobs/ID/stop -> the last process is gone

Ray can neither suspend a job nor take many in one request. All jobs run on one Ray node with a CPU for each, which
is kind to Ray: `--nodes` is accepted and changes nothing, for more nodes on one machine only make it slower.

The Jobs API is part of ray[default], which is best kept out of Barq's own environment (with its gRPC there, Ray starts
more). BENCH_RAY_PYTHON names the Python that has it:

    python3 -m venv ray-venv && ray-venv/bin/pip install "ray[default]==2.60.0"
    BENCH_RAY_PYTHON=$PWD/ray-venv/bin/python python -m benchmarks.ray_jobs --jobs 64 --json
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from barq.site.ray_head import LOOPBACK, free_port, new_temp_dir, without_ray
from benchmarks.job_watch import Ends, boottime_s, wait_for
from benchmarks.orphans import cpu_below_s, ending_all_below
from benchmarks.sleepers import Sleepers
from benchmarks.yardstick import Yardstick, tell, tell_load

PYTHON = "BENCH_RAY_PYTHON"
REMEDY = f'{PYTHON} must name a Python that has it: pip install "ray[default]==2.60.0" in an environment of its own'
ANSWER_WITHIN_S = 120.0
FIRST = "first"
NEEDS = "import aiohttp, grpc, ray; print(ray.__version__)"


class NoRay(Exception):
    """Ray's Jobs API is not installed, or did not start; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """A Ray that is up."""

    directory: Path
    client: httpx.Client

    def submit(self, name: str, command: str) -> None:
        """Raises httpx.HTTPStatusError."""
        job = {"entrypoint": command, "submission_id": name, "entrypoint_num_cpus": 1}
        self.client.post("/api/jobs/", json=job).raise_for_status()

    def stop(self, name: str) -> None:
        """Raises httpx.HTTPStatusError."""
        self.client.post(f"/api/jobs/{name}/stop").raise_for_status()


@contextmanager
def running_ray(cpus: int) -> Iterator[Jobs]:
    """A Ray with its Jobs API; nothing is left of it or of its jobs afterwards. Raises `NoRay`, `TooSlow`."""
    python = _installed()
    directory = new_temp_dir()
    token = secrets.token_hex(32)
    port = free_port()
    try:
        (directory / "token").touch(mode=0o600)
        (directory / "token").write_text(token, encoding="ascii")
        with (
            ending_all_below(),
            httpx.Client(
                base_url=f"http://{LOOPBACK}:{port}",
                headers={"Authorization": f"Bearer {token}"},
                timeout=ANSWER_WITHIN_S,
            ) as client,
        ):
            head = _start(python, directory, cpus=cpus, port=port)
            wait_for(lambda: _answers(client, head, directory), "Ray's Jobs API")
            yield Jobs(directory=directory, client=client)
    finally:
        shutil.rmtree(directory)


def _installed() -> str:
    python = os.environ.get(PYTHON, sys.executable)
    asked = subprocess.run([python, "-c", NEEDS], capture_output=True, text=True, check=False)
    if asked.returncode != 0:
        raise NoRay(f"ray[default] is not installed for {python}; {REMEDY}")
    print(f"Ray {asked.stdout.strip()}", file=sys.stderr)
    return python


def _start(python: str, directory: Path, *, cpus: int, port: int) -> subprocess.Popen[bytes]:
    command = [python, "-m", "ray.scripts.scripts", "start", "--head", "--block", f"--port={free_port()}"]
    command += [f"--node-ip-address={LOOPBACK}", f"--temp-dir={directory}/ray", f"--num-cpus={cpus}"]
    command += [f"--dashboard-host={LOOPBACK}", f"--dashboard-port={port}", "--disable-usage-stats"]
    command += [f"--ray-client-server-port={free_port()}", f"--dashboard-agent-listen-port={free_port()}"]
    settings = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(directory / "token"),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # this machine alone
    }
    with (directory / "head.log").open("ab") as log:
        return subprocess.Popen(
            command, env=without_ray(os.environ) | settings, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )


def _answers(client: httpx.Client, head: subprocess.Popen[bytes], directory: Path) -> float | None:
    if (code := head.poll()) is not None:
        said = (directory / "head.log").read_text(encoding="utf-8", errors="replace")
        raise NoRay(f"ray start ended with {code}:\n{said[-2000:]}")
    try:
        return 1.0 if client.get("/api/jobs/").is_success else None
    except httpx.TransportError:  # it does not listen yet
        return None


def measure(*, jobs: int) -> dict[str, float]:
    """Start a Ray with room for all jobs, run, and take it down."""
    names = [f"bench-{number}" for number in range(jobs)]
    with running_ray(jobs + 1) as ray:
        sleepers = Sleepers(ray.directory / "words")
        ray.submit(FIRST, sleepers.command(FIRST))  # with it Ray starts what all jobs after it need
        sleepers.wait_for_all([FIRST])
        yardstick = Yardstick(cpu_below_s, "Ray")
        with yardstick.cpu("start"):
            began_s = boottime_s()
            with yardstick.timed("submit_s"):
                for name in names:
                    ray.submit(name, sleepers.command(name))
            yardstick.figures["submit_to_all_started_s"] = sleepers.wait_for_all(names) - began_s
        ends = Ends(sleepers.pids(names))
        left_s = boottime_s()
        for name in names:
            ray.stop(name)
        yardstick.figures["release_s"] = ends.wait() - left_s
    return yardstick.figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures; 2 where Ray's Jobs API is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ray_jobs", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--nodes", type=int, default=1, help="without effect: see above")
    parser.add_argument("--jobs", type=int, default=64)
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    options = parser.parse_args(arguments)
    tell_load()
    try:
        figures = measure(jobs=options.jobs)
    except NoRay as reason:
        print(reason, file=sys.stderr)
        return 2
    tell(figures, as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
