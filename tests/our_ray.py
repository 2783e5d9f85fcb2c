"""One Ray of ours for all tests that need one: started by the first, ended with the run."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from barq.site.processes import Process, end, session_members, spawn
from barq.site.ray_head import RayHead
from tests.waiting import wait_for

RAY_STARTS_WITHIN_S = 60.0


class OurRay:
    """A Ray head, and `workers.enrol` for the groups in `groups`."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="barq-test-ray-"))
        self.groups = self.directory / "groups"
        self.head = RayHead.new(self.directory / "token")
        self.environment = self.head.environment(os.environ)
        self.process = start_head(self.head, self.directory / "ray.log", self.environment)
        command = [sys.executable, "-P", "-m", "workers.enrol"]
        command += ["--ray-address", self.head.address, "--groups", str(self.groups)]
        self.enrol = spawn(command, log=self.directory / "enrol.log", environment=self.environment)

    def group(self, name: str) -> Path:
        """The directory of a group; its agent is created within a second or two. Made once, used by many tests."""
        path = self.groups / name
        path.mkdir(parents=True, exist_ok=True)
        (path / "group.json").write_text("{}", encoding="utf-8")
        return path

    def end(self) -> None:
        """End all of it, and leave nothing."""
        end([self.enrol, self.process], grace_s=10.0)
        end(map(Process.from_stat, session_members(self.process.pid)), grace_s=1.0)
        reap_children(self.enrol, self.process)
        self.head.remove()
        shutil.rmtree(self.directory)


def start_head(head: RayHead, log: Path, environment: dict[str, str]) -> Process:
    """Start a Ray head and wait until it is ready."""
    head.prepare()
    process = spawn(head.command(), log=log, environment=environment)

    def ready_or_dead() -> bool:
        return head.is_ready() or not process.is_alive()

    wait_for(ready_or_dead, timeout_s=RAY_STARTS_WITHIN_S, what="the Ray head is ready")
    assert head.is_ready(), log.read_text(encoding="utf-8")
    return process


def reap_children(*processes: Process) -> None:
    """Wait for these children of the test, so that no zombie is left."""
    for process in processes:
        try:
            os.waitpid(process.pid, 0)
        except ChildProcessError:
            continue


_RAY = pytest.StashKey[OurRay]()


def shared_ray(config: pytest.Config) -> OurRay:
    """The one Ray of this run."""
    if _RAY not in config.stash:
        config.stash[_RAY] = OurRay()
        config.add_cleanup(config.stash[_RAY].end)
    return config.stash[_RAY]


def ray_environment(ray: OurRay, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this process the environment in which the keeper starts the scheduler."""
    for name in [name for name in os.environ if name.startswith("RAY_")]:
        monkeypatch.delenv(name)
    for name, value in ray.environment.items():
        if name.startswith("RAY_"):
            monkeypatch.setenv(name, value)
