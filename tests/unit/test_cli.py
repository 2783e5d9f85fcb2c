"""The command line as a whole: formats, exit codes, wrong use, help."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest
from typer.testing import CliRunner

import barq.cli
from barq.cli import app
from tests.busy_site import barq as run_barq, busy_site
from tests.stub_site import problem

HEAVY = {"rich", "httpx", "pydantic", "yaml", "ray", "fastapi", "sqlmodel", "torch"}
HEAVY |= {"barq.client", "barq.jobfile", "barq.cli.jobs", "barq.cli.up", "scheduler", "workers", "api"}
VERBS = [
    ("submit", "--", "true"),
    ("jobs",),
    ("jobs", "--all"),
    ("show", "1"),
    ("why", "1"),
    ("plan", "--", "true"),
    ("logs", "1"),
    ("events", "1"),
    ("wait", "3"),
    ("cancel", "1", "2"),
    ("hold", "1"),
    ("release", "1"),
    ("nodes",),
    ("project", "list"),
    ("power",),
    ("power", "limit", "200kW", "--reason", "feeder work"),
    ("power", "release"),
]


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_json_is_exactly_one_value(words: tuple[str, ...]) -> None:
    """Whatever a verb prints with --json is one JSON value, and nothing else is on stdout."""
    site = busy_site()
    at = words.index("--") if "--" in words else len(words)

    result = run_barq(site, *words[:at], "--json", *words[at:])

    assert (result.exit_code, result.stderr) == (0, "")
    json.loads(result.stdout)
    assert result.stdout.count("\n") == 1


@pytest.mark.parametrize(
    "words,ids",
    [
        (("submit", "-q", "--", "true"), ["demo-4"]),
        (("jobs", "-q"), ["demo-1", "demo-2", "demo-3"]),
        (("show", "2", "-q"), ["demo-2"]),
        (("why", "1", "--quiet"), ["demo-1"]),
        (("plan", "-q", "--", "true"), ["starts_now"]),
        (("events", "1", "-q"), ["7"]),
        (("wait", "3", "-q"), ["demo-3"]),
        (("cancel", "1", "2", "-q"), ["demo-1", "demo-2"]),
        (("nodes", "-q"), ["node-1", "miners"]),
        (("power", "-q"), ["3"]),
        (("power", "limit", "1kW", "--reason", "x", "-q"), ["3"]),
        (("power", "release", "-q"), ["3"]),
        (("jobs", "--state", "HELD", "-q"), []),
    ],
    ids=" ".join,
)
def test_quiet_is_ids_only(words: tuple[str, ...], ids: list[str]) -> None:
    """One id on each line, fit for a shell loop."""
    result = run_barq(busy_site(), *words)

    assert (result.exit_code, result.stdout.splitlines(), result.stderr) == (0, ids, "")


@pytest.mark.parametrize(
    "answer,code",
    [
        (problem(422, "invalid_field", "bad"), 2),
        (problem(404, "node_not_found", "no node"), 3),
        (problem(409, "refused_final", "it has ended"), 4),
        (problem(401, "unauthorized", "no token"), 4),
        (problem(500, "internal", "oops"), 1),
        (httpx.ConnectError("refused"), 5),
        (httpx.ReadTimeout("slow"), 5),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_error_has_its_exit_code(answer: httpx.Response | BaseException, code: int) -> None:
    """One line on stderr, nothing on stdout, no traceback."""
    site = busy_site()
    site.on("GET", "/nodes", answer)

    result = run_barq(site, "nodes", "--json")

    assert (result.exit_code, result.stdout) == (code, "")
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) == (0 if code == 130 else 1)


def test_an_error_names_what_where_and_the_remedy() -> None:
    """All that the site said is one line."""
    site = busy_site()
    said = problem(
        409, "refused_final", "demo-3 is SUCCEEDED", field="id", value="demo-3", remedy="submit it anew"
    )
    site.on("POST", "/jobs/demo-3/cancel", said)

    assert run_barq(site, "cancel", "3").stderr == "barq: demo-3 is SUCCEEDED (id); submit it anew\n"


def test_no_site_is_told_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing runs, nothing is named: exit 5 and what to do."""
    monkeypatch.setenv("BARQ_STATE", str(tmp_path))
    monkeypatch.delenv("BARQ_URL", raising=False)

    result = CliRunner().invoke(app, ["jobs"])

    assert result.exit_code == 5
    assert "barq up" in result.stderr


@pytest.mark.parametrize(
    "words,said",
    [
        (("jobs", "--json", "-q"), "--json and --quiet exclude each other; leave one of them out"),
        (("logs", "1", "-f", "--json"), "--follow and --json exclude each other"),
        (("jobs", "--limit", "0"), "Invalid value for '--limit': \"0\"; write a number of at least 1"),
        (("submit", "--gpus", "x", "--", "true"), "'--gpus': \"x\"; write a whole number"),
        (("power", "release", "feeder"), "'feeder' is no limit (ID); give a number that `barq power` lists"),
        (
            ("power", "limit", "200", "--reason", "x"),
            "POWER: '200' is not a power; write a number and a unit",
        ),
        (("power", "limit", "200kW"), "--reason"),
        (("power", "limit", "1kW", "--reason", "x", "--for", "30"), "--for: '30' has no unit; write"),
        (("power", "limit", "1kW", "--reason", "x", "--for", "0m"), "--for: '0m' is no time at all"),
        (("wait", "3", "--timeout", "soon"), "--timeout: 'soon' is not a duration"),
        (("submit",), "there is no job; name a job file, or write the command after --"),
        (("submit", "a.yaml", "--", "true"), "both 'a.yaml' and a command"),
        (("submit", "nowhere.yaml"), "nowhere.yaml"),
        (("submit", "--gpus", "-1", "--", "true"), "resources.gpus"),
        (("submit", "--flex", "9", "--", "true"), "command line: flex"),
        (("submit", "--env", "NOT_SET_HERE", "--", "true"), "--env: NOT_SET_HERE is not set here"),
        (("submit", "--time-limit", "ages", "--", "true"), "time_limit"),
        (("show", "demo"), "could be demo-1, demo-2, demo-3"),
        (("jbos",), "Did you mean 'jobs'?"),
        (("jobs", "--nonsense"), "No such option"),
        (("show",), "Missing argument"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_use_says_what_is_wrong(words: tuple[str, ...], said: str) -> None:
    """Exit code 2, the option or field by name, and nothing was changed."""
    site = busy_site()

    result = run_barq(site, *words)

    assert result.exit_code == 2
    assert said in result.stderr
    assert site.asked("POST") == []


def test_help_names_every_verb() -> None:
    """Those of the site too, each in one line, without its module being there."""
    lines = CliRunner().invoke(app, ["--help"]).stdout.splitlines()
    listed = {line.split()[0]: line for line in lines[lines.index("Commands:") + 1 :]}

    assert {"submit", "jobs", "why", "power", "up", "down", "demo", "replay"} <= set(listed)
    assert all(len(line.split()) > 2 and line.endswith(".") for line in listed.values())


def test_the_version_is_told() -> None:
    """`barq --version` names the program."""
    assert CliRunner().invoke(app, ["--version"]).stdout.startswith("barq 0.")


def test_python_m_barq_help_loads_nothing_heavy() -> None:
    """Help is quick because it imports no client, no table drawing and no verb."""
    program = (
        "import runpy, sys, atexit; sys.argv = ['barq', '--help'];"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr));"
        "runpy.run_module('barq', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, "Usage: barq" in done.stdout) == (0, True)
    assert not HEAVY & set(done.stderr.split())


def test_a_bug_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A person reads one line; BARQ_DEBUG shows a developer the rest."""

    def broken(**_: Any) -> None:
        raise KeyError("limit_w")

    monkeypatch.setattr(barq.cli, "app", broken)
    monkeypatch.delenv("BARQ_DEBUG", raising=False)

    with pytest.raises(SystemExit) as caught:
        barq.cli.main()

    assert caught.value.code == 1
    assert capsys.readouterr().err == "barq: bug: KeyError: 'limit_w'; BARQ_DEBUG=1 shows where\n"
    monkeypatch.setenv("BARQ_DEBUG", "1")
    with pytest.raises(KeyError):
        barq.cli.main()


def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A laptop without a site's packages is told what to install."""

    def connect() -> NoReturn:
        raise ModuleNotFoundError("No module named 'ray'", name="ray")

    monkeypatch.setattr("barq.cli.nodes.connect", connect)

    result = run_barq(busy_site(), "nodes")

    assert result.exit_code == 1
    assert "needs the package ray, which is not installed" in result.stderr
    assert "barq[site]" in result.stderr


def test_a_closed_pipe_ends_quietly() -> None:
    """`barq --help | head` leaves no traceback."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as stdout:
        done = subprocess.run(
            [sys.executable, "-m", "barq", "--help"],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )

    assert (done.returncode, done.stderr) == (1, "")
