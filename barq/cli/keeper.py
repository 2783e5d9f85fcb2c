"""The keeper of a site's processes: `python -m barq.cli.keeper --state DIR --port PORT`.

A plain process without a framework. It starts the parts in order, starts the dead again, records who runs, reaps
every orphan (it is the subreaper of all that the site starts), and on SIGTERM ends everything in order. Killed
itself, it leaves the site running: the next keeper adopts by PID and start time what the last one recorded.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import logging
import os
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from barq.site.crews import Crew, HeadCrew, MemberCrew, ShadowCrew
from barq.site.files import AlreadyHeld, SiteFiles, exclusive, read_json, write_json
from barq.site.membership import read_membership
from barq.site.parts import (
    API,
    ENROL,
    KEEPER,
    RAY,
    RAY_MEMBER_PREFIX,
    SCHEDULER,
    BackOff,
    Part,
    adoptable,
)
from barq.site.processes import Process, descendants, end, prefer, reap, session_members, spawn
from barq.site.stopping import end_ray, forget, ray_members, read_processes, stop_processes, write_processes

log = logging.getLogger("barq.keeper")

GRACE_S = 60.0  #: for jobs to save, when nobody says otherwise
LOOK_EVERY_S = 0.25
MEMBERS_EVERY_S = 5.0
LOG_MAX_BYTES = 10_000_000
PR_SET_CHILD_SUBREAPER = 36
AWAITED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class Keeper:
    """Keeps the parts of one site, or of one member of a site, alive until it is told to stop."""

    def __init__(self, files: SiteFiles, crew: Crew) -> None:
        self._files = files
        self._crew = crew
        self._live: dict[str, Process] = {}
        self._backoffs: dict[str, BackOff] = {}
        self._members_at_s = float("-inf")
        self._held: int | None = None
        self._parts = crew.parts()

    def run(self) -> None:
        """Keep until SIGTERM or SIGINT; return when nothing of the site runs any more."""
        self._adopt()
        while True:
            try:
                self._look()
                self._start_due()
            except OSError:  # such as a full disk: the parts go on, and so does their keeper
                log.exception("something could not be recorded or started; tried again")
            received = signal.sigtimedwait(AWAITED, LOOK_EVERY_S)
            if received is not None and received.si_signo in (signal.SIGTERM, signal.SIGINT):
                self._stop()
                return

    # -- who runs --------------------------------------------------------------------------------------------------

    def _adopt(self) -> None:
        """Keep what the last keeper left running, as far as it is still wanted; end the rest."""
        recorded = read_processes(self._files)
        recorded.pop(KEEPER, None)
        wanted = {part.name for part in self._parts}
        known = bool(read_json(self._files.address))
        kept = adoptable(recorded, wanted, addresses_known=known)
        self._live = {name: process for name, process in recorded.items() if name in kept}
        if kept:
            log.info("adopted: %s", ", ".join(sorted(kept)))
        strays = {name: process for name, process in recorded.items() if name not in kept}
        end(ray_members(strays), grace_s=5.0)
        end(strays.values(), grace_s=5.0)
        me = Process.of(os.getpid())
        if me is not None:
            self._live[KEEPER] = me
        self._write_address()
        self._record()

    def _look(self) -> None:
        """Notice who has ended, and who Ray has started."""
        dead = {name: process for name, process in self._live.items() if not process.is_alive()}
        codes = reap()
        for name, process in dead.items():
            if name in self._live:  # burying Ray takes its members along
                self._bury(name, codes.get(process.pid))
        if RAY in self._live and time.monotonic() - self._members_at_s > MEMBERS_EVERY_S:
            self._note_ray_members()
        if dead:
            self._record()

    def _bury(self, name: str, code: int | None) -> None:
        if name == RAY:
            self._end_rest_of_ray()
        elif RAY in self._live and self._crew.loses_ray(name, code):
            self._end_rest_of_ray()
            self._note_end(RAY, "its head is gone")
        if name.startswith(RAY_MEMBER_PREFIX):
            self._live.pop(name, None)
            return  # Ray's own business, until its head ends
        self._note_end(name, _how(code))

    def _note_end(self, name: str, how: str) -> None:
        self._live.pop(name, None)
        now_s = time.monotonic()
        backoff = self._backoffs[name] = self._backoffs.get(name, BackOff()).ended(now_s)
        log.warning("%s ended (%s); again in %.1f s", name, how, backoff.due_s - now_s)

    def _end_rest_of_ray(self) -> None:
        """With its head gone, nothing of our Ray is of use; whoever talks to it learns of the next by starting anew."""
        head = self._live[RAY]
        ours = {process.pid for process in descendants([os.getpid()])}  # also those that were never recorded
        members = [stat for stat in session_members(head.pid) if stat.pid in ours]
        left = end_ray(self._live) + end(map(Process.from_stat, members), grace_s=0.5)
        if left:
            log.error("still there after SIGKILL: %s", left)
        self._live = {n: p for n, p in self._live.items() if not n.startswith(RAY_MEMBER_PREFIX)}
        if ENROL in self._live:
            self._live[ENROL].send(signal.SIGTERM)

    def _note_ray_members(self) -> None:
        """Record the processes of the session that our head leads, so that they can be found when it is dead."""
        head = self._live[RAY]
        if not head.is_alive():
            return
        self._members_at_s = time.monotonic()
        members = {
            f"{RAY_MEMBER_PREFIX}{stat.name}:{stat.pid}": Process.from_stat(stat)
            for stat in session_members(head.pid)
            if stat.pid != head.pid
        }
        others = {n: p for n, p in self._live.items() if not n.startswith(RAY_MEMBER_PREFIX)}
        if others | members != self._live:
            self._live = others | members
            self._record()

    def _record(self) -> None:
        write_processes(self._files, self._live)
        write_json(self._files.restarts, {name: b.restarts for name, b in self._backoffs.items()})

    # -- starting --------------------------------------------------------------------------------------------------

    def _start_due(self) -> None:
        now_s = time.monotonic()
        for part in self._parts:
            backoff = self._backoffs.get(part.name, BackOff())
            if part.name not in self._live and backoff.is_due(now_s) and self._may_start(part):
                self._start(part, backoff.started(now_s))

    def _may_start(self, part: Part) -> bool:
        if part.name == RAY:
            return self._crew.may_start_ray()
        return not part.needs_ray or (RAY in self._live and self._crew.ray.is_ready())

    def _start(self, part: Part, backoff: BackOff) -> None:
        log_path = self._files.log(part.name)
        _rotate(log_path)
        self._backoffs[part.name] = backoff
        try:
            if part.name == RAY:
                part = self._prepare_ray(part)
            process = spawn(part.command, log=log_path, environment=part.environment)
            if part.name == API:  # little work, and people wait for it: also while a host starts all its jobs
                prefer(process)
            self._live[part.name] = process
        except OSError as error:
            log.error("%s cannot be started: %s", part.name, error)  # noqa: TRY400 - a trace says no more
            self._backoffs[part.name] = backoff.ended(time.monotonic())
            return
        self._members_at_s = float("-inf")
        log.info("%s started, PID %d", part.name, self._live[part.name].pid)
        self._record()

    def _prepare_ray(self, part: Part) -> Part:
        """The Ray part as it starts now: at its old address, unless it had to move."""
        if self._crew.moves_ray():
            self._parts = self._crew.parts()
            self._write_address()
            if SCHEDULER in self._live:
                self._live[SCHEDULER].send(signal.SIGTERM)
            part = next(p for p in self._parts if p.name == RAY)
        self._crew.ray.prepare()
        self._hold_temp_dir()
        return part

    def _hold_temp_dir(self) -> None:
        """Those who clear old files out of /tmp leave a locked directory alone."""
        if self._held is None:
            self._held = os.open(self._crew.ray.temp_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(self._held, fcntl.LOCK_SH)

    def _write_address(self) -> None:
        started_at = read_json(self._files.address).get("started_at") or datetime.now(UTC).isoformat()
        write_json(self._files.address, self._crew.address() | {"started_at": started_at})

    # -- the end ---------------------------------------------------------------------------------------------------

    def _stop(self) -> None:
        """End all, and verify it: what is left among our descendants is ended too."""
        request = read_json(self._files.stop_request)
        grace_s = float(request.get("grace_s", GRACE_S))
        log.info("stopping; jobs have %.0f s", grace_s)
        left = stop_processes(self._files, self._live, grace_s=grace_s)
        reap()
        strays = descendants([os.getpid()])
        if strays:
            log.warning("left over, ended now: %s", [process.pid for process in strays])
            left += end(strays, grace_s=1.0)
        if left:
            log.error("could not be ended: %s", [process.pid for process in left])
        forget(self._files)


def _crew(files: SiteFiles, *, api_port: int) -> Crew:
    """Whom to keep: what a member of a site elsewhere needs, or a whole site, or one that acts nothing."""
    membership = read_membership(files)
    if membership is not None:
        return MemberCrew(files, membership, environment=os.environ)
    if files.is_shadow:
        return ShadowCrew(files, api_port=api_port, environment=os.environ)
    return HeadCrew(files, api_port=api_port, environment=os.environ)


def become_subreaper() -> None:
    """Become the parent of every orphan that the site makes, so that each can be found and waited for."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"PR_SET_CHILD_SUBREAPER: {os.strerror(error)}")


def _rotate(log_path: Path) -> None:
    """Start a new log when the old one is large; one old one is kept."""
    if log_path.exists() and log_path.stat().st_size > LOG_MAX_BYTES:
        log_path.replace(log_path.with_name(log_path.name + ".1"))


def _how(code: int | None) -> str:
    if code is None:
        return "adopted, so its status is unknown"
    return f"exit {code}" if code >= 0 else signal.Signals(-code).name


def main(arguments: list[str] | None = None) -> int:
    """Run the keeper of one state directory; 1 if it has one already."""
    parser = argparse.ArgumentParser(prog="python -m barq.cli.keeper", description=__doc__.splitlines()[0])
    parser.add_argument("--state", required=True, type=Path, metavar="DIR")
    parser.add_argument("--port", type=int, default=0, help="of the API; 0 = a free one")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)
    become_subreaper()
    files = SiteFiles(options.state.resolve())
    os.chdir("/")
    try:
        with exclusive(files.keeper_lock, wait=False):
            Keeper(files, _crew(files, api_port=options.port)).run()
    except AlreadyHeld:
        log.error("%s has a keeper already", files.state)  # noqa: TRY400 - a trace says no more
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
