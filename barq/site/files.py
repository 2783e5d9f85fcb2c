"""Where a site keeps what belongs to its processes: the layout of `run/`, `logs/` and `groups/`."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from barq.contract import write_atomically

PRIVATE = 0o700  #: directories: there is a token in them


class AlreadyHeld(Exception):
    """Another process holds the lock."""


class SiteFiles:
    """Names of files in one state directory. Creates nothing by itself."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.run = state / "run"
        self.logs = state / "logs"
        self.groups = state / "groups"
        self.shadow = (
            state / "shadow"
        )  #: what groups have, of a site that acts nothing; there are no others then
        self.site_file = state / "site.yaml"
        self.token = state / "token"
        self.jobs = state / "jobs"
        self.network = state / "network.json"  #: the address to listen on, as last told
        self.membership = state / "member.json"  #: on a machine that joined a site elsewhere
        self.database = state / "barq.db"
        self.address = self.run / "site.json"
        self.api_address = self.run / "api.json"  #: by the API itself
        self.processes = self.run / "processes.json"
        self.ray_token = self.run / "ray.token"
        self.restarts = self.run / "restarts.json"
        self.stop_request = self.run / "stop.json"
        self.keeper_lock = self.run / "keeper.lock"
        self.command_lock = self.run / "command.lock"

    @property
    def is_shadow(self) -> bool:
        """Whether the site here acts nothing, so that it has neither Ray nor guards: as `barq up` left it."""
        return self.shadow.is_dir()

    def create(self) -> None:
        """Make the directories, for this user only."""
        for directory in (self.state, self.run, self.logs, self.groups):
            directory.mkdir(parents=True, exist_ok=True)
            directory.chmod(PRIVATE)

    def log(self, name: str) -> Path:
        """The log of one process."""
        return self.logs / f"{name.replace(':', '-')}.log"

    def group_ids(self) -> list[str]:
        """The device groups of this machine, in order."""
        return sorted(path.parent.name for path in self.groups.glob("*/group.json"))


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file of ours; empty if the file is absent or torn, as after a power cut."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def write_json(path: Path, content: object) -> None:
    """Replace a file as a whole."""
    write_atomically(path, json.dumps(content, indent=1).encode(), durable=False)


@contextmanager
def exclusive(path: Path, *, wait: bool) -> Iterator[None]:
    """Hold the lock at `path`; the kernel lets go of it when this process ends. Raises `AlreadyHeld`."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    except BlockingIOError as error:
        raise AlreadyHeld(str(path)) from error
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock at `path`."""
    if not path.exists():
        return False
    try:
        with exclusive(path, wait=False):
            return False
    except AlreadyHeld:
        return True
