"""A job that means harm: what it leaves in the files of its attempt neither stops nor misleads who looks after it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from barq.checkpoint import DamagedCheckpoint, newest_verified, verify
from barq.contract import STATUS_FILE, ContractError, JobPhase, JobStatus, write_atomically, write_status
from barq.job_environment import JobEnvironment
from barq.manifest import content_hash
from scheduler.core.jobs import Phase
from tests.commits import commit
from workers import attempt_files
from workers.attempt_files import AttemptFiles, Instruction
from workers.inspection import Findings, look
from workers.job_log import JobLog
from workers.watches import StatusWatch
from workers.wire import WireError

GOOD = JobStatus(seq=1, state=JobPhase.RUNNING, step=7)


def status(**changes: object) -> bytes:
    """A status that would do but for these."""
    return json.dumps({"seq": 1, "state": "running", "step": 7, "commit": None} | changes).encode()


def written(data: bytes) -> Callable[[Path], None]:
    """Leave these bytes."""

    def leave(path: Path) -> None:
        path.write_bytes(data)

    return leave


def endless(path: Path) -> None:
    """A file of a terabyte that takes no room."""
    with path.open("wb") as file:
        file.truncate(1 << 40)


def linked(path: Path) -> None:
    """A link to a status that would be believed."""
    (path.parent / "other").write_bytes(status())
    path.symlink_to(path.parent / "other")


TRICKS: dict[str, Callable[[Path], None]] = {
    "pipe": os.mkfifo,
    "link": linked,
    "link to itself": lambda path: path.symlink_to(path),
    "device": lambda path: path.symlink_to("/dev/zero"),
    "directory": Path.mkdir,
    "terabyte": endless,
    "levels": written(b"[" * 60_000),
    "deep object": written(b'{"a":' * 10_000),
    "NaN": written(status(step=float("nan"))),
    "infinite": written(b'{"seq":1,"state":"running","step":1e999,"commit":null}'),
    "huge": written(b'{"seq":1,"state":"running","step":' + b"9" * 5000 + b',"commit":null}'),
    "negative": written(status(step=-1)),
    "truth": written(status(step=True)),
    "unknown phase": written(status(state="winning")),
    "path": written(status(commit="../../etc")),
    "NUL": written(status(commit="a\0b")),
    "surrogate": written(b'{"seq":1,"state":"running","step":1,"commit":"\\ud800"}'),
    "no UTF-8": written(b"\xff\xfe\xfa"),
    "half": written(status()[:20]),
    "nothing": written(b""),
    "list": written(b"[]"),
    "save time": written(status(save_s=-1)),
}


@pytest.mark.parametrize("trick", TRICKS.values(), ids=TRICKS.keys())
def test_a_status_of_a_hostile_job_is_a_complaint_and_no_more(
    tmp_path: Path, trick: Callable[[Path], None]
) -> None:
    """The look comes back, the last sensible word stands, and the complaint can be printed."""
    watch = StatusWatch(tmp_path)
    write_status(tmp_path, GOOD)
    watch.look()
    (tmp_path / STATUS_FILE).unlink()
    trick(tmp_path / STATUS_FILE)

    watch.look()

    assert watch.status == GOOD
    assert watch.complaint
    assert len(watch.complaint) < 500
    watch.complaint.encode()


@pytest.mark.parametrize("name", ["desired.json", "facts.json", "launch.json", "supervisor.pid"])
def test_a_pipe_in_place_of_a_file_of_ours_is_not_waited_for(tmp_path: Path, name: str) -> None:
    """Guard and supervisor get an error, which they survive, and not a wait without end."""
    files = AttemptFiles(tmp_path)
    os.mkfifo(tmp_path / name)

    read = {
        "desired.json": files.read_instruction,
        "facts.json": files.read_facts,
        "launch.json": files.read_launching,
        "supervisor.pid": files.read_claim,
    }[name]
    with pytest.raises(OSError, match="not a plain file"):
        read()


def test_a_file_of_ours_that_has_grown_is_not_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What we write is small."""
    monkeypatch.setattr(attempt_files, "MAX_FILE_BYTES", 1000)
    endless(tmp_path / "facts.json")

    with pytest.raises(WireError, match="1000 bytes"):
        AttemptFiles(tmp_path).read_facts()


@pytest.mark.parametrize("trick", [os.mkfifo, lambda path: path.symlink_to("victim")], ids=["pipe", "link"])
def test_what_lies_where_we_write_is_neither_followed_nor_waited_for(
    tmp_path: Path, trick: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job may guess the name under which a file is made before it is renamed."""
    monkeypatch.setattr("threading.get_ident", lambda: 5)
    (tmp_path / "victim").write_text("mine")
    trick(tmp_path / f".desired.json.{os.getpid()}-5.tmp")
    files = AttemptFiles(tmp_path)

    files.write_instruction(Instruction(seq=1, phase=Phase.RUN))

    assert files.read_instruction() == Instruction(seq=1, phase=Phase.RUN)
    assert (tmp_path / "victim").read_text() == "mine"


def test_a_file_is_made_with_the_usual_rights(tmp_path: Path) -> None:
    """As the mask of the process wants them."""
    write_atomically(tmp_path / "new", b"x", durable=True)

    assert (tmp_path / "new").stat().st_mode & 0o600 == 0o600


@pytest.mark.parametrize("trick", [os.mkfifo, lambda path: path.symlink_to("victim")], ids=["pipe", "link"])
def test_a_log_that_is_no_file_loses_lines_and_no_more(tmp_path: Path, trick: Callable[[Path], None]) -> None:
    """The supervisor goes on; when the name is free again, the log tells what is missing."""
    path = tmp_path / "job.log"
    log = JobLog(path)
    log.write(b"one\n")
    path.unlink()
    trick(path)
    log.write(b"two\n")
    assert log.lost_bytes == 4
    assert not (tmp_path / "victim").exists()

    path.unlink()
    log.write(b"three\n")
    assert path.read_text() == "[barq: 4 bytes of the log could not be written]\nthree\n"


def test_a_job_that_holds_the_lock_of_its_log_gains_nothing(tmp_path: Path) -> None:
    """It is not waited for: the file grows to twice its size, then lines are lost, until the lock is free."""
    path = tmp_path / "job.log"
    log = JobLog(path, max_bytes=10)
    log.write(b"0123456789")
    with path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        log.write(b"0123456789")
        log.write(b"lost")
        assert (path.stat().st_size, log.lost_bytes) == (20, 4)
    log.write(b"again")

    assert path.read_bytes().endswith(b"again")
    assert (tmp_path / "job.log.1").stat().st_size == 20


@pytest.mark.parametrize("name", ["step-99999999999999999999", "step-" + "9" * 200, "step-٠٠٠٠٠٠٠٠٩"])
def test_a_name_that_is_no_step_hides_no_commit(tmp_path: Path, name: str) -> None:
    """A directory that only looks like a commit is left alone."""
    made = commit(tmp_path, 3)
    (tmp_path / name).mkdir()

    assert newest_verified(tmp_path) == (made, [])
    assert look(tmp_path).step == 3


def forged(path: Path, files: object) -> None:
    """Write a manifest that names these files, with a seal that is right."""
    record = json.loads((path / "manifest.json").read_bytes())
    del record["seal"]
    record["files"] = files
    canonical = json.dumps(record, sort_keys=True, separators=(",", ":"))
    sealed = record | {"seal": content_hash(canonical.encode())}
    (path / "manifest.json").write_text(json.dumps(sealed, sort_keys=True, separators=(",", ":")))


NAMES = ["../victim", "/etc/passwd", "a/b", "..", "", "a\0b", "x" * 300, "manifest.json", "\ud800", "a\nb"]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_manifest_leads_out_of_its_commit_nowhere(tmp_path: Path, name: str) -> None:
    """A name is one of a file beside it, also when the seal is right."""
    path = commit(tmp_path, 1, shards={"one": b"1"}).path
    forged(path, [{"name": name, "size": 1, "hash": content_hash(b"1")}])

    with pytest.raises(DamagedCheckpoint, match=r"files\.name") as caught:
        verify(path)
    str(caught.value).encode()


ENTRIES: list[object] = [
    [],
    {},
    None,
    [1],
    [[]],
    [{"name": "one"}],
    [{"name": "one", "size": -1, "hash": "x"}],
]


@pytest.mark.parametrize("files", ENTRIES, ids=range(len(ENTRIES)))
def test_a_manifest_of_nonsense_is_damage(tmp_path: Path, files: object) -> None:
    """Whatever stands where the files should."""
    path = commit(tmp_path, 1).path
    forged(path, files)

    with pytest.raises(DamagedCheckpoint, match=r"files|size"):
        verify(path)


def test_a_file_that_claims_to_be_endless_is_told_by_its_size(tmp_path: Path) -> None:
    """Before a byte of it is read."""
    path = commit(tmp_path, 1, shards={"one": b"1"}).path
    endless(path / "one")

    with pytest.raises(DamagedCheckpoint, match="1099511627776 bytes"):
        verify(path)


def test_links_and_crowds_in_a_commit_are_damage(tmp_path: Path) -> None:
    """What is not in the manifest is found at its first entry, and can be printed."""
    path = commit(tmp_path, 1).path
    for number in range(2000):
        (path / f"extra\n{number}").touch()
    found: Findings = look(tmp_path)

    assert found.step is None
    [damage] = found.quarantined
    assert "not in the manifest" in damage
    assert damage.isprintable()


@pytest.mark.parametrize(
    "name, value",
    [
        ("BARQ_CHECKPOINT_KEEP", "9" * 5000),
        ("BARQ_CHECKPOINT_KEEP", "-1"),
        ("BARQ_CHECKPOINT_KEEP", "٣"),
        ("BARQ_CHECKPOINT_INTERVAL_S", "nan"),
        ("BARQ_CHECKPOINT_INTERVAL_S", "1e999"),
        ("BARQ_PAUSE_SIGNAL", "SIGNOTHING"),
        ("RANK", "1e9"),
        ("WORLD_SIZE", "0"),
    ],
)
def test_a_variable_that_makes_no_sense_is_named(tmp_path: Path, name: str, value: str) -> None:
    """With what it held."""
    with pytest.raises(ContractError, match=name):
        JobEnvironment.read(tmp_path, {name: value})
