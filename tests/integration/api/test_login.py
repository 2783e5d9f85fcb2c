"""A person's way in: an operator makes a token, its user logs in from elsewhere, works, and leaves."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from barq.cli import app

Type = Callable[..., Result]


@pytest.fixture
def operator(state: Path, url: str, tmp_path: Path) -> Type:
    """`barq`, typed on the machine of the site."""
    assert url
    return typing(tmp_path / "operator", BARQ_STATE=str(state))


@pytest.fixture
def ada(tmp_path: Path) -> Type:
    """`barq`, typed on a machine without a site."""
    return typing(tmp_path / "ada")


def typing(home: Path, **environ: str) -> Type:
    """`barq` in a home of its own; nothing else of this machine's settings is seen."""
    home.mkdir()
    mine = {"HOME": str(home), "XDG_CONFIG_HOME": None, "BARQ_URL": None, "BARQ_TOKEN": None}
    mine |= {"BARQ_STATE": None, "BARQ_PROFILE": None, **environ}

    def barq(*words: str, **options: Any) -> Result:
        return CliRunner().invoke(app, words, prog_name="barq", env=mine, **options)

    return barq


def told(result: Result) -> Any:
    """The JSON that was printed, and nothing else."""
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_from_a_new_token_to_a_job_and_out_again(operator: Type, ada: Type, url: str, tmp_path: Path) -> None:
    """Create, log in from a pipe, submit, look, log out."""
    made = operator("token", "create", "--user", "ada", "--role", "researcher", "--expires", "90d", "-q")
    text = made.stdout.strip()
    assert (made.exit_code, made.stderr, text.startswith("barq_")) == (0, "", True)

    login = ada("login", url, input=made.stdout)
    assert (login.exit_code, login.stderr) == (0, "")
    assert login.stdout.startswith(f"t: ada (researcher) at {url}, token ada, ends ")
    assert text not in login.stdout + login.stderr
    kept = tmp_path / "ada" / ".config" / "barq" / "profiles.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600

    [job] = told(ada("submit", "--json", "--", "true"))
    assert job["owner"] == "ada"
    operator("submit", "--", "true")
    assert ada("jobs", "--mine", "-q").stdout == "t-1\n"
    assert ada("jobs", "--owner", "site", "-q").stdout == "t-2\n"
    forbidden = ada("cancel", "2")
    assert (forbidden.exit_code, forbidden.stdout) == (4, "")
    assert "t-2, a job of site, is not for ada with the role researcher" in forbidden.stderr

    assert told(ada("logout", "--json"))["name"] == "t"
    assert "barq login URL" in ada("jobs").stderr
    assert text not in kept.read_text("utf-8")


def test_several_sites_are_told_apart_by_their_profiles(operator: Type, ada: Type, url: str) -> None:
    """The last login is the current one; others are chosen for one command, or for all that follow."""
    for name, role in (("look", "viewer"), ("work", "researcher")):
        text = operator("token", "create", "--user", "ada", "--role", role, "-q").stdout
        assert ada("login", url, "--profile", name, input=text).exit_code == 0

    listed = told(ada("profiles", "--json"))
    assert [(one["name"], one["role"], one["current"]) for one in listed] == [
        ("look", "viewer", False),
        ("work", "researcher", True),
    ]
    words = ("submit", "-q", "--", "true", "--profile", "x")
    assert ada(*words).stdout == "t-1\n"
    for chosen in (("--profile", "look", *words), ("submit", "--profile=look", *words[1:])):
        assert "is not for ada with the role viewer" in ada(*chosen).stderr
    assert ada("nodes", "--profile", "moon").exit_code == 2
    assert ada("profiles", "--use", "look", "-q").stdout == "look\nwork\n"
    assert ada(*words).exit_code == 4
    assert "*  look     ada   viewer      without end" in ada("profiles").stdout


def test_a_token_is_read_from_a_file(operator: Type, ada: Type, url: str, tmp_path: Path) -> None:
    """One that is no token, or is not known, leaves nothing behind."""
    file = tmp_path / "token.txt"
    file.write_text(operator("token", "create", "--user", "ada", "--role", "viewer", "-q").stdout, "utf-8")
    assert told(ada("login", url, "--token-file", str(file), "--json"))["user"] == "ada"

    for text, code, why in (
        ("", 2, "no token"),
        ("two words", 2, "no token"),
        ("barq_x", 4, "does not know"),
    ):
        refused = ada("login", url, "--profile", "other", "--token-file", "-", input=text)
        assert (refused.exit_code, refused.stdout) == (code, "")
        assert why in refused.stderr
    assert ada("login", url, "--token-file", "/nothing").exit_code == 2
    assert ada("profiles", "-q").stdout == "t\n"


def test_a_site_of_the_same_name_is_not_written_over(operator: Type, ada: Type, url: str) -> None:
    """Two sites may be called alike: the person says what to call the second."""
    text = operator("token", "create", "--user", "ada", "--role", "viewer", "-q").stdout
    assert ada("login", url, input=text).exit_code == 0

    again = ada("login", f"{url}/", input=text)
    assert again.exit_code == 2
    assert "there is a profile 't' already" in again.stderr
    assert ada("login", f"{url}/", "--profile", "t", input=text).exit_code == 0


def test_tokens_are_listed_and_revoked(operator: Type) -> None:
    """For people, for programs, and one by one what cannot be done is told."""
    made = told(
        operator("token", "create", "--user", "ada", "--role", "viewer", "--name", "laptop", "--json")
    )
    shown = operator("token", "create", "--user", "bob", "--role", "operator", "--expires", "30m")

    assert made["token"] not in operator("token", "list").stdout
    assert "it cannot be shown again" in shown.stderr
    assert shown.stdout.startswith("barq_")
    assert shown.stdout.count("\n") == 1
    assert operator("token", "list", "-q").stdout == "bob\nlaptop\nsite\n"
    revoked = operator("token", "revoke", "laptop", "moon", "bob")
    assert revoked.exit_code == 3
    assert revoked.stdout == "revoked laptop of ada: viewer\nrevoked bob of bob: operator\n"
    assert "there is no token named 'moon'" in revoked.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("--user", "ada", "--role", "king"),
        ("--user", "ada", "--role", "viewer", "--expires", "90"),
        ("--user", "ada", "--role", "viewer", "--expires", "0s"),
        ("--user", "a b", "--role", "viewer"),
        ("--role", "viewer"),
    ],
)
def test_a_token_that_makes_no_sense_is_not_made(operator: Type, words: tuple[str, ...]) -> None:
    """Whether the command line sees it or the site."""
    assert operator("token", "create", *words).exit_code == 2
    assert operator("token", "list", "-q").stdout == "site\n"


def test_who_logs_in_where_a_site_runs_is_told_where_commands_go(operator: Type, url: str) -> None:
    """The site here comes first, so a profile of another one has to be named."""
    text = operator("token", "create", "--user", "olga", "--role", "operator", "-q").stdout
    other = url.replace("127.0.0.1", "localhost")

    result = operator("login", other, "--profile", "far", input=text)

    assert (result.exit_code, result.stderr) == (
        0,
        f"note: from here commands go to {url}; --profile far leads to this site\n",
    )
    assert told(operator("jobs", "--mine", "--profile", "far", "--json")) == []


def test_an_open_line_is_warned_of(ada: Type) -> None:
    """Plain HTTP to another machine shows the token to whoever is on the way."""
    result = ada("login", "http://site.test:8470", input="\n")

    assert result.exit_code == 2  # no token: nothing was asked of anybody
    assert result.stderr.startswith("warning: http://site.test:8470 is not encrypted")
    assert "warning" not in ada("login", "https://site.test", input="\n").stderr
