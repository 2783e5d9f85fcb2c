"""Makes ready what a job brings along, on the node where it is to run: `python -P -m workers.prepare ATTEMPT_DIR`.

    working_dir     the files of its package, from this node or the site's API, in a copy of the attempt's own
    runtime         an environment with its requirements, built once for all jobs that want the same
    inputs          fetched by URL

Exit code 0 and prepared.json: the job can start. Exit code 1: prepared.json says in one sentence why it cannot.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from barq.blobs import Blobs, WrongContent
from barq.contract import ContractError
from workers.attempt_files import AttemptFiles, Launching
from workers.fetching import CannotFetch, SiteApi, ensure_package
from workers.host_faults import is_of_the_host
from workers.prepared import Prepared, check_working_dir, leave_prepared, tell
from workers.runtimes import CannotBuild, make_runtime
from workers.transfers import CannotTransfer, fetch
from workers.unpacking import unpack

_NOT_FOR_US = ("PYTHON", "LD_")  #: what would change how programs of the site's own are loaded


def prepare(files: AttemptFiles, launching: Launching) -> Prepared:
    """Do all of it. Raises one of the errors that `main` knows."""
    launch, state_dir = launching.order.launch, launching.state_dir
    _sweep(files)
    working_dir = Path(launch.working_dir)
    if launch.package:
        working_dir = files.work_dir
        _lay_out(files, launch.package, state_dir)
    elif working_dir == Path(launch.output_dir):
        working_dir.mkdir(parents=True, exist_ok=True)
    check_working_dir(working_dir)
    runtime = make_runtime(
        launch.runtime,
        working_dir=working_dir,
        package=launch.package,
        runtimes=state_dir / "runtimes",
        shims=files.path / "bin",
        tell=lambda text: tell(files, text),
    )
    for path, url in launch.inputs:
        tell(files, f"fetching {url} to {path}")
        fetch(url, working_dir / path)
    return Prepared(working_dir=str(working_dir), path=runtime.path, virtual_env=runtime.virtual_env)


def _lay_out(files: AttemptFiles, name: str, state_dir: Path) -> None:
    tell(files, f"fetching working_dir (package {name[:12]})")
    blobs = Blobs(state_dir / "blobs")
    package = ensure_package(name, blobs, SiteApi.of(state_dir))
    tell(files, f"unpacking working_dir: {len(package.files)} files, {package.size / 1e6:.1f} MB")
    unpack(package, blobs, files.work_dir)


def _sweep(files: AttemptFiles) -> None:
    """Remove copies whose attempts are forgotten: their supervisors were killed before they could."""
    for path in files.work_dir.parent.glob("*"):
        if not (files.path.parent / path.name).exists():
            shutil.rmtree(path, ignore_errors=True)


def adopt_environment(launching: Launching) -> None:
    """Take over the job's variables, for credentials and proxies; not those that load code."""
    wanted = launching.order.launch.env
    os.environ.update({name: value for name, value in wanted if not name.startswith(_NOT_FOR_US)})


def main(arguments: Sequence[str]) -> int:
    """Prepare the attempt in the directory that is named."""
    files = AttemptFiles(Path(arguments[0]))
    launching = files.read_launching()
    if launching is None:
        return 2
    adopt_environment(launching)
    try:
        prepared = prepare(files, launching)
    except (CannotFetch, CannotBuild, CannotTransfer, WrongContent, ContractError, OSError) as error:
        prepared = Prepared(error=f"cannot prepare: {error}", is_hosts_fault=is_of_the_host(error))
        print(f"[barq] {prepared.error}", flush=True)  # noqa: T201 - this is the job's log
    leave_prepared(files, prepared)
    return 0 if prepared.error is None else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
