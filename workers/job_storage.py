"""Where the jobs of a group keep checkpoints, outputs and logs, and who else can read them there.

Each place is known by a random id in a marker file, so that two directories of one name on two machines are not
taken for one. The site's own place is used where it can be read and written; else the jobs of this machine stay in
its own state directory, and the scheduler starts them again only where the id is the same.

A file system over the network may hang, and a guard must not: a thread of its own looks, and whoever asks gets what
it saw last. While jobs are here their place does not change.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

from barq.contract import write_atomically
from scheduler.core.jobs import Launch
from scheduler.core.orders import GroupKind, GroupSpec

MARKER = ".barq-storage"
LOOK_EVERY_S = 10.0
FIRST_LOOK_S = 2.0  #: how long a start waits for the first look
_ID_BYTES = 12
_MAX_ID_BYTES = 200

log = logging.getLogger("barq.guard")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A directory below which jobs have theirs, and its id."""

    root: Path
    storage: str


def mark(root: Path) -> str:
    """The id of a place, made if it has none yet. Raises OSError."""
    root.mkdir(parents=True, exist_ok=True)
    known = read_id(root)
    if known:
        return known
    fresh = secrets.token_hex(_ID_BYTES)
    write_atomically(root / MARKER, fresh.encode(), durable=True)
    return fresh


def read_id(root: Path) -> str:
    """The id of a place, empty if it has none that makes sense. Raises OSError if it is there and cannot be read."""
    try:
        with (root / MARKER).open("rb") as marker:
            text = marker.read(_MAX_ID_BYTES).decode("ascii", errors="replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    return text if text.isalnum() else ""


def probe(root: Path, who: str) -> Place | None:
    """The place, if it is marked and can be written too."""
    try:
        storage = read_id(root)
        if not storage:
            return None
        trial = root / f"{MARKER}-{who}-{os.getpid()}"
        trial.write_bytes(storage.encode())
        trial.unlink()
    except OSError:
        return None
    return Place(root=root, storage=storage)


def relocated(launch: Launch, wanted: Path, actual: Path) -> Launch:
    """The launch with everything that the site put below `wanted` below `actual` instead."""
    if wanted == actual:
        return launch

    def moved(path: str) -> str:
        try:
            return str(actual / Path(path).relative_to(wanted))
        except ValueError:
            return path

    return replace(
        launch,
        working_dir=moved(launch.working_dir),
        checkpoint_dir=moved(launch.checkpoint_dir),
        output_dir=moved(launch.output_dir),
        log_path=moved(launch.log_path),
    )


class JobStorage:
    """The place of one group's jobs: the site's if it is at hand, else this machine's own."""

    def __init__(self, who: str, site_root: Path, own_root: Path) -> None:
        """Look once, or give up waiting for it; then go on looking beside everything else. Raises OSError."""
        self._who = who
        self._site_root = site_root
        self._own = Place(root=own_root, storage=mark(own_root))
        self._seen: Place | None = None
        self._looked = threading.Event()
        threading.Thread(target=self._keep_looking, name="storage", daemon=True).start()
        self._looked.wait(FIRST_LOOK_S)
        self._place = self._best()

    @property
    def storage(self) -> str:
        """The id of the place in use."""
        return self._place.storage

    def look(self, *, is_busy: bool) -> str:
        """Take up what was seen last, unless jobs are here. What is wrong, empty if nothing is."""
        best = self._best()
        if best == self._place:
            return ""
        if not is_busy:
            log.info("jobs are kept in %s from now on", best.root)
            self._place = best
            return ""
        if self._seen is None:
            return f"{self._site_root} cannot be read and written any more; its jobs may fail"
        return f"{self._site_root} is at hand again; used once the jobs in {self._place.root} have left"

    def keep(self, checkpoint_dir: str) -> None:
        """Jobs are here already: go on in the place where they are."""
        if Path(checkpoint_dir).is_relative_to(self._own.root):
            self._place = self._own
        elif Path(checkpoint_dir).is_relative_to(self._site_root):
            self._place = self._seen or Place(root=self._site_root, storage="")

    def placed(self, launch: Launch) -> Launch:
        """The launch as it is on this machine."""
        return relocated(launch, self._site_root, self._place.root)

    def _best(self) -> Place:
        return self._seen or self._own

    def _keep_looking(self) -> None:
        while True:
            seen = probe(self._site_root, self._who)
            if seen != self._seen:
                log.info("%s can%s be read and written", self._site_root, "" if seen else "not")
            self._seen = seen
            self._looked.set()
            time.sleep(LOOK_EVERY_S)


def storage_of(spec: GroupSpec, site_root: str, own_root: str) -> JobStorage | None:
    """The storage of a node that was told of one. Raises OSError."""
    if spec.kind is not GroupKind.NODE or not (site_root and own_root):
        return None
    return JobStorage(spec.group_id, Path(site_root), Path(own_root))
