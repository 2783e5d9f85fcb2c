"""Where the site is: from the environment, or from the state directory of the site on this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from barq.errors import InvalidInput, Unauthorized, Unreachable
from barq.location import SITE_USER, Location, find_site
from barq.profiles import Profile, Profiles, save_profiles
from scheduler.store import tables

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
    assert find_site({"BARQ_STATE": str(state)}) == Location(url=HERE, token=LOCAL, user=SITE_USER)


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


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment whose home has a current profile "lab", another one "hall", and no site."""
    (tmp_path / "home").mkdir()
    environ = {"HOME": str(tmp_path / "home")}
    both = Profiles().with_one("hall", Profile(url="https://hall.test", token="of-hall"))  # noqa: S106
    save_profiles(environ, both.with_one("lab", Profile(url="https://lab.test", token="of-lab", user="ada")))  # noqa: S106
    return environ


LAB = Location(url="https://lab.test", token="of-lab", user="ada")  # noqa: S106
HALL = Location(url="https://hall.test", token="of-hall")  # noqa: S106


@pytest.mark.parametrize(
    "profile,variables,here,there,found",
    [
        ("hall", "BARQ_URL BARQ_TOKEN BARQ_STATE BARQ_PROFILE", True, True, HALL),
        (None, "BARQ_URL BARQ_TOKEN BARQ_STATE BARQ_PROFILE", True, True, Location(url=AWAY, token=MINE)),
        (None, "BARQ_URL BARQ_PROFILE", True, False, Location(url=AWAY, token=None)),
        (None, "BARQ_STATE BARQ_PROFILE", True, True, Location(url=HERE, token=LOCAL, user=SITE_USER)),
        (None, "BARQ_STATE BARQ_PROFILE", True, False, HALL),
        (None, "BARQ_PROFILE", True, False, HALL),
        (None, "BARQ_PROFILE BARQ_TOKEN", False, False, HALL),
        (None, "", True, False, Location(url=HERE, token=LOCAL, user=SITE_USER)),
        (None, "", False, False, LAB),
        (None, "BARQ_TOKEN", False, False, LAB),
    ],
)
def test_who_names_a_site_gets_that_one(  # noqa: PLR0917 - a table
    home: dict[str, str],
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
    profile: str | None,
    variables: str,
    here: bool,
    there: bool,
    found: Location,
) -> None:
    """The profile of the command, the address, the state directory, the variable, the site here, the last login."""
    monkeypatch.setenv("HOME", home["HOME"])
    if here:
        (Path(home["HOME"]) / ".barq").symlink_to(state)
    place = state if there else state / "nothing"
    said = {"BARQ_URL": AWAY, "BARQ_TOKEN": MINE, "BARQ_STATE": str(place), "BARQ_PROFILE": "hall"}

    assert find_site({**home, **{name: said[name] for name in variables.split()}}, profile) == found


def test_the_sites_own_token_names_whom_the_store_does() -> None:
    """One name for it on both sides."""
    assert tables.SITE_USER == SITE_USER


def test_a_named_place_without_a_site_is_not_replaced_by_another(
    home: dict[str, str], tmp_path: Path
) -> None:
    """A slip in BARQ_STATE must not send a command to the site of the last login."""
    with pytest.raises(Unreachable, match=r"no site runs here.*`barq up`.*`barq login URL`.*BARQ_URL"):
        find_site({**home, "BARQ_STATE": str(tmp_path / "slip")})


@pytest.mark.parametrize("variables", [{"BARQ_PROFILE": "moon"}, {}])
def test_a_profile_that_there_is_not_is_told(home: dict[str, str], variables: dict[str, str]) -> None:
    """And what there is, is one command away."""
    with pytest.raises(InvalidInput, match="there is no profile 'moon'; `barq profiles` lists them"):
        find_site({**home, **variables}, None if variables else "moon")
