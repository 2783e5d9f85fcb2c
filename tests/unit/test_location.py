"""Where the site is: from the environment, or from the state directory of the site on this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from barq.errors import Unauthorized, Unreachable
from barq.location import Location, find_site

HERE = "http://127.0.0.1:8470"
AWAY = "https://barq.example"
LOCAL, MINE = "the-token-of-the-site-here", "a-token-of-my-own"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state directory of a site that runs here."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "site.json").write_text(
        json.dumps({"api_url": HERE, "ray_address": "127.0.0.1:6379"})
    )
    (tmp_path / "token").write_text(f"{LOCAL}\n")
    return tmp_path


def test_the_site_here_is_found(state: Path) -> None:
    """Without any variable but the state directory, its address and token are used."""
    assert find_site({"BARQ_STATE": str(state)}) == Location(url=HERE, token=LOCAL)


def test_the_default_state_directory_is_in_the_home(monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
    """Nothing set at all means ~/.barq."""
    (state / ".barq").symlink_to(state)
    monkeypatch.setenv("HOME", str(state))

    assert find_site({}).url == HERE


def test_a_newer_address_of_the_api_wins(state: Path) -> None:
    """An API that came back on another port says so in its own file."""
    (state / "run" / "api.json").write_text(json.dumps({"url": "http://127.0.0.1:9"}))

    assert find_site({"BARQ_STATE": str(state)}).url == "http://127.0.0.1:9"


def test_variables_win(state: Path) -> None:
    """BARQ_URL and BARQ_TOKEN need nothing on disk."""
    environ = {"BARQ_STATE": str(state), "BARQ_URL": AWAY, "BARQ_TOKEN": MINE}

    assert find_site(environ) == Location(url=AWAY, token=MINE)


def test_the_local_token_stays_here(state: Path) -> None:
    """The token of the site here is never shown to another address, only to its own."""
    environ = {"BARQ_STATE": str(state)}

    assert find_site({**environ, "BARQ_URL": AWAY}).token is None
    assert find_site({**environ, "BARQ_URL": HERE + "/"}).token == LOCAL


def test_another_token_for_the_site_here(state: Path) -> None:
    """BARQ_TOKEN alone is a person with a token of their own."""
    assert find_site({"BARQ_STATE": str(state), "BARQ_TOKEN": MINE}) == Location(url=HERE, token=MINE)


def test_no_site_says_what_to_do(tmp_path: Path) -> None:
    """Where nothing runs, the remedy is `barq up` or the variables."""
    with pytest.raises(Unreachable, match=r"no site runs here.*`barq up`.*BARQ_URL") as caught:
        find_site({"BARQ_STATE": str(tmp_path)})

    assert caught.value.code == "no_site"


def test_a_broken_address_file_is_told(state: Path) -> None:
    """Half a file is named, not guessed around."""
    (state / "run" / "site.json").write_text("{")

    with pytest.raises(Unreachable, match=r"site\.json does not tell"):
        find_site({"BARQ_STATE": str(state)})


def test_an_unreadable_token_is_told(state: Path) -> None:
    """A token file that cannot be read is a matter of rights, and says whom to ask."""
    (state / "token").unlink()
    (state / "token").mkdir()

    with pytest.raises(Unauthorized, match="BARQ_TOKEN"):
        find_site({"BARQ_STATE": str(state)})


def test_a_site_without_a_token_file_is_asked_without(state: Path) -> None:
    """No token is known: the site says what it thinks of that."""
    (state / "token").unlink()

    assert find_site({"BARQ_STATE": str(state)}).token is None
