"""Sending a working directory: only what the site lacks, several files at a time, each known by its hash.

A send that breaks off goes on where it was when it is begun again: what arrived is there, and is not sent twice.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from barq import calls
from barq.packing import Packed, find_files, pack

if TYPE_CHECKING:
    from barq.transport import FromThreads, Transport

    Link = Transport | FromThreads

ASKED_AT_ONCE: Final = 10_000
_OF_FOLDER: Final = ("working_dir", "upload")
_AT_ONCE: Final = 8  # a small file costs a journey there and back, nothing else

Stage = Literal["hashing", "sending"]
Progress = Callable[[Stage, int, int], None]
"""Hears the stage, bytes done, and bytes in all. Called from several threads, one at a time."""


def folder_to_send(fields: Mapping[str, Any]) -> str | None:
    """The folder here that is to be sent with the job of these fields, None if there is none.

    `upload` says so; without it a folder that is written relative is, and an absolute one is a path on the nodes.
    """
    folder, wanted = fields.get("working_dir"), fields.get("upload")
    if not isinstance(folder, str) or not isinstance(wanted, bool | None):
        return None  # the site says what is wrong
    if wanted is None:
        wanted = not Path(folder).expanduser().is_absolute()
    return folder if wanted else None


def as_package(fields: Mapping[str, Any], package: str) -> dict[str, Any]:
    """The fields of a job that runs in a copy of `package` instead of its folder."""
    kept = {name: value for name, value in fields.items() if name not in _OF_FOLDER}
    return kept | {"package": package}


def without_folder(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a job that is only planned: a folder that would be sent stays here, nobody looks into it."""
    left_out = () if folder_to_send(fields) is None else _OF_FOLDER
    return {name: value for name, value in fields.items() if name not in left_out}


def upload(transport: Link, folder: Path | str, progress: Progress | None = None) -> str:
    """Pack `folder`, send what the site lacks, and return the package's name. Raises BarqError."""
    place = Path(folder).expanduser()
    limit_bytes = int(transport.send(calls.upload_terms())["limit_bytes"])
    total = sum(entry.size for entry in find_files(place, limit_bytes=limit_bytes))
    packed = pack(place, limit_bytes=limit_bytes, on_hashed=_Meter("hashing", total, progress).add)
    _send_blobs(transport, packed, progress)
    name = packed.package.id
    transport.put(f"{calls.UPLOADS}/packages/{name}", packed.package.to_bytes())
    return name


def _send_blobs(transport: Link, packed: Packed, progress: Progress | None) -> None:
    blobs = packed.package.blobs
    lacking = [
        name
        for names in _batches(sorted(blobs))
        for name in transport.send(calls.missing_blobs(names))["missing"]
    ]
    meter = _Meter("sending", sum(blobs[name] for name in lacking), progress)

    def send(name: str) -> None:
        transport.put(f"{calls.UPLOADS}/blobs/{name}", packed.sources[name])
        meter.add(blobs[name])

    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        sends = [pool.submit(send, name) for name in lacking]
        try:
            for one in sends:
                one.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


class _Meter:
    """Adds up bytes, and tells."""

    def __init__(self, stage: Stage, total: int, progress: Progress | None) -> None:
        self._stage: Stage = stage
        self._total = total
        self._progress = progress
        self._done = 0
        self._lock = threading.Lock()
        self.add(0)

    def add(self, size: int) -> None:
        """So many more."""
        with self._lock:
            self._done += size
            if self._progress is not None:
                self._progress(self._stage, self._done, self._total)


def _batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in itertools.count(0, ASKED_AT_ONCE):
        if start >= len(names):
            return
        yield names[start : start + ASKED_AT_ONCE]
