"""`barq down`: end the site on this machine, jobs saved, nothing left behind."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Annotated

import typer

from barq.cli.options import duration_s
from barq.cli.output import say
from barq.errors import BarqError
from barq.location import state_dir
from barq.site.files import SiteFiles, exclusive, is_held, write_json
from barq.site.parts import KEEPER
from barq.site.processes import Process, end, wait_gone
from barq.site.stopping import forget, read_processes, stop_processes

GRACE_S = 60.0
ORDERLY_S = 40.0  #: beyond the jobs' grace, for all the rest
StateOption = Annotated[
    Path | None,
    typer.Option(
        "--state", metavar="DIR", help="State directory of the site; else BARQ_STATE, else ~/.barq."
    ),
]


def down(
    state: StateOption = None,
    grace: Annotated[
        str, typer.Option(metavar="DURATION", help="How long jobs may take to save before they are killed.")
    ] = "60s",
) -> None:
    """Stop what runs of a site on this machine; running jobs save first, and go on once it is up again."""
    directory = (state or state_dir(os.environ)).expanduser().resolve()
    ran = stop_site(directory, grace_s=duration_s(grace, "--grace"))
    is_member = SiteFiles(directory).membership.exists()
    done = "this machine is down, and stays part of its site" if is_member else "the site is down"
    say(done if ran else f"no site runs in {directory}")


def stop_site(state: Path, *, grace_s: float = GRACE_S) -> bool:
    """End every process of the site; False if none ran. Raises BarqError if one cannot be ended."""
    files = SiteFiles(state.resolve())
    if not files.run.is_dir():
        return False
    with exclusive(files.command_lock, wait=True):
        return end_site(files, grace_s=grace_s)


def end_site(files: SiteFiles, *, grace_s: float) -> bool:
    """As `stop_site`, for who holds the command lock."""
    ran = _ask_keeper(files, grace_s=grace_s)
    live = read_processes(files)
    left = stop_processes(files, live, grace_s=grace_s)
    if left:
        pids = ", ".join(str(process.pid) for process in left)
        raise BarqError(
            f"processes {pids} could not be ended", remedy="look whether they hang in the kernel (ps)"
        )
    forget(files)
    return ran or bool(live)


def _ask_keeper(files: SiteFiles, *, grace_s: float) -> bool:
    """Have the keeper end all, if there is one; one that does not is killed, and the rest is left to the caller."""
    if not is_held(files.keeper_lock):
        return False
    write_json(files.stop_request, {"grace_s": grace_s})
    deadline_s = time.monotonic() + grace_s + ORDERLY_S
    asked: Process | None = None
    while is_held(files.keeper_lock):
        keeper = read_processes(files).get(KEEPER)  # a keeper that starts just now is not recorded yet
        if keeper is not None and keeper != asked:
            keeper.send(signal.SIGTERM)
            asked = keeper
        if time.monotonic() > deadline_s:
            say("the keeper of the site does not stop: it is killed, and its processes are ended from here")
            end([keeper] if keeper else [], grace_s=0.0)
            break
        time.sleep(0.1)
    if asked is not None:
        wait_gone([asked], timeout_s=5.0)  # it lets go of its lock a moment earlier
        _reap(asked)
    return True


def _reap(keeper: Process) -> None:
    """Wait for a keeper that this very process had started, so that not even a zombie is left."""
    try:
        os.waitpid(keeper.pid, os.WNOHANG)
    except ChildProcessError:
        return  # the usual case: the keeper of another `barq up`
