"""What verbs ask of the site: submit, wait, control, limits, logs."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from barq.answers import DROPPED
from barq.package import Package
from tests.busy_site import barq, busy_site
from tests.stub_site import finished, problem, running


def test_a_limit_stands_until_released() -> None:
    """Only --for makes it end by itself."""
    site = busy_site()
    stands = barq(site, "power", "limit", "200kW", "--reason", "feeder work")
    ends = barq(site, "power", "limit", "200kW", "--reason", "feeder work", "--for", "1h30m")
    released = barq(site, "power", "release", "--reason", "done")

    assert stands.stdout == "limit 3: the site is limited to 200 kW until `barq power release`\n"
    assert ends.stdout == "limit 3: the site is limited to 200 kW for 1 h 30 min\n"
    assert released.stdout == "released limit 3: 200 kW, feeder work\n"
    asked = {"limit_w": 200_000.0, "reason": "feeder work"}
    assert [body for _, body in site.asked()] == [asked, {**asked, "for_s": 5400.0}, {"reason": "done"}]


def test_releasing_nothing_is_talk() -> None:
    """No limit stood: fine, and said."""
    site = busy_site()
    site.on("POST", "/power/release", {"released": []})

    result = barq(site, "power", "release")

    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "no limit stood\n")


def test_one_limit_is_released_by_its_id() -> None:
    """Those of others stay."""
    site = busy_site()
    released = {"id": "3", "limit_w": 2e5, "reason": "feeder work"}
    site.on("POST", "/power/release", {"released": [released]})

    result = barq(site, "power", "release", "3", "--reason", "done")

    assert (result.exit_code, result.stdout) == (0, "released limit 3: 200 kW, feeder work\n")
    assert site.asked()[-1][1] == {"reason": "done", "id": "3"}


def test_a_command_is_submitted_from_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What follows -- is the command, word by word; options become the job file's fields."""
    site = busy_site()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOKEN_OF_MINE", "x=y")
    options = ["--gpus", "2", "--nodes", "1", "--name", "x", "--priority", "5", "--flex", "3", "--after", "3"]
    options += ["--env", "A=b=c", "--env", "TOKEN_OF_MINE", "--time-limit", "1h", "--max-failures", "2"]
    options += ["--deadline", "2026-03-02T06:00+01:00", "--estimate", "45m"]

    result = barq(site, "submit", *options, "--", "python", "train.py", "--epochs", "3", "--json")

    assert result.stdout == "demo-4 PENDING (needs 4.2 kW, 1.1 kW are free)\n"
    assert site.asked() == [
        (
            "/api/v1/jobs",
            {
                "entrypoint": ["python", "train.py", "--epochs", "3", "--json"],
                "working_dir": str(tmp_path),
                "name": "x",
                "resources": {"gpus": 2},
                "nodes": 1,
                "priority": 5,
                "flex": 3,
                "env": {"A": "b=c", "TOKEN_OF_MINE": "x=y"},
                "deadline": "2026-03-02T05:00:00Z",
                "estimate": 2700.0,
                "time_limit": 3600.0,
                "retry": {"max_failures": 2},
                "dependencies": ["afterok:demo-3"],
            },
        )
    ]


def test_options_win_over_files(tmp_path: Path) -> None:
    """Several files are one batch; an option replaces a value, and adds to tables and lists."""
    site = busy_site()
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text("entrypoint: a\npriority: 1\nenv: {A: a, B: b}\nresources: {cpus: 4}\n")
    second.write_text("entrypoint: b\ndependencies: [afterok:demo-1]\n")

    result = barq(
        site,
        "submit",
        str(first),
        str(second),
        "--priority",
        "9",
        "--env",
        "B=z",
        "--gpus",
        "2",
        "--after",
        "3",
    )

    assert result.exit_code == 0, result.stderr
    [(path, body)] = site.asked()
    one, two = body["jobs"]
    assert path == "/api/v1/jobs:batch"
    assert (one["priority"], one["env"], one["resources"]) == (
        9,
        {"A": "a", "B": "z"},
        {"cpus": 4.0, "gpus": 2},
    )
    assert two["dependencies"] == ["afterok:demo-1", "afterok:demo-3"]
    assert {one["working_dir"], two["working_dir"]} == {str(tmp_path)}


def test_a_relative_folder_is_sent_and_an_absolute_one_is_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One send for all jobs that want the folder; the jobs name its package. --no-upload leaves it where it is."""
    site = busy_site()
    site.on("GET", "/uploads", {"limit_bytes": 1000}).on("POST", "/uploads/missing", {"missing": []})
    (tmp_path / "src").mkdir()
    (tmp_path / "job.yaml").write_text(
        "- {entrypoint: a, working_dir: src}\n- {entrypoint: b, working_dir: src}\n"
    )
    package = Package(files=()).id
    site.on("PUT", f"/uploads/packages/{package}", {})
    monkeypatch.chdir(tmp_path)

    for options in (
        ["job.yaml"],
        ["--working-dir", "src", "--", "a"],
        ["--working-dir", "src/../src", "job.yaml"],
    ):
        assert barq(site, "submit", *options).exit_code == 0
    assert [path for path, _ in site.asked("PUT")] == [f"/api/v1/uploads/packages/{package}"] * 3
    first, second, third = (body for path, body in site.asked() if path.startswith("/api/v1/jobs"))
    assert first["jobs"] == third["jobs"] == [{"entrypoint": one, "package": package} for one in "ab"]
    assert second == {"entrypoint": ["a"], "package": package}

    stays = ["--working-dir", "src", "--no-upload"]
    assert barq(site, "submit", *stays, "--", "a").exit_code == 0
    assert barq(site, "submit", "--working-dir", str(tmp_path), "--", "a").exit_code == 0
    bodies = [body for path, body in site.asked() if path == "/api/v1/jobs"][1:]
    assert [body["working_dir"] for body in bodies] == [str(tmp_path / "src"), str(tmp_path)]


def test_a_job_file_may_come_from_stdin() -> None:
    """- is stdin."""
    site = busy_site()
    result = barq(site, "submit", "-", "-q", input="entrypoint: 'true'\nname: piped\n")

    assert result.stdout == "demo-4\n"
    assert site.asked()[0][1]["name"] == "piped"


def test_submit_can_wait() -> None:
    """Changes are told on stderr, the end on stdout, and the exit code is the job's."""
    site = busy_site()
    site.on("GET", "/jobs/demo-4", running(4), finished(4, "FAILED"))

    result = barq(site, "submit", "--wait", "--", "false")

    assert result.exit_code == 1
    assert result.stderr.splitlines()[1:] == ["demo-4 RUNNING node-1", "demo-4 FAILED"]
    assert result.stdout.splitlines()[1].startswith("demo-4  train  FAILED")


@pytest.mark.parametrize("ids,code", [(["3"], 0), (["3", "4"], 1), (["2", "--timeout", "1s"], 1), (["9"], 3)])
def test_wait_exits_as_the_jobs_did(monkeypatch: pytest.MonkeyPatch, ids: list[str], code: int) -> None:
    """0 if all succeeded, 1 if one did not or time ran out, 3 if there is none such."""
    site = busy_site()
    site.jobs["demo-4"] = finished(4, "CANCELLED")
    ticks = iter(range(1000))
    monkeypatch.setattr("barq.client.time.monotonic", lambda: float(next(ticks)))

    assert barq(site, "wait", *ids).exit_code == code


def test_what_can_be_done_is_done() -> None:
    """One bad id among several stops nothing, is told, and decides the exit code."""
    site = busy_site()
    site.on("POST", "/jobs/demo-2/cancel", problem(409, "refused_final", "demo-2 is SUCCEEDED"))

    result = barq(site, "cancel", "99", "2", "1", "-q")

    assert (result.exit_code, result.stdout) == (3, "demo-1\n")
    assert len(result.stderr.splitlines()) == 2


def test_logs_are_printed_as_they_are() -> None:
    """Byte for byte, and -f and --tail reach the site."""
    site = busy_site()
    result = barq(site, "logs", "1", "-f", "--tail", "5")

    assert result.stdout == "step 1\nstep 2 ✓\n"
    assert {"follow": "true", "tail": "5"} in [dict(request.url.params) for request in site.requests]
    assert result.stderr.startswith("demo-1 ")  # and how it ended
    assert barq(site, "logs", "1").stderr == ""


def test_logs_begin_with_how_much_of_the_start_is_gone() -> None:
    """Beside the job's own text, which stays as it is."""
    site, headers = busy_site(), {DROPPED: "10485760"}
    site.on("GET", "/jobs/demo-1/logs", httpx.Response(200, text="step 9\n", headers=headers))

    result, as_json = barq(site, "logs", "1"), barq(site, "logs", "1", "--json")

    said = "the first 10.5 MB of this output are gone: only the newest part of a log is kept\n"
    assert (result.stdout, result.stderr) == ("step 9\n", said)
    assert json.loads(as_json.stdout)["text"] == "step 9\n"
    assert as_json.stderr == ""
