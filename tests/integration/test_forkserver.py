"""The fork server, from a process of its own: this one may have threads, and the server's must not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from scheduler.core.jobs import Launch, Phase
from scheduler.core.orders import AttemptOrder, Observed
from tests.waiting import wait_for
from workers.attempt_files import AttemptFiles, FactsFile, Instruction, Launching
from workers.processes import identify, is_alive

STARTS = """
import sys
from pathlib import Path
from workers.forkserver import ForkServer
server = ForkServer()
print(server.pid, *(server.start(Path(path)) for path in sys.argv[1:]), flush=True)
sys.stdin.read()
server.close()
"""


def attempt(directory: Path, name: str) -> AttemptFiles:
    """An attempt that notes that it ran."""
    home = directory / name
    home.mkdir()
    launch = Launch(
        command=("/bin/sh", "-c", "echo ran >> runs"),
        working_dir=str(home),
        checkpoint_dir=str(home / "checkpoints"),
        output_dir=str(home / "output"),
        log_path=str(home / "job.log"),
    )
    order = AttemptOrder(
        attempt_id=f"{name}.1",
        job_id=name,
        number=1,
        phase=Phase.RUN,
        gpu_ids=(),
        cap_w=0.0,
        tier=0,
        launch=launch,
    )
    files = AttemptFiles(directory / f"{name}.1")
    lock = str(directory / "guard.lock")
    files.create(Launching(order=order, guard_lock=lock, orphan_s=60.0, suspend_patience_s=1.0))
    files.write_instruction(Instruction(seq=1, phase=Phase.RUN))
    return files


def final(files: AttemptFiles) -> FactsFile | None:
    """The last facts, once they are."""
    facts = files.read_facts()
    return facts if facts is not None and facts.is_final else None


def test_many_supervisors_are_forked_and_each_attempt_runs_once(tmp_path: Path) -> None:
    """Sixteen attempts, each asked for twice: each runs once, and supervisors outlive the one who asked."""
    attempts = [attempt(tmp_path, f"j{number}") for number in range(16)]
    paths = [str(files.path) for files in attempts]

    asking = subprocess.run(
        [sys.executable, "-c", STARTS, *paths, *paths],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    server, *supervisors = map(int, asking.stdout.split())
    assert len(set(supervisors)) == 2 * len(attempts)
    assert identify(server) is None
    for files in attempts:
        known = wait_for(lambda files=files: final(files), timeout_s=60, what=f"{files.path} ends")  # type: ignore[misc]
        assert known is not None
        assert known.facts.observed is Observed.ENDED
        assert known.facts.exit_code == 0
        claim = files.read_claim()
        assert claim is not None
        wait_for(lambda claim=claim: not is_alive(claim.process), timeout_s=60, what="its supervisor ends")  # type: ignore[misc]
        assert (tmp_path / files.path.stem / "runs").read_text() == "ran\n"
