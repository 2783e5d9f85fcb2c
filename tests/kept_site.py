"""A site under the keeper's care, for tests to harm. Whatever happens, nothing of it is left afterwards."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from barq.cli.down import stop_site
from barq.site.files import SiteFiles, is_held, read_json
from barq.site.parts import KEEPER
from barq.site.processes import Process, descendants, end, spawn
from barq.site.stopping import read_processes
from tests import stub_keeper
from tests.waiting import wait_for

WITHIN_S = 60.0


class KeptSite:
    """One state directory, and keepers for it."""

    def __init__(
        self, state: Path, *, groups: Sequence[str] = ("node-1", "node-2"), with_ray: bool = False
    ) -> None:
        self.files = SiteFiles(state)
        self.files.create()
        for name in groups:
            (self.files.groups / name).mkdir()
            (self.files.groups / name / "group.json").write_text("{}")
        self.with_ray = with_ray
        self.seen: set[Process] = set()

    def start(self, **environment: str) -> Process:
        """A keeper, once it has recorded itself."""
        command = stub_keeper.command(self.files.state, with_ray=self.with_ray)
        keeper = spawn(command, log=self.files.log(KEEPER), environment=dict(os.environ) | environment)
        wait_for(lambda: self.live().get(KEEPER) == keeper, timeout_s=WITHIN_S, what=f"keeper: {self.log()}")
        return keeper

    def live(self) -> dict[str, Process]:
        """Who is recorded and runs."""
        live = read_processes(self.files)
        self.seen.update(live.values())
        return live

    def parts(self) -> dict[str, Process]:
        """As `live`, without what Ray started."""
        return {name: process for name, process in self.live().items() if not name.startswith("ray/")}

    def wait_for(self, *names: str) -> dict[str, Process]:
        """Until all of these run."""
        wait_for(lambda: set(names) <= self.live().keys(), timeout_s=WITHIN_S, what=f"{names}: {self.log()}")
        return self.parts()

    def wait_for_new(self, name: str, old: Process) -> Process:
        """Until another process has taken the place of `old`."""

        def successor() -> Process | None:
            process = self.live().get(name)
            return process if process != old else None

        found = wait_for(successor, timeout_s=WITHIN_S, what=f"a new {name}: {self.log()}")
        assert found is not None
        return found

    def address(self) -> dict[str, Any]:
        """What people are told of it."""
        return read_json(self.files.address)

    def log(self) -> str:
        """What the keeper said."""
        path = self.files.log(KEEPER)
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def stop(self) -> bool:
        """`barq down`."""
        self.live()
        return stop_site(self.files.state, grace_s=1.0)

    def assert_gone(self) -> None:
        """Nothing that was ever seen of the site runs, and nothing speaks of it."""
        alive = [process for process in self.seen if process.is_alive()]
        assert not alive, f"{alive}: {self.log()}"
        assert not self.files.address.exists()
        assert not self.files.processes.exists()
        assert not is_held(self.files.keeper_lock)

    def destroy(self) -> None:
        """What a failed test leaves, ended without any order."""
        live = self.live()
        if KEEPER in live:
            live[KEEPER].send(signal.SIGKILL)
        self.stop()
        family: Sequence[Process] = [*self.seen, *descendants([process.pid for process in self.seen])]
        end(family, grace_s=0.0)
        reap_keepers(self.seen)


def reap_keepers(processes: set[Process]) -> None:
    """Wait for those of them that are children of this test."""
    for process in processes:
        try:
            os.waitpid(process.pid, os.WNOHANG)
        except ChildProcessError:
            continue
