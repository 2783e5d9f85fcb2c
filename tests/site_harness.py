"""A whole site for a test: real Ray, real guards, real processes, a real database; and means to hurt it."""

from __future__ import annotations

import json
import signal
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from barq.cli.down import stop_site
from barq.cli.up import start_site
from barq.client import Client
from barq.site.files import SiteFiles
from barq.site.processes import Process, all_stats
from barq.site.stopping import read_processes
from scheduler.core.orders import GuardReport
from tests.waiting import wait_for
from workers.sockets import connect
from workers.wire import decode

EXAMPLES = Path(__file__).resolve().parent.parent / "configs" / "jobs" / "examples"

SITE: dict[str, Any] = {
    "name": "t",
    "power": {"firm_w": 4600, "overhead": 1.25, "auxiliary_w": 50, "margin": 0.03, "reaction_s": 10},
    "timing": {
        "lease_s": 4,
        "fall_s": 2,
        "clock_uncertainty_s": 0.2,
        "save_after_s": 1,
        "suspend_max_s": 4,
        "raise_delay_s": 0.5,
        "restart_s": 1,
        "lost_after_s": 60,
    },
    "nodes": [{"prefix": "node", "count": 2, "gpus": 4, "base_w": 600, "simulated": True}],
    "miners": [{"name": "miners", "count": 2, "max_w": 1000, "simulated": True}],
    "signals": [{"type": "constant", "name": "contract", "limit_w": 12000}],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningSite:
    """A site that is up."""

    state: Path
    client: Client

    @property
    def files(self) -> SiteFiles:
        """Where its processes keep their things."""
        return SiteFiles(self.state)

    def process(self, name: str) -> Process:
        """One of its processes, as recorded."""
        return read_processes(self.files)[name]

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> Process:
        """Signal one of its processes, SIGKILL unless told otherwise."""
        process = self.process(name)
        assert process.send(number)
        return process

    def submit(self, script: str, *words: str, name: str, **fields: Any) -> str:
        """Submit one of the example jobs; its id."""
        request: dict[str, Any] = {
            "name": name,
            "entrypoint": [sys.executable, script, *words],
            "working_dir": str(EXAMPLES),
            "resources": {"gpus": fields.pop("gpus", 1)},
            "checkpoint": {"interval": "2s", "keep": 2},
        }
        return self.client.submit(request | fields)["id"]

    def wait_state(self, job_id: str, *states: str, timeout_s: float = 60.0) -> Mapping[str, Any]:
        """The job, once it is in one of these states."""

        def arrived() -> Mapping[str, Any] | None:
            job = self.client.job(job_id)
            return job if job["state"] in states else None

        return wait_for(arrived, timeout_s=timeout_s, what=f"{job_id} in {states}") or {}

    def steps(self, job_id: str) -> list[dict[str, Any]]:
        """What the job wrote down of its own steps."""
        path = self.state / "jobs" / job_id / "output" / "steps.jsonl"
        if not path.exists():
            return []
        return [
            json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")
        ]

    def wait_steps(self, job_id: str, count: int, *, timeout_s: float = 60.0) -> None:
        """Wait until the job has done `count` steps more than now."""
        goal = len(self.steps(job_id)) + count
        wait_for(
            lambda: len(self.steps(job_id)) >= goal, timeout_s=timeout_s, what=f"{job_id} at {goal} steps"
        )

    def said(self, kinds: str) -> list[str]:
        """What the site noted of these kinds (how their names begin), with the instants: for who reads a failure."""
        query = "select at, kind, text from events where kind like ? order by seq"
        with closing(sqlite3.connect(self.state / "barq.db")) as database:
            return [" ".join(row) for row in database.execute(query, (f"{kinds}%",))]

    def job_process(self, attempt_id: str) -> Process:
        """The first process of a living attempt, as its supervisor wrote it down."""
        path = next(self.state.glob(f"groups/*/attempts/{attempt_id}/facts.json"))
        written = json.loads(path.read_text(encoding="utf-8"))["job"]
        found = Process.of(written["pid"])
        assert found is not None
        assert found.starttime == written["start"]
        return found

    def report(self, group_id: str) -> GuardReport:
        """What a guard says, asked directly: works with scheduler, API and Ray gone."""
        with connect(self.state / "groups" / group_id / "guard.sock", timeout_s=60.0) as stream:
            stream.sendall(b'{"op": "report"}\n')
            answer = json.loads(stream.makefile("rb").readline())
        return decode(GuardReport, json.dumps(answer["report"]).encode())

    def wait_orders(self, *groups: str) -> None:
        """Wait until these take new orders: what had been killed between scheduler and guards is there again."""
        before = {group: self.report(group).accepted for group in groups}
        wait_for(
            lambda: all(self.report(group).accepted > last for group, last in before.items()),
            timeout_s=60.0,
            what=f"new orders for {', '.join(groups)}",
        )

    def draw_w(self) -> float:
        """What the site draws, from the devices themselves."""
        it_w = sum(self.report(f"node-{i + 1}").draw_w for i in range(2))
        return 50.0 + 1.25 * it_w + self.report("miners").draw_w

    def actor(self, group_id: str) -> Process:
        """The process of a group's agent: a worker of our own raylet that serves the guard's socket."""
        members = {p.pid for name, p in read_processes(self.files).items() if name.startswith("ray/")}
        for stat in all_stats():
            if stat.parent in members and _command(stat.pid).startswith("ray::Agent"):
                found = Process.of(stat.pid)
                if found is not None:
                    return found
        raise AssertionError(f"no agent of {group_id} among the workers of our raylet")


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


@contextmanager
def running_site(state: Path, **changes: Any) -> Iterator[RunningSite]:
    """A site in `state`, up; `changes` replace parts of the site file. Down again at the end, with nothing left."""
    site_file = state.parent / f"{state.name}.yaml"
    site_file.write_text(yaml.safe_dump(SITE | changes), encoding="utf-8")
    try:
        start_site(site_file, state)
        with Client.from_environment({"BARQ_STATE": str(state)}) as client:
            yield RunningSite(state=state, client=client)
    finally:
        stop_site(state)
