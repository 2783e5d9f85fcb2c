"""What a person or a script may write by mistake, or on purpose: exit code 2 or 3 and a sentence, never a trace."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from barq.cli.job_text import job_line
from barq.client import Client
from barq.errors import BarqError, InvalidInput, Unauthorized
from barq.jobfile import MAX_FILE_BYTES
from barq.location import find_site
from tests.busy_site import barq as run_barq, busy_site

if TYPE_CHECKING:
    from barq.views import JobView

TRUE = ("--", "true")
WRONG: list[tuple[str, ...]] = [
    ("submit", "--gpus", "-1", *TRUE),
    ("submit", "--gpus", "1000000000", *TRUE),
    ("submit", "--gpus", "9" * 400, *TRUE),
    ("submit", "--gpus", "nan", *TRUE),
    ("submit", "--nodes", "0", *TRUE),
    ("submit", "--topology", "rack", *TRUE),
    ("submit", "--topology", "required=", *TRUE),
    ("submit", "--topology", "required=No Rack", *TRUE),
    ("plan", "--topology", "required=rack=4", *TRUE),
    ("submit", "--name", "a\0b", *TRUE),
    ("submit", "--name", "../x", *TRUE),
    ("submit", "--name", "\udcff", *TRUE),
    ("submit", "--", "a\0b"),
    ("submit", "--", "\udcff"),
    ("submit", "--", "x" * 200_000),
    ("submit", "--env", "A=\0", *TRUE),
    ("submit", "--env", "A=1", "--env", "A=2", *TRUE),
    ("submit", "--env", "=1", *TRUE),
    ("submit", "--time-limit", "1e999", *TRUE),
    ("submit", "--priority", "1e9", *TRUE),
    ("submit", "/dev/zero"),
    ("submit", "/"),
    ("submit", "/nowhere\0"),
    ("show", "x" * 100_000),
    ("jobs", "--limit", "-1"),
    ("jobs", "--limit", "9" * 50),
    ("logs", "1", "--tail", "-1"),
    ("wait", "3", "--timeout", "nan"),
    ("wait", "3", "--timeout", "1e999"),
    ("power", "limit", "nanW", "--reason", "x"),
    ("power", "limit", "9" * 400 + "W", "--reason", "x"),
    ("power", "limit", "5kW", "--reason", "\udcff"),
    ("power", "limit", "5kW", "--reason", "x", "--for", "0s"),
    ("power", "limit", "5kW", "--reason", "x", "--for", "9" * 50),
]


@pytest.mark.parametrize("words", WRONG, ids=range(len(WRONG)))
def test_wrong_words_are_wrong_use(words: tuple[str, ...]) -> None:
    """The site hears of none of them but what it could refuse itself."""
    result = run_barq(busy_site(), *words)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.strip()
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("job_id", ["\0", "", "?a=b#c", "%2e%2e", "é" * 50, "\udcff"])
def test_an_odd_id_is_that_of_no_job(job_id: str) -> None:
    """As one that is misspelt."""
    result = run_barq(busy_site(), "show", job_id)

    assert result.exit_code == 3
    assert "there is no job" in result.stderr


def test_an_endless_stdin_is_not_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """No further than a job file may be long."""
    endless = io.BytesIO(b"#" * (2 * MAX_FILE_BYTES))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(endless))
    from barq.cli.job_fields import _load

    with pytest.raises(InvalidInput, match="larger than"):
        _load("-")
    assert endless.tell() <= MAX_FILE_BYTES + 1


@pytest.mark.parametrize("token", ["é", "a\nb", "a\0", "\udcff", "a\tb"])
def test_a_token_that_cannot_be_one_is_told_and_not_shown(token: str) -> None:
    """From BARQ_TOKEN or a file that was cut."""
    with pytest.raises(Unauthorized) as caught:
        Client("http://127.0.0.1:1", token)
    assert token not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "nowhere",
        "ftp://x",
        "http://",
        "http://x:0",
        "http://x:99999",
        "http://[",
        "http://\udcff",
        "http://a b",
    ],
)
def test_an_address_that_is_none_is_told(url: str) -> None:
    """From BARQ_URL."""
    with pytest.raises(BarqError) as caught:
        Client(find_site({"BARQ_URL": url, "BARQ_TOKEN": "t"}).url, "t")
    assert caught.value.remedy


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b"\xff", b"[" * 100_000, b'{"api_url": 5}', b"{}"], ids=range(6)
)
def test_an_address_file_of_nonsense_is_told(tmp_path: Path, content: bytes) -> None:
    """From the state directory."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "api.json").write_bytes(content)

    with pytest.raises(BarqError) as caught:
        find_site({"BARQ_STATE": str(tmp_path)})
    assert caught.value.remedy


@pytest.mark.parametrize("state", ["a\0b", "x" * 5000, "~nobody-has-this-name/x", "/dev/null"], ids=range(4))
def test_a_state_directory_that_can_be_none_is_told(state: str) -> None:
    """From BARQ_STATE."""
    with pytest.raises(BarqError) as caught:
        find_site({"BARQ_STATE": state})
    assert caught.value.remedy


@pytest.mark.parametrize(
    "state, desired, line",
    [
        ("PENDING", "CANCEL", "s-1 PENDING, to be cancelled"),
        ("RUNNING", "HOLD", "s-1 RUNNING, to be held"),
        ("PREEMPTING", "CANCEL", "s-1 PREEMPTING, to be cancelled"),
        ("CANCELLING", "CANCEL", "s-1 CANCELLING"),
        ("HELD", "HOLD", "s-1 HELD"),
        ("PENDING", "RUN", "s-1 PENDING (no power)"),
    ],
)
def test_what_was_asked_of_a_job_is_said_before_it_has_happened(state: str, desired: str, line: str) -> None:
    """Whoever cancels a job is not told why it waits to start."""
    waits = desired == "RUN"
    job: dict[str, object] = {
        "id": "s-1",
        "state": state,
        "desired": desired,
        "placements": [],
        "reason": {"code": "PowerUnavailable", "text": "no power", "numbers": {}} if waits else None,
    }

    assert job_line(cast("JobView", job)) == line
