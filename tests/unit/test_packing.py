"""Packing a working directory: what travels, what stays behind, what is refused."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from barq.errors import InvalidInput
from barq.packing import Packed, pack

LIMIT = 1_000_000


def tree(root: Path, **files: str) -> Path:
    """A folder with these files; `__` in a name stands for a slash, `DOT` for a dot at its start."""
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("DOT", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def packed(folder: Path, limit_bytes: int = LIMIT) -> Packed:
    """The folder, packed."""
    return pack(folder, limit_bytes=limit_bytes)


def names(folder: Path) -> list[str]:
    """What of a folder travels."""
    return [entry.path for entry in packed(folder).package.files]


def refusal(folder: Path, limit_bytes: int = LIMIT) -> InvalidInput:
    """Why a folder cannot be packed."""
    with pytest.raises(InvalidInput) as caught:
        packed(folder, limit_bytes)
    assert caught.value.field == "working_dir"
    assert caught.value.remedy
    return caught.value


def test_what_git_would_ignore_stays_behind(tmp_path: Path) -> None:
    """Patterns, folders, anchors, negation, and rules of deeper folders that win; .git always."""
    folder = tree(
        tmp_path / "project",
        DOTgitignore="*.log\n!keep.log\n/top\nbuild/\n",
        DOTgit__config="",
        **{
            "a.py": "",
            "a.log": "",
            "keep.log": "",
            "top": "",
            "sub__top": "",
            "build__x": "",
            "sub__build__y": "",
        },
        **{"sub__DOTgitignore": "!a.log\n*.py\n", "sub__a.log": "", "sub__b.py": "", "sub__deep__c.log": ""},
    )

    assert names(folder) == [".gitignore", "a.py", "keep.log", "sub/.gitignore", "sub/a.log", "sub/top"]


def test_git_itself_agrees(tmp_path: Path) -> None:
    """A folder inside a repository is packed as git lists it, with the rules of the folders above."""
    top = tree(
        tmp_path,
        DOTgitignore="*.tmp\ndata/\n!data/\n/job/only-here\n__pycache__/\n**/deep/*.bin\n",
        **{"job__train.py": "", "job__x.tmp": "", "job__only-here": "", "job__lib__only-here": ""},
        **{
            "job__lib__DOTgitignore": "*\n!.gitignore\n!kept.py\n",
            "job__lib__kept.py": "",
            "job__lib__no.py": "",
        },
        **{"job__data__a": "", "job__a__deep__b.bin": "", "job__a__deep__b.txt": "", "job__trail ": ""},
    )
    subprocess.run(["git", "init", "-q", str(top)], check=True)
    listed = subprocess.run(
        ["git", "-C", str(top / "job"), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull},
    )

    assert names(top / "job") == sorted(listed.stdout.rstrip("\0").split("\0"))


def test_a_package_is_known_by_its_content(tmp_path: Path) -> None:
    """The same files are the same package wherever they lie; equal files are one blob; modes count."""
    one = tree(tmp_path / "one", a="x", b="x", c="y")
    two = tree(tmp_path / "two", c="y", b="x", a="x")
    first, second = packed(one), packed(two)
    assert first.package.id == second.package.id
    assert len(first.package.blobs) == 2

    (two / "a").chmod(0o755)
    assert packed(two).package.id != first.package.id
    assert [entry.mode for entry in packed(two).package.files] == [0o755, 0o644, 0o644]


def test_a_link_inside_is_packed_as_what_it_points_to(tmp_path: Path) -> None:
    """Files and folders alike; nothing that unpacks it needs to know of links."""
    folder = tree(tmp_path, data__a="x", conf="y")
    (folder / "latest").symlink_to("data")
    (folder / "data" / "conf").symlink_to("../conf")

    assert names(folder) == ["conf", "data/a", "data/conf", "latest/a", "latest/conf"]


@pytest.mark.parametrize(
    "target", ["/etc/hostname", "/etc", "../outside", "../../..", "/nowhere", "../project-2/x"]
)
def test_a_link_that_leads_out_is_refused(tmp_path: Path, target: str) -> None:
    """By name and with what to do, whether or not there is anything at its end."""
    tree(tmp_path, outside="secret", **{"project-2__x": "secret"})
    folder = tree(tmp_path / "project", a="")
    (folder / "way-out").symlink_to(target)

    assert "way-out" in str(refusal(folder))

    (folder / ".gitignore").write_text("way-out\n")
    assert names(folder) == [".gitignore", "a"]


@pytest.mark.parametrize("target", [".", "nowhere", "loop"])
def test_a_link_in_a_circle_or_to_nothing_is_refused(tmp_path: Path, target: str) -> None:
    """It would never end, or is broken already."""
    folder = tree(tmp_path, a="")
    (folder / "loop").symlink_to(target)

    assert "loop" in str(refusal(folder))


def test_special_files_are_refused(tmp_path: Path) -> None:
    """A pipe would be waited for."""
    os.mkfifo(tmp_path / "pipe")

    assert "pipe is no plain file" in str(refusal(tmp_path))


@pytest.mark.parametrize("name", ["a\nb", "a\\b", os.fsdecode(b"\xff")])
def test_names_that_not_every_system_can_hold_are_refused(tmp_path: Path, name: str) -> None:
    """Line breaks, other systems' separators, bytes that are no text."""
    (tmp_path / name).write_text("")

    assert refusal(tmp_path).code == "cannot_pack"


def test_what_is_too_large_is_refused_with_its_biggest_files(tmp_path: Path) -> None:
    """Before anything is hashed; the remedy is in the message."""
    folder = tree(tmp_path, small="x", big="x" * 3000, bigger="x" * 4000)
    error = refusal(folder, limit_bytes=5000)

    assert error.code == "package_too_large"
    assert str(error).index("bigger") < str(error).index("big (")
    assert ".gitignore" in str(error)


def test_a_file_or_nothing_is_no_folder(tmp_path: Path) -> None:
    """Said before the site is asked for anything more."""
    tree(tmp_path, file="")

    for place in ("file", "nowhere"):
        assert "no folder" in str(refusal(tmp_path / place))
