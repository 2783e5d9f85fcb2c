"""The runtime of a job: when two are the same, and what is refused before anything is built."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from scheduler.core.jobs import Runtime
from tests.surroundings import write
from workers import runtimes
from workers.runtimes import CannotBuild, Found, make_runtime


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The environments that were built: as empty folders, for what pip does is not looked at here."""
    made: list[Path] = []

    def build(folder: Path, *_: object) -> None:
        folder.mkdir()
        made.append(folder)

    monkeypatch.setattr(runtimes, "_build", build)
    return made


def made(root: Path, files: dict[str, str], *, package: str = "", **runtime: object) -> Found:
    """The runtime of a job with these files."""
    wanted = Runtime(**{"requirements": "r.txt", **runtime})  # type: ignore[arg-type]
    return make_runtime(
        wanted,
        working_dir=write(root / "work", files),
        package=package,
        runtimes=root / "runtimes",
        shims=root / "bin",
        tell=lambda _: None,
    )


def test_the_same_requirements_are_the_same_environment(tmp_path: Path, built: list[Path]) -> None:
    """Whichever package they come in; another text, an included file or another wish make it another one."""
    first = made(tmp_path, {"r.txt": "a==1\n"}, package="p")
    assert made(tmp_path, {"r.txt": "a==1\n"}, package="q") == first
    assert first.path == (f"{first.virtual_env}/bin",)

    others = [
        made(tmp_path, {"r.txt": "a==2\n"}),
        made(tmp_path, {"r.txt": "-r more.txt\n", "more.txt": "b\n"}),
        made(tmp_path, {"r.txt": "-r more.txt\n", "more.txt": "c\n"}),
        made(tmp_path, {"r.txt": "a==1\n"}, inherit=True),
    ]
    assert len({first, *others}) == len(built) == 5


@pytest.mark.parametrize(
    "line", [".", "./lib", "-f wheels", "--find-links=wheels", "a @ file:x.whl", "/srv/x.whl"]
)
def test_requirements_beside_it_belong_to_the_folder(tmp_path: Path, built: list[Path], line: str) -> None:
    """The text alone does not say what would be installed."""
    for package in ("p", "q", "p"):
        made(tmp_path, {"r.txt": f"{line}\n"}, package=package)
    assert len(built) == 2


def test_one_that_was_not_finished_is_built_anew(tmp_path: Path, built: list[Path]) -> None:
    """Only what is marked as complete is used."""
    found = made(tmp_path, {"r.txt": "a\n"})
    Path(f"{found.virtual_env}.done").unlink()
    Path(found.virtual_env).rmdir()

    assert made(tmp_path, {"r.txt": "a\n"}) == found
    assert len(built) == 2


@pytest.mark.parametrize(
    "files, why",
    [
        ({}, "r.txt cannot be read"),
        ({"r.txt": "-r none.txt\n"}, "none.txt cannot be read"),
        ({"r.txt": "-r r.txt\n"}, "includes itself"),
        ({"r.txt": "-e .\n"}, "write the path alone"),
        ({"r.txt": "-r a\n", "a": "--editable=./lib\n"}, "write the path alone"),
    ],
)
def test_requirements_that_cannot_work_are_refused(
    tmp_path: Path, built: list[Path], files: dict[str, str], why: str
) -> None:
    """By name, before anything is built."""
    with pytest.raises(CannotBuild, match=why):
        made(tmp_path, files)
    assert built == []


def test_an_interpreter_that_is_none_is_refused(tmp_path: Path) -> None:
    """It is run once to see."""
    for python in ("/bin/false", "/nowhere/python", str(tmp_path)):
        with pytest.raises(CannotBuild, match="does not run on this node"):
            made(tmp_path, {}, requirements="", python=python)


def test_an_environment_of_the_node_is_known_as_one(tmp_path: Path) -> None:
    """A job finds VIRTUAL_ENV where the interpreter belongs to one; nothing asked for is nothing changed."""
    found = made(tmp_path, {}, requirements="", python=sys.executable)

    assert found.path == (str(tmp_path / "bin"), str(Path(sys.executable).parent))
    assert found.virtual_env == (sys.prefix if sys.prefix != sys.base_prefix else "")
    assert made(tmp_path, {}, requirements="") == Found()
