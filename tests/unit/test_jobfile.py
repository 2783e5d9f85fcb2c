"""Job files: what is read from them."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from barq.documents import read_json, read_yaml
from barq.jobfile import JobFileError, JobRequest, load_job_file, parse_job, parse_job_text

FOLDER = Path("/home/ada/project")

FULL = """\
name: char-transformer
project: physics
queue: night
priority: 10
kind: training
entrypoint: python train.py --epochs 3
working_dir: src
runtime: {requirements: ./requirements.txt}
inputs: {data/train.npz: "s3://bucket/train.npz"}
outputs: {model/: "file:///srv/models"}
env: {SEED: 7, MODE: "fast"}
resources: {gpus: 2, gpu_type: a100-sxm-400w, node: node-1, cpus: 4, memory: 16GiB}
nodes: 2..8
topology: {required: rack}
array: 0-9%4
dependencies: [afterok:demo-1]
begin: 2026-03-01T06:00:00+01:00
deadline: 2026-03-02T06:00:00+01:00
estimate: 45m
time_limit: 1h30m
retry: {max_failures: 2, backoff: 10s}
flex: 3
checkpoint: {interval: 10m, keep: 3}
power: {cap_ok: false, min_cap_w: 150}
notify: {url: "https://hooks.example.org/barq", on: [end], secret: "0123456789abcdef"}
"""


def read(text: str) -> list[JobRequest]:
    """The jobs in `text`."""
    return parse_job_text(text.encode(), file="job.yaml", folder=FOLDER)


def test_every_field_of_a_full_file_arrives_in_base_units() -> None:
    """Durations become seconds, sizes bytes, times aware UTC, and nothing is lost."""
    [job] = read(FULL)

    assert job.model_dump() == {
        "name": "char-transformer",
        "project": "physics",
        "queue": "night",
        "priority": 10,
        "kind": "training",
        "entrypoint": "python train.py --epochs 3",
        "working_dir": "/home/ada/project/src",
        "upload": True,
        "package": None,
        "runtime": {"requirements": "requirements.txt", "python": None, "inherit": False},
        "inputs": {"data/train.npz": "s3://bucket/train.npz"},
        "outputs": {"model": "file:///srv/models"},
        "env": {"SEED": "7", "MODE": "fast"},
        "resources": {
            "gpus": 2,
            "gpu_type": "a100-sxm-400w",
            "node": "node-1",
            "cpus": 4.0,
            "memory": 16 * 1024**3,
        },
        "nodes": "2..8",
        "topology": {"required": "rack", "preferred": None},
        "array": "0-9%4",
        "dependencies": ["afterok:demo-1"],
        "begin": datetime(2026, 3, 1, 5, tzinfo=UTC),
        "deadline": datetime(2026, 3, 2, 5, tzinfo=UTC),
        "estimate": 2700.0,
        "time_limit": 5400.0,
        "retry": {"max_failures": 2, "backoff": 10.0},
        "flex": 3,
        "checkpoint": {"interval": 600.0, "keep": 3},
        "power": {"cap_ok": False, "min_cap_w": 150.0},
        "notify": {
            "url": "https://hooks.example.org/barq",
            "on": ["end"],
            "secret": "0123456789abcdef",
            "secret_env": None,
        },
    }


def test_one_line_is_a_job() -> None:
    """All but the entrypoint has a default, and it runs where the file lies."""
    [job] = read("entrypoint: python train.py")

    assert (job.name, job.kind, job.flex, job.nodes, job.resources.gpus) == ("job", "training", 4, 1, 1)
    assert job.checkpoint.interval == "auto"
    assert job.working_dir == str(FOLDER)


def test_what_was_read_reads_the_same_again() -> None:
    """The JSON of a request is a request: what the API stores can be submitted once more."""
    [job] = read(FULL)

    assert parse_job(json.loads(job.model_dump_json(exclude_unset=True))) == job


def test_a_list_of_arguments_is_an_entrypoint() -> None:
    """No shell is needed to run a program with odd arguments."""
    [job] = read("entrypoint: [python, train.py, 'a b']")

    assert job.entrypoint == ["python", "train.py", "a b"]


def test_several_documents_and_lists_are_several_jobs_in_order() -> None:
    """One file may describe a whole experiment; empty documents are nothing."""
    text = "---\nentrypoint: a\n---\n---\n- entrypoint: b\n- entrypoint: c\n---\n"

    assert [job.entrypoint for job in read(text)] == ["a", "b", "c"]


def test_json_is_read_as_json(tmp_path: Path) -> None:
    """Tabs and surrogate pairs, which YAML readers trip over, are plain JSON."""
    file = tmp_path / "jobs.json"
    file.write_text('[\n\t{"entrypoint": "echo \\ud83d\\ude00", "working_dir": "/srv"}\n]')

    [job] = load_job_file(file)

    assert job.entrypoint == "echo \N{GRINNING FACE}"
    assert job.working_dir == "/srv"


def test_a_relative_folder_is_the_files_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It means the same from wherever the file is submitted, and is absolute when it is sent."""
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "job.yaml").write_text("entrypoint: a\nworking_dir: src\n")
    monkeypatch.chdir(tmp_path)

    [job] = load_job_file("project/job.yaml")

    assert job.working_dir == str(tmp_path / "project" / "src")


@pytest.mark.parametrize(
    "lines, upload",
    [
        ("working_dir: src", True),
        ("working_dir: .", True),
        ("working_dir: /srv/src", None),
        ("working_dir: ~/src", None),
        ("name: x", None),
        ("working_dir: src\nupload: false", False),
        ("working_dir: /srv/src\nupload: true", True),
    ],
)
def test_a_folder_that_is_written_relative_is_sent(lines: str, upload: bool | None) -> None:
    """It is the submitter's; an absolute one is a path on the nodes; the file may say otherwise."""
    [job] = read(f"entrypoint: a\n{lines}\n")

    assert job.upload is upload


def test_a_home_folder_is_the_submitters(monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` is expanded where the person sits, not where the job runs."""
    monkeypatch.setenv("HOME", "/home/ada")

    [job] = read("entrypoint: a\nworking_dir: ~/src")

    assert job.working_dir == "/home/ada/src"


def test_words_that_old_yaml_changes_stay_words() -> None:
    """Norway stays `no`, a time stays a time and a zip code keeps its zero."""
    [job] = read("entrypoint: 1:30\nname: no\nenv: {COUNTRY: NO, ZIP: 01234, DAY: 2026-01-01, N: -5}")

    assert job.entrypoint == "1:30"
    assert job.name == "no"
    assert job.env == {"COUNTRY": "NO", "ZIP": "01234", "DAY": "2026-01-01", "N": "-5"}


def test_a_time_without_offset_is_utc() -> None:
    """As the field's description says."""
    [job] = read("entrypoint: a\nbegin: 2026-03-01 06:00")

    assert job.begin == datetime(2026, 3, 1, 6, tzinfo=UTC)


def test_a_deadline_is_a_time_or_a_duration_from_the_submission_on() -> None:
    """Seconds are a duration, as they are everywhere."""
    written = ("2026-03-01", "2026-03-01 06:00", '"6h"', "90", "1h30m")

    assert [read(f"entrypoint: a\ndeadline: {text}")[0].deadline for text in written] == [
        datetime(2026, 3, 1, tzinfo=UTC),
        datetime(2026, 3, 1, 6, tzinfo=UTC),
        21_600.0,
        90.0,
        5400.0,
    ]


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """A missing file, a folder and a name that no file can have."""
    for path in (tmp_path / "none.yaml", tmp_path, tmp_path / "a\0b"):
        with pytest.raises(JobFileError, match="cannot be read"):
            load_job_file(path)


def test_a_job_file_may_come_through_a_pipe(tmp_path: Path) -> None:
    """So that `<(generate)` of a shell can be submitted."""
    reading, writing = os.pipe()
    os.write(writing, b"entrypoint: a\nworking_dir: /srv\n")
    os.close(writing)

    [job] = load_job_file(f"/dev/fd/{reading}")
    os.close(reading)

    assert job.entrypoint == "a"


def test_yaml_and_json_agree_on_plain_values() -> None:
    """One document, two spellings, the same meaning."""
    text = '{"a": [1, -2.5, 1e3, true, false, null, "no", ""], "b": {"c": "1:30"}}'

    [document] = read_yaml(text)

    assert document.value == read_json(text).value


def test_lines_are_known_for_each_part() -> None:
    """A part that is not there gets the line of what should hold it."""
    [document] = read_yaml("a:\n  - x\n  - y: 1\n")

    assert document.line_of(("a", 1, "y")) == 3
    assert document.line_of(("a", 1, "z")) == 3
    assert document.line_of(("q",)) == 1
