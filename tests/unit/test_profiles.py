"""The sites that a person logged in to: kept for their owner alone, whole or not at all."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from barq.errors import BarqError, InvalidInput
from barq.profiles import Profile, Profiles, load_profiles, profiles_file, save_profiles

LAB = Profile(url="https://lab.test", token="barq_lab", user="ada", role="researcher")  # noqa: S106
HALL = Profile(url="https://hall.test", token="barq_hall", user="ada", role="operator")  # noqa: S106


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment with a home of its own."""
    return {"HOME": str(tmp_path / "home")}


def test_profiles_come_back_as_they_were_kept(environ: dict[str, str]) -> None:
    """None at first; the last one that was added is the current one."""
    assert load_profiles(environ) == Profiles()

    path = save_profiles(environ, Profiles().with_one("lab", LAB).with_one("hall", HALL))

    kept = load_profiles(environ)
    assert (kept.current, dict(kept.named)) == ("hall", {"lab": LAB, "hall": HALL})
    assert path == Path(environ["HOME"], ".config", "barq", "profiles.json") == profiles_file(environ)


def test_only_their_owner_can_read_them(environ: dict[str, str]) -> None:
    """Also when a file of that name was left for others to read; no part of a write stays behind."""
    path = save_profiles(environ, Profiles().with_one("lab", LAB))
    path.chmod(0o644)
    save_profiles(environ, Profiles().with_one("hall", HALL))

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["profiles.json"]
    assert "barq_lab" not in repr(LAB)


def test_the_configuration_may_lie_elsewhere(tmp_path: Path) -> None:
    """Where XDG_CONFIG_HOME says; without any home there is none."""
    environ = {"HOME": "/nowhere", "XDG_CONFIG_HOME": str(tmp_path)}

    assert save_profiles(environ, Profiles().with_one("lab", LAB)) == tmp_path / "barq" / "profiles.json"
    assert load_profiles({}) == Profiles()
    with pytest.raises(BarqError, match="set HOME or XDG_CONFIG_HOME"):
        save_profiles({}, Profiles())


def test_a_profile_is_forgotten_and_chosen_by_its_name() -> None:
    """Without the current one there is none until one is chosen; an unknown name lists what to do."""
    both = Profiles().with_one("lab", LAB).with_one("hall", HALL)

    rest = both.without("hall")
    assert (rest.current, dict(rest.named)) == (None, {"lab": LAB})
    assert rest.using("lab").current == "lab"
    assert both.without("lab").current == "hall"
    with pytest.raises(InvalidInput, match="there is no profile 'moon'; `barq profiles` lists them"):
        both.using("moon")
    with pytest.raises(InvalidInput, match="'a/b' is no name"):
        both.with_one("a/b", LAB)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"current": 1, "profiles": {}}',
        '{"current": null, "profiles": []}',
        '{"current": null, "profiles": {"lab": 1}}',
        '{"current": null, "profiles": {"lab": {"url": 1, "token": "x"}}}',
        '{"current": null, "profiles": {"lab": {"colour": "red"}}}',
    ],
)
def test_a_file_that_makes_no_sense_is_told(environ: dict[str, str], text: str) -> None:
    """It is named, with what to do, and not written over."""
    path = save_profiles(environ, Profiles())
    path.write_text(text, "utf-8")

    with pytest.raises(
        BarqError, match=r"profiles\.json does not hold profiles: .*; correct it, or remove it"
    ):
        load_profiles(environ)


def test_a_current_profile_that_is_not_there_is_none(environ: dict[str, str]) -> None:
    """A file that was edited by hand may say so."""
    path = save_profiles(environ, Profiles())
    path.write_text('{"current": "moon", "profiles": {}}', "utf-8")

    assert load_profiles(environ).current is None
