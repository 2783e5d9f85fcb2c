"""What a supervisor learns of checkpoints, through a child process."""

from __future__ import annotations

import errno
import os
import selectors
from collections.abc import Iterator
from pathlib import Path

import pytest

from barq import checkpoint
from workers import commits, inspection
from workers.commits import AGAIN_S, MOST_TOLD, PATIENCE_S, Commits
from workers.inspection import SMALL_BYTES, Findings, Inspection, look


def commit(directory: Path, step: int, size: int = 1000) -> Path:
    """A good commit of `step`."""
    with checkpoint.begin(directory, step, "1") as staged:
        (staged.path / "shard").write_bytes(bytes(size))
        return staged.commit(world=1, job="j", attempt="1").path


def damage(path: Path) -> None:
    """Flip a bit in a commit."""
    data = bytearray((path / "shard").read_bytes())
    data[500] ^= 1
    (path / "shard").write_bytes(data)


class Watched:
    """Commits of a directory, and the loop that a supervisor would run."""

    def __init__(self, directory: Path) -> None:
        self._selector = selectors.DefaultSelector()
        self.commits = Commits(directory, self._selector)

    def settle(self) -> None:
        """Let the look in progress end, if there is one."""
        while self.commits.is_looking:
            events = self._selector.select(timeout=60)
            assert events, "the look does not end"
            for key, _ in events:
                key.data()

    def close(self) -> None:
        """Let go of everything."""
        self.settle()
        self._selector.close()


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """An empty checkpoint directory; every child that looks through it is buried."""
    made: list[Inspection] = []

    def inspect(directory: Path, *, only: str | None = None) -> Inspection:
        made.append(Inspection(directory, only=only))
        return made[-1]

    monkeypatch.setattr(commits, "Inspection", inspect)
    watched = Watched(tmp_path)
    yield watched
    watched.close()
    for made_one in made:
        os.waitpid(made_one.pid, 0)


def test_no_commit_is_found_where_there_is_none(tmp_path: Path) -> None:
    """A directory without commits, or none at all, is a fresh start and no error."""
    assert look(tmp_path) == Findings()
    assert look(tmp_path / "none") == Findings()


def test_the_newest_good_commit_is_found_and_the_damaged_one_named(tmp_path: Path, watched: Watched) -> None:
    """The look quarantines on its way, and says what was wrong."""
    good = commit(tmp_path, 10)
    damage(commit(tmp_path, 20))
    watched.commits.look_for_newest()
    watched.settle()

    assert watched.commits.newest.step == 10
    assert watched.commits.newest.path == str(good)
    (why,) = watched.commits.quarantined
    assert why.startswith("step-000000020: shard")
    assert not (tmp_path / "step-000000020").exists()


def test_a_claimed_commit_is_checked_once(tmp_path: Path, watched: Watched) -> None:
    """A commit counts when it verified; a claim that does not hold changes nothing, and stays where it is."""
    commit(tmp_path, 10)
    watched.commits.check("step-000000010")
    watched.settle()
    assert watched.commits.newest.step == 10

    bad = commit(tmp_path, 20)
    damage(bad)
    watched.commits.check("step-000000020")
    watched.settle()
    assert watched.commits.newest.step == 10
    assert bad.exists()
    watched.commits.check("step-000000020")
    assert not watched.commits.is_looking


def test_the_last_look_replaces_one_in_progress(tmp_path: Path, watched: Watched) -> None:
    """At the end of an attempt nobody waits for a check that is still under way."""
    commit(tmp_path, 10)
    watched.commits.check("step-000000010")
    commit(tmp_path, 20)
    watched.commits.look_for_newest()
    watched.settle()

    assert watched.commits.newest.step == 20


def test_a_look_that_fails_is_not_a_look_that_found_nothing(
    tmp_path: Path, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is had again later; while it cannot be had nobody says that there is no commit."""
    commit(tmp_path, 10, SMALL_BYTES + 1)
    with monkeypatch.context() as stale:
        stale.setattr(inspection, "newest_verified", unreadable)
        watched.commits.look_for_newest()
        watched.settle()
        assert not watched.commits.is_settled(100.0)
        with pytest.raises(OSError, match="see whether the storage of checkpoints is at hand"):
            watched.commits.check_known()
    assert not watched.commits.is_settled(100.0 + AGAIN_S)
    watched.settle()

    assert watched.commits.is_settled(100.0 + AGAIN_S)
    watched.commits.check_known()
    assert watched.commits.newest.step == 10


def test_patience_with_what_cannot_be_read_has_an_end(
    tmp_path: Path, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody has to be told."""
    commit(tmp_path, 10, SMALL_BYTES + 1)
    monkeypatch.setattr(inspection, "newest_verified", unreadable)
    watched.commits.look_for_newest()
    watched.settle()
    assert not watched.commits.is_settled(100.0)
    assert watched.commits.is_settled(100.0 + PATIENCE_S)
    assert not watched.commits.are_away
    with pytest.raises(OSError, match="Stale file handle"):
        watched.commits.check_known()
    assert watched.commits.are_away


def test_what_is_told_of_damage_is_bounded(tmp_path: Path, watched: Watched) -> None:
    """A job may leave any number of such: its node's report is one line, and the report of others too."""
    for step in range(100, 100 + 3 * MOST_TOLD):
        (tmp_path / f"step-{step:09d}").mkdir()
    watched.commits.look_for_newest()
    watched.settle()
    assert len(watched.commits.quarantined) == MOST_TOLD
    assert watched.commits.quarantined[0].startswith(f"step-{99 + 3 * MOST_TOLD:09d}: ")

    (tmp_path / "step-000000007").mkdir()
    watched.commits.look_for_newest()
    watched.settle()
    assert len(watched.commits.quarantined) == MOST_TOLD


def unreadable(directory: Path) -> None:
    """What the kernel says of a mount whose server has gone."""
    raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(directory))


def test_a_small_commit_is_verified_at_once(tmp_path: Path, watched: Watched) -> None:
    """No child is forked for what is read sooner; the later step counts, however it is sorted as text."""
    commit(tmp_path, 999_999_999)
    good = commit(tmp_path, 1_000_000_000)
    watched.commits.look_for_newest()

    assert not watched.commits.is_looking
    assert watched.commits.newest == Findings(step=1_000_000_000, path=str(good))


@pytest.mark.parametrize("extra", ["large", "directory", "link", "many"])
def test_what_may_take_long_is_left_to_a_child(tmp_path: Path, watched: Watched, extra: str) -> None:
    """The supervisor itself stays free to act."""
    path = commit(tmp_path, 10, size=SMALL_BYTES if extra == "large" else 1000)
    match extra:
        case "directory":
            (path / "extra").mkdir()
        case "link":
            (path / "extra").symlink_to("/dev/zero")
        case "many":
            for number in range(20):
                (path / f"extra-{number}").touch()
    watched.commits.look_for_newest()

    assert watched.commits.is_looking
    watched.settle()
    assert watched.commits.newest.step == (10 if extra == "large" else None)
