"""Whatever is committed, damaged, cut off and pruned, in whatever order: the newest good commit is found, whole."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from barq.checkpoint import begin, commit_name, newest_verified, prune
from tests.power_cut import PowerCutAfter

STEPS = st.integers(0, 12)
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), STEPS, st.integers(0, 10**9)),
        st.tuples(st.just("cut"), STEPS, st.integers(0, 12)),
        st.tuples(st.just("damage"), STEPS, st.integers(0, 10**9)),
        st.tuples(st.just("prune"), st.integers(1, 3), st.just(0)),
        st.tuples(st.just("load"), st.just(0), st.just(0)),
    ),
    max_size=25,
)


@dataclass
class Expected:
    """What should lie in the directory: good commits with their content, damaged ones, and how many were set aside."""

    directory: Path
    good: dict[int, bytes] = field(default_factory=dict)
    bad: set[int] = field(default_factory=set)
    set_aside: int = 0
    attempts: int = 0

    def commit(self, step: int, number: int) -> None:
        """A good commit of the step stays; a damaged one makes room."""
        self._write(step, str(number).encode())
        self._clear(step)
        self.good.setdefault(step, str(number).encode())

    def cut(self, step: int, calls: int) -> None:
        """The power goes; either the commit is there, whole, or it is not there at all."""
        content = b"cut off after %d" % calls
        with PowerCutAfter(calls, self.directory) as cut:
            self._write(step, content)
        rooms = len(list(self.directory.glob("quarantine/*/step-*")))
        if rooms > self.set_aside:
            self._clear(step)
        is_there = (self.directory / commit_name(step)).exists()
        assert cut.happened or is_there
        if is_there and step not in self.bad:
            self.good.setdefault(step, content)

    def damage(self, step: int, place: int) -> None:
        """One bit of one file flips."""
        if step not in self.good:
            return
        files = sorted((self.directory / commit_name(step)).iterdir())
        path = files[place % len(files)]
        content = bytearray(path.read_bytes())
        content[place % len(content)] ^= 1 << place % 8
        path.write_bytes(content)
        del self.good[step]
        self.bad.add(step)

    def prune(self, keep: int) -> None:
        """All that is older than the `keep` newest good ones goes, and nothing else."""
        oldest_kept = sorted(self.good, reverse=True)[:keep][-1:] or [0]
        may_go = len(self.good) >= keep
        gone = {step for step in self.good.keys() | self.bad if may_go and step < oldest_kept[0]}
        assert {path.name for path in prune(self.directory, keep)} == {commit_name(step) for step in gone}
        self.good = {step: content for step, content in self.good.items() if step not in gone}
        self.bad -= gone

    def load(self) -> None:
        """The newest good one is found, and every damaged one that is newer is set aside."""
        found, quarantined = newest_verified(self.directory)
        newest = max(self.good, default=-1)
        passed = {step for step in self.bad if step > newest}
        assert {item.name for item in quarantined} == {commit_name(step) for step in passed}
        assert (found.step if found else -1) == newest
        if found:
            assert (found.path / "state").read_bytes() == self.good[newest]
        self.bad -= passed
        self.set_aside += len(passed)

    def check_nothing_lost(self) -> None:
        """Everything that was set aside is still there, each in its own room."""
        assert len(list(self.directory.glob("quarantine/*/step-*"))) == self.set_aside

    def _write(self, step: int, content: bytes) -> None:
        self.attempts += 1
        staged = begin(self.directory, step, f"a{self.attempts}")
        (staged.path / "state").write_bytes(content)
        staged.commit(world=1, job="j1", attempt=f"a{self.attempts}")

    def _clear(self, step: int) -> None:
        if step in self.bad:
            self.bad.remove(step)
            self.set_aside += 1


@settings(max_examples=150)
@given(operations=OPERATIONS)
def test_the_newest_good_commit_survives_everything(operations: list[tuple[str, int, int]]) -> None:
    """A model that knows only what should be there agrees with the disk after every operation."""
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            os, "fsync", lambda descriptor: None
        )  # power cuts are played, so nothing need wait for a disk
        expected = Expected(Path(directory))
        for name, first, second in [*operations, ("load", 0, 0)]:
            match name:
                case "commit":
                    expected.commit(first, second)
                case "cut":
                    expected.cut(first, second)
                case "damage":
                    expected.damage(first, second)
                case "prune":
                    expected.prune(first)
                case _:
                    expected.load()
            expected.check_nothing_lost()
