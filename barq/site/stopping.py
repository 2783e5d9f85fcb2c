"""Ending a site in order: those who give orders first, then guards with their jobs, then Ray; then nothing is left.

Used by the keeper, and by `barq down` when there is no keeper any more. Only recorded processes, their descendants
and the session that our Ray head leads are ended.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from barq.site.files import SiteFiles, read_json, write_json
from barq.site.guard_line import ask
from barq.site.parts import API, ENROL, GUARD_PREFIX, KEEPER, RAY, RAY_MEMBER_PREFIX, SCHEDULER
from barq.site.processes import Process, descendants, end, session_members, wait_gone

log = logging.getLogger("barq.site")

PATIENCE_S = 5.0  #: for a process that has nothing to save
GUARD_MARGIN_S = 10.0  #: beyond the jobs' grace, for a guard to kill what is late and to say so


def read_processes(files: SiteFiles) -> dict[str, Process]:
    """What is recorded of the site's processes and still runs, by name."""
    recorded: dict[str, Process] = {}
    for name, record in read_json(files.processes).items():
        try:
            recorded[name] = Process.from_record(record)
        except (KeyError, ValueError, TypeError):
            log.warning("%s: the record of %s makes no sense: %r", files.processes, name, record)
    return {name: process for name, process in recorded.items() if process.is_alive()}


def write_processes(files: SiteFiles, live: Mapping[str, Process]) -> None:
    """Record who runs, so that exactly they can be found again."""
    write_json(files.processes, {name: live[name].record() for name in sorted(live)})


def stop_processes(files: SiteFiles, live: Mapping[str, Process], *, grace_s: float) -> list[Process]:
    """End all of `live` in order, the jobs within `grace_s`. What could not be ended: normally nothing."""
    for name in (API, SCHEDULER):
        _end_named(name, live)
    stop_guards(files, live, grace_s=grace_s)
    _end_named(ENROL, live)
    left = end_ray(live)
    strays = [process for name, process in live.items() if name != KEEPER and process.is_alive()]
    return left + end(strays, grace_s=PATIENCE_S)


def forget(files: SiteFiles) -> None:
    """Remove what speaks of running processes, when none runs any more."""
    temp_dir = read_json(files.address).get("ray_temp_dir")
    if temp_dir:
        shutil.rmtree(temp_dir, ignore_errors=True)
    for path in (
        files.address,
        files.api_address,
        files.processes,
        files.restarts,
        files.stop_request,
    ):
        path.unlink(missing_ok=True)


def stop_guards(files: SiteFiles, live: Mapping[str, Process], *, grace_s: float) -> None:
    """Have every guard save and exit its jobs, all at once; then see that no supervisor is left."""
    guards = [
        (name.removeprefix(GUARD_PREFIX), p) for name, p in live.items() if name.startswith(GUARD_PREFIX)
    ]
    with ThreadPoolExecutor(max_workers=max(1, len(guards))) as pool:
        stops = [pool.submit(_stop_guard, files.groups / name, guard, grace_s) for name, guard in guards]
    for stop in stops:
        stop.result()
    end_supervisors(files)


def end_ray(live: Mapping[str, Process]) -> list[Process]:
    """End our Ray, head first: all recorded members, and whoever is in the session that it leads."""
    members = ray_members(live)
    head = live.get(RAY)
    if head is not None:
        head.send(signal.SIGTERM)
        wait_gone([head], timeout_s=PATIENCE_S)
    return end(members, grace_s=0.5)


def ray_members(live: Mapping[str, Process]) -> list[Process]:
    """The processes of our Ray. Its session's number is ours for as long as one of them runs."""
    known = {process for name, process in live.items() if name == RAY or name.startswith(RAY_MEMBER_PREFIX)}
    known = {process for process in known if process.is_alive()}
    sessions = {process.pid for process in known if process == live.get(RAY)}
    sessions |= {os.getsid(process.pid) for process in known}
    found = {Process.from_stat(stat) for session in sessions for stat in session_members(session)}
    return sorted(known | found)


def end_supervisors(files: SiteFiles) -> None:
    """End what guards left behind, jobs and all: a guard that was killed or hung could not."""
    left = [process for path in files.groups.glob("*/attempts/*") for process in _supervised(path)]
    if left:
        log.warning("jobs outlived their guard, PIDs %s", [process.pid for process in left])
        families = [*left, *descendants([process.pid for process in left])]
        end(families, grace_s=PATIENCE_S)


def _supervised(attempt_dir: Path) -> list[Process]:
    """The supervisor of an attempt and its job, with the session that the job leads, as far as they still run."""
    claim, facts = read_json(attempt_dir / "supervisor.pid"), read_json(attempt_dir / "facts.json")
    boot = str(claim.get("boot_id", ""))
    supervisor, job = _named(claim.get("process"), boot), _named(facts.get("job"), boot)
    session = [] if job is None else session_members(job.pid)
    alive = {process for process in (supervisor, job) if process is not None}
    return sorted(alive | {Process.from_stat(stat) for stat in session})


def _named(entry: object, boot: str) -> Process | None:
    """The process in a file of the supervisor's, if it still runs."""
    match entry:
        case {"pid": int(pid), "start": int(start)}:
            process = Process(pid=pid, starttime=start, boot_id=boot)
            return process if process.is_alive() else None
        case _:
            return None


def _stop_guard(group_dir: Path, guard: Process, grace_s: float) -> None:
    """Ask over its socket; one that does not answer, or does not go, is ended like any process."""
    try:
        answer = ask(group_dir, {"op": "stop", "grace_s": grace_s}, timeout_s=grace_s + GUARD_MARGIN_S)
        log.info("guard of %s: %s", group_dir.name, answer)
    except OSError as error:
        log.warning("guard of %s did not stop when asked: %s", group_dir.name, error)
    else:
        wait_gone([guard], timeout_s=PATIENCE_S)
    end([guard], grace_s=PATIENCE_S)


def _end_named(name: str, live: Mapping[str, Process]) -> None:
    process = live.get(name)
    if process is not None:
        end([process], grace_s=PATIENCE_S)
