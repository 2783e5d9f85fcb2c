"""What a job and its supervisor say to each other: round trips, refusals, and files that are not what they seem."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from barq.contract import (
    EXIT_PAUSED,
    MAX_FILE_BYTES,
    PAUSE_FILE,
    REQUEUE_CODES,
    STATUS_FILE,
    Action,
    ContractError,
    JobPhase,
    JobStatus,
    PauseRequest,
    read_pause_request,
    read_status,
    write_atomically,
    write_pause_request,
    write_status,
)

GOOD_REQUEST = {
    "version": 1,
    "seq": 7,
    "action": "suspend",
    "deadline_boottime_s": 12.5,
    "reason": "feeder work",
    "rung": 1,
}
GOOD_STATUS = {"seq": 7, "state": "committed", "step": 40, "commit": "step-000000040", "save_s": 0.25}


def names(directory: Path) -> list[str]:
    """What lies in `directory`."""
    return sorted(path.name for path in directory.iterdir())


def request(seq: int = 1, action: Action = Action.SUSPEND) -> PauseRequest:
    """A request without a deadline."""
    return PauseRequest(seq=seq, action=action, deadline_boottime_s=None, reason="power", rung=1)


def test_a_request_survives_the_journey() -> None:
    """What is written is what is read, field by field."""
    parsed = PauseRequest.from_json(json.dumps(GOOD_REQUEST))

    assert parsed.action is Action.SUSPEND
    assert json.loads(parsed.to_json()) == GOOD_REQUEST


def test_a_status_survives_the_journey() -> None:
    """What is written is what is read, field by field."""
    parsed = JobStatus.from_json(json.dumps(GOOD_STATUS))

    assert parsed.state is JobPhase.COMMITTED
    assert json.loads(parsed.to_json()) == GOOD_STATUS


def test_a_status_need_not_say_how_long_a_commit_took() -> None:
    """A hook that a person wrote by hand leaves `save_s` out."""
    assert JobStatus.from_json('{"seq": 0, "state": "running", "step": 3, "commit": null}').save_s is None


def test_fields_of_a_later_version_are_ignored() -> None:
    """A newer writer may say more than this reader understands."""
    assert JobStatus.from_json(json.dumps(GOOD_STATUS | {"mood": "sunny"})).step == 40


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "7",
        "null",
        '"suspend"',
        "\ud800",
        "[" * 50_000,
        '{"seq": NaN}',
        "{" + " " * MAX_FILE_BYTES,
    ],
    ids=["empty", "torn", "list", "number", "null", "text", "surrogate", "deep", "nan", "huge"],
)
def test_what_is_no_object_is_refused(text: str) -> None:
    """Each kind of nonsense becomes one kind of error, never a crash of the reader."""
    with pytest.raises(ContractError, match="job status"):
        JobStatus.from_json(text)
    with pytest.raises(ContractError, match="pause request"):
        PauseRequest.from_json(text)


@pytest.mark.parametrize("field", sorted(GOOD_REQUEST))
def test_a_request_lacking_a_field_is_refused(field: str) -> None:
    """The message names the field that is missing."""
    with pytest.raises(ContractError, match=f"'{field}' is missing"):
        PauseRequest.from_json(
            json.dumps({name: GOOD_REQUEST[name] for name in GOOD_REQUEST if name != field})
        )


@pytest.mark.parametrize("field", ["seq", "state", "step", "commit"])
def test_a_status_lacking_a_field_is_refused(field: str) -> None:
    """The message names the field that is missing."""
    with pytest.raises(ContractError, match=f"'{field}' is missing"):
        JobStatus.from_json(json.dumps({name: GOOD_STATUS[name] for name in GOOD_STATUS if name != field}))


@pytest.mark.parametrize(
    "field, value",
    [
        ("version", 2),
        ("seq", 0),
        ("seq", -1),
        ("seq", 1.0),
        ("seq", True),
        ("seq", "7"),
        ("seq", 2**60),
        ("action", "explode"),
        ("action", None),
        ("action", ["suspend"]),
        ("deadline_boottime_s", -1),
        ("deadline_boottime_s", "soon"),
        ("deadline_boottime_s", 1e300),
        ("reason", None),
        ("reason", "x" * 2000),
        ("rung", 5),
        ("rung", None),
    ],
)
def test_a_request_with_a_wrong_value_is_refused(field: str, value: object) -> None:
    """The message names the field and says what to write instead."""
    with pytest.raises(ContractError, match=rf"pause request: {field}=.* is refused; write "):
        PauseRequest.from_json(json.dumps(GOOD_REQUEST | {field: value}))


@pytest.mark.parametrize(
    "field, value",
    [
        ("seq", -1),
        ("state", "asleep"),
        ("state", 3),
        ("step", -1),
        ("step", 2.5),
        ("commit", ""),
        ("commit", ".."),
        ("commit", "../other/step-000000001"),
        ("commit", "/etc/passwd"),
        ("commit", "step\n"),
        ("commit", "step-\ud800"),
        ("commit", "s" * 300),
        ("commit", 5),
        ("save_s", -0.1),
        ("save_s", True),
    ],
)
def test_a_status_with_a_wrong_value_is_refused(field: str, value: object) -> None:
    """A job cannot lead its supervisor out of the checkpoint directory, nor to a number that is none."""
    with pytest.raises(ContractError, match=rf"job status: {field}=.* is refused; write "):
        JobStatus.from_json(json.dumps(GOOD_STATUS | {field: value}))


@pytest.mark.parametrize("number", ["Infinity", "-Infinity", "NaN", "1e999"])
def test_numbers_that_are_none_are_refused(number: str) -> None:
    """JSON as Python writes it knows more numbers than JSON does."""
    with pytest.raises(ContractError):
        JobStatus.from_json(json.dumps(GOOD_STATUS).replace("0.25", number))


def test_a_silly_request_cannot_even_be_made() -> None:
    """The writer is held to the same rules as the reader."""
    with pytest.raises(ContractError, match="seq=0"):
        request(seq=0)


def test_no_file_is_no_answer(tmp_path: Path) -> None:
    """A job without a status is a legacy job; a control directory without a request wants nothing."""
    assert read_status(tmp_path) is None
    assert read_pause_request(tmp_path / "gone") is None


def test_status_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    """The second status takes the place of the first; beside it stay the two files that take turns."""
    write_status(tmp_path, JobStatus(seq=0, state=JobPhase.RUNNING, step=1))
    last = JobStatus(seq=0, state=JobPhase.DONE, step=2)
    write_status(tmp_path, last)

    assert read_status(tmp_path) == last
    assert names(tmp_path) == [f".{STATUS_FILE}.a", f".{STATUS_FILE}.b", STATUS_FILE]


def test_the_later_request_wins(tmp_path: Path) -> None:
    """A request that comes late does not replace one that was made after it."""
    assert write_pause_request(tmp_path, request(seq=5)) == request(seq=5)
    assert write_pause_request(tmp_path, request(seq=4, action=Action.RESUME)) == request(seq=5)
    assert read_pause_request(tmp_path) == request(seq=5)

    assert write_pause_request(tmp_path, request(seq=6, action=Action.RESUME)).seq == 6
    assert read_pause_request(tmp_path) == request(seq=6, action=Action.RESUME)


def test_a_good_request_replaces_nonsense(tmp_path: Path) -> None:
    """A damaged pause.json does not lock the supervisor out."""
    (tmp_path / PAUSE_FILE).write_text("{")
    with pytest.raises(ContractError):
        read_pause_request(tmp_path)

    write_pause_request(tmp_path, request())

    assert read_pause_request(tmp_path) == request()


def test_a_status_that_is_a_link_a_pipe_or_a_directory_is_refused(tmp_path: Path) -> None:
    """The job owns this directory: its supervisor follows no link and waits for no pipe."""
    path = tmp_path / STATUS_FILE
    for make in (lambda: path.symlink_to("/etc/hostname"), lambda: os.mkfifo(path)):
        make()
        with pytest.raises(ContractError, match=r"status\.json"):
            read_status(tmp_path)
        path.unlink()
    path.mkdir()
    with pytest.raises(ContractError, match=r"status\.json"):
        read_status(tmp_path)


def test_a_status_without_end_is_not_read_to_the_end(tmp_path: Path) -> None:
    """A file of a gigabyte is refused after 64 KiB."""
    with (tmp_path / STATUS_FILE).open("wb") as file:
        file.truncate(10**9)
    with pytest.raises(ContractError, match="too large"):
        read_status(tmp_path)


def test_a_failed_write_leaves_the_old_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that refuses leaves what was there, and no rubbish."""
    write_atomically(tmp_path / "x", b"old", durable=True)

    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(tmp_path / "x", b"new", durable=True)

    assert (tmp_path / "x").read_bytes() == b"old"
    assert names(tmp_path) == ["x"]


def test_only_a_durable_write_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A durable write flushes the file and its directory; a plain one flushes nothing."""
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", flushed.append)

    write_atomically(tmp_path / "x", b"1", durable=False)
    assert flushed == []
    write_atomically(tmp_path / "x", b"2", durable=True)
    assert len(flushed) == 2


def test_the_exit_codes_are_those_that_people_know() -> None:
    """85 is ours, 75 and 99 are what other schedulers taught their users."""
    assert {EXIT_PAUSED} | {75, 99} == REQUEUE_CODES


def test_what_is_no_text_is_shown_as_text() -> None:
    """In a message for people: not as Python writes bytes."""
    with pytest.raises(ContractError, match=r"job status: '.*garbage' is not JSON") as refused:
        JobStatus.from_json(b"\xff\xfegarbage")
    assert "b'" not in str(refused.value)
