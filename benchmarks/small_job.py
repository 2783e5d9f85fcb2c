"""A small job that knows the contract (DESIGN section 6) and needs the standard library only.

    python -S -E -c 'from small_job import main; main()' STATE_MB        in the directory of this file

It carries STATE_MB of state, of which each step changes a little, holds when it is asked to, and commits before it
leaves: state and manifest fsynced, renamed, the directory fsynced. It speaks the files of the contract by itself, so
that what is measured is the site and not the imports of a job; what it needs later it imports after its first step.
Beside what the contract asks for, its status says who it is (`pid`) and since when it has been in its state
(`since_s`, CLOCK_BOOTTIME).
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` without its enums: a third of the start
import os
import sys
import time

STEP_S = 0.5
HELD_LOOK_S = 0.05
EXIT_PAUSED = 85


class SmallJob:
    """One attempt."""

    def __init__(self, state_mb: int) -> None:
        self._control = os.environ["BARQ_CONTROL_DIR"] + "/pause.json"
        self._status = os.environ["BARQ_STATUS_DIR"]
        self._checkpoints = os.environ["BARQ_CHECKPOINT_DIR"]
        self._seq, self._state, self._commit = 0, "running", ""
        self._since_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        resume_from = os.environ["BARQ_RESUME_FROM"]
        self._memory = bytearray(_read(resume_from + "/state") if resume_from else state_mb * 1_000_000)
        self._step = int.from_bytes(self._memory[:8], "little")

    def run(self) -> int:
        """Step until told to leave; the exit code."""
        _signal.pthread_sigmask(_signal.SIG_BLOCK, {_signal.SIGTERM})  # it is waited for, between steps
        _signal.signal(_signal.SIGTERM, lambda *_: None)
        self._work()
        self._tell()
        _signal.sigtimedwait({_signal.SIGTERM}, 2 * STEP_S)
        import hashlib  # noqa: F401 - needed for a commit

        while (action := self._wanted()) != "save_and_exit":
            self._enter("suspended" if action == "suspend" else "running")
            if action != "suspend":
                self._work()
            _signal.sigtimedwait({_signal.SIGTERM}, HELD_LOOK_S if action == "suspend" else STEP_S)
        self._enter("saving")
        self._save()
        self._enter("exiting")
        return EXIT_PAUSED

    def _work(self) -> None:
        self._step += 1
        self._memory[:8] = self._step.to_bytes(8, "little")

    def _wanted(self) -> str:
        """The newest request; "resume" while there was none."""
        import json

        try:
            request = json.loads(_read(self._control))
        except FileNotFoundError:
            return "resume"
        self._seq = int(request["seq"])
        return str(request["action"])

    def _enter(self, state: str) -> None:
        if state != self._state:
            self._state, self._since_s = state, time.clock_gettime(time.CLOCK_BOOTTIME)
            self._tell()

    def _tell(self) -> None:
        commit = f'"{self._commit}"' if self._commit else "null"
        text = (
            f'{{"seq": {self._seq}, "state": "{self._state}", "step": {self._step}, "commit": {commit}, '
            f'"pid": {os.getpid()}, "since_s": {self._since_s!r}}}'
        )
        _write(self._status + "/.status.tmp", text.encode(), durable=False)
        os.rename(self._status + "/.status.tmp", self._status + "/status.json")  # noqa: PTH104 - see above

    def _save(self) -> None:
        """A commit as `barq.checkpoint` makes and verifies it."""
        attempt, name = os.environ["BARQ_ATTEMPT"], f"step-{self._step:09d}"
        staged = f"{self._checkpoints}/{name}.tmp-{attempt}"
        os.mkdir(staged)  # noqa: PTH102 - see above
        _write(staged + "/state", self._memory, durable=True)
        record = {
            "step": self._step,
            "world": 1,
            "files": [{"name": "state", "size": len(self._memory), "hash": _hash(self._memory)}],
            "job": os.environ["BARQ_JOB_ID"],
            "attempt": attempt,
            "saved_at": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()),
        }
        sealed = record | {"seal": _hash(_canonical(record))}
        _write(staged + "/manifest.json", _canonical(sealed), durable=True)
        _sync_directory(staged)
        os.rename(staged, f"{self._checkpoints}/{name}")  # noqa: PTH104 - see above
        _sync_directory(self._checkpoints)
        self._commit = name


def _hash(data: bytes | bytearray) -> str:
    import hashlib

    return hashlib.blake2b(data, digest_size=32).hexdigest()


def _canonical(record: dict[str, object]) -> bytes:
    import json

    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode()


def _read(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib would cost a third of the start
        return file.read()


def _write(path: str, data: bytes | bytearray, *, durable: bool) -> None:
    with open(path, "wb", buffering=0) as file:  # noqa: PTH123 - see above
        file.write(data)
        if durable:
            os.fsync(file.fileno())


def _sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(descriptor)
    os.close(descriptor)


def main() -> None:
    """Run the job and exit as it says."""
    sys.exit(SmallJob(int(sys.argv[1])).run())
