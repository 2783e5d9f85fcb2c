"""Several ranks save and load as one: all or none of them, at one step."""

from __future__ import annotations

import random
from concurrent.futures import Future
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from barq.checkpoint import verify
from barq.job_environment import JobEnvironment
from barq.ranks import Alone, PeerFailed, Ranks, all_or_none, join
from barq.saving import Rhythm, Saver, WorldChanged
from barq.shards import random_states, read_shard, restore_random_states, write_shard
from tests.threaded_ranks import on_all_ranks

NEVER = Rhythm(interval_s=None, every_steps=None)


class Note:
    """A state that writes its own file, and may be unable to."""

    def __init__(self, text: str = "", *, is_broken: bool = False) -> None:
        self.text = text
        self.is_broken = is_broken

    def save(self, path: Path) -> None:
        """Write the note."""
        if self.is_broken:
            raise OSError(28, "No space left on device")
        path.write_text(self.text)

    def load(self, path: Path) -> None:
        """Read the note."""
        self.text = path.read_text()


def saver(
    directory: Path, ranks: Ranks, state: Note, rhythm: Rhythm = NEVER, *, elastic: bool = False
) -> Saver:
    """What one rank saves with."""
    variables = {
        "RANK": str(ranks.rank),
        "WORLD_SIZE": str(ranks.world),
        "BARQ_JOB_ID": "j1",
        "BARQ_ATTEMPT": "1",
    }
    return Saver(JobEnvironment.read(directory, variables), ranks, state, rhythm, keep=2, elastic=elastic)


def errors(futures: list[Future[Any]]) -> list[type[BaseException] | None]:
    """What each rank ended with."""
    return [None if (error := future.exception()) is None else type(error) for future in futures]


def test_every_rank_finds_its_own_shard_again(tmp_path: Path) -> None:
    """Three ranks make one commit of one step, and each loads what it saved."""
    saved = on_all_ranks(3, lambda ranks: saver(tmp_path, ranks, Note(f"of {ranks.rank}")).save(7))
    assert errors(saved) == [None, None, None]
    manifest = verify(tmp_path / "step-000000007")
    assert (manifest.step, manifest.world, len(manifest.files)) == (7, 3, 6)

    def load(ranks: Ranks) -> tuple[int, str]:
        note = Note()
        return saver(tmp_path, ranks, note).restore(), note.text

    assert [future.result() for future in on_all_ranks(3, load)] == [(7, "of 0"), (7, "of 1"), (7, "of 2")]


@pytest.mark.parametrize("before, now", [(3, 1), (1, 3), (2, 3), (3, 2)])
def test_an_elastic_job_goes_on_with_another_number_of_ranks(tmp_path: Path, before: int, now: int) -> None:
    """Ranks that were not there take the first one's state, and keep their own random generators."""
    on_all_ranks(before, lambda ranks: saver(tmp_path, ranks, Note(f"of {ranks.rank}"), elastic=True).save(7))
    random.seed(5)
    untouched = random.getstate()

    def load(ranks: Ranks) -> tuple[int, str]:
        note = Note()
        return saver(tmp_path, ranks, note, elastic=True).restore(), note.text

    loaded = [future.result() for future in on_all_ranks(now, load)]
    assert loaded == [(7, f"of {rank if rank < before else 0}") for rank in range(now)]
    assert random.getstate() != untouched  # the first rank's are those that were saved


def test_any_other_job_does_not(tmp_path: Path) -> None:
    """Every rank ends, and the first says how to start instead."""
    on_all_ranks(3, lambda ranks: saver(tmp_path, ranks, Note("x")).save(7))

    ended = on_all_ranks(2, lambda ranks: saver(tmp_path, ranks, Note()).restore())

    assert errors(ended) == [WorldChanged, PeerFailed]


@pytest.mark.parametrize("broken", [0, 1, 2])
def test_if_one_rank_cannot_save_there_is_no_commit(tmp_path: Path, broken: int) -> None:
    """It raises its own error, all others say that it was not them, and nobody waits for ever."""
    ended = on_all_ranks(
        3, lambda ranks: saver(tmp_path, ranks, Note("x", is_broken=ranks.rank == broken)).save(7)
    )

    assert errors(ended) == [OSError if rank == broken else PeerFailed for rank in range(3)]
    assert not (tmp_path / "step-000000007").exists()


def test_only_the_first_rank_watches_the_clock(tmp_path: Path) -> None:
    """Clocks differ: if each rank judged by its own, they would not save at the same step."""
    always = Rhythm(interval_s=1e-9, every_steps=None)
    due = on_all_ranks(3, lambda ranks: saver(tmp_path, ranks, Note(), always).is_due(5))

    assert [future.result() for future in due] == [True, False, False]


def test_a_rhythm_is_never_due_without_a_new_step() -> None:
    """A job that was held for an hour has nothing new to save."""
    rhythm = Rhythm(interval_s=10, every_steps=5)

    assert not rhythm.is_due(since_s=3600, since_steps=0)
    assert not rhythm.is_due(since_s=9.9, since_steps=4)
    assert rhythm.is_due(since_s=10, since_steps=1)
    assert rhythm.is_due(since_s=0, since_steps=5)
    assert not NEVER.is_due(since_s=1e9, since_steps=10**9)


def test_a_job_of_one_rank_agrees_with_itself() -> None:
    """Without torch, and errors pass through as they are."""
    ranks = join(0, 1)
    assert isinstance(ranks, Alone)
    assert ranks.largest([3, 0]) == [3, 0]
    assert all_or_none(ranks, lambda: "done") == "done"
    with pytest.raises(ZeroDivisionError):
        all_or_none(ranks, lambda: 1 // 0)


def test_a_shard_brings_the_random_generators_back(tmp_path: Path) -> None:
    """Python's and NumPy's global generators go on with the same numbers, a half-used Gaussian pair included."""
    numpy_random = import_module(
        "numpy.random"
    )  # the old global generator on purpose: old code draws from it

    def draw() -> list[float]:
        return [random.gauss(0, 1), random.random(), numpy_random.standard_normal(), numpy_random.random()]

    draw()
    write_shard(tmp_path, 0, Note("kept"))
    expected = draw()
    random.seed(1)
    numpy_random.seed(1)
    note = Note()
    read_shard(tmp_path, 0, note)

    assert draw() == expected
    assert note.text == "kept"


def test_a_disk_without_room_is_told_as_such_by_torch_too(tmp_path: Path) -> None:
    """Who goes on without a commit has to know it from a fault in the job."""
    torch = import_module("torch")
    (tmp_path / "rank-0.state").symlink_to("/dev/full")
    with pytest.raises(OSError, match="rank-0"):
        write_shard(tmp_path, 0, torch.nn.Linear(300, 300))


def test_generators_that_were_not_in_use_are_left_alone() -> None:
    """Nothing is imported that the job does not use."""
    state = random.getstate()
    restore_random_states({})

    assert random.getstate() == state
    assert "random" in random_states()
