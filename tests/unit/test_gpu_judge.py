"""What the benchmark of real GPUs makes of what its judge saw."""

from __future__ import annotations

from pathlib import Path

from benchmarks.gpu_judge import Sample, below_s, freed_s, kept_s
from benchmarks.gpu_pause import compared, turn_a_bit

GB = 1_000_000_000


def seen(*draws_w: float, used_gb: tuple[float, ...] = ()) -> list[Sample]:
    """A sample each second from 100 on."""
    used = used_gb or (0.0,) * len(draws_w)
    return [
        Sample(at_s=100.0 + i, draw_w=w, used_bytes=int(gb * GB))
        for i, (w, gb) in enumerate(zip(draws_w, used, strict=True))
    ]


def test_the_first_time_under_a_draw_is_not_yet_for_good() -> None:
    """A draw that comes back was not kept."""
    samples = seen(600, 100, 300, 100, 90)

    assert below_s(samples, watts=120, since_s=100.0) == 1.0
    assert kept_s(samples, watts=120, since_s=100.0) == 3.0
    assert (below_s(samples, watts=50, since_s=100.0), kept_s(samples, watts=50, since_s=100.0)) == (
        None,
        None,
    )
    assert kept_s(samples, watts=700, since_s=100.0) == 0.0


def test_memory_is_free_when_next_to_nothing_is_left_of_it() -> None:
    """What the driver keeps for itself is no job's."""
    samples = seen(600, 100, 100, 90, used_gb=(8.3, 8.3, 0.7, 0.64))

    assert freed_s(samples, since_s=100.0) == 2.0


def test_steps_are_counted_against_an_undisturbed_run() -> None:
    """One that is missing, one that was done again, and one whose loss is another."""
    done = [{"step": s, "loss": loss} for s, loss in ((0, 4.0), (1, 3.0), (1, 3.0), (3, 2.5))]
    by_hand = [{"step": s, "loss": 4.0 - s} for s in range(4)]

    assert compared(done, by_hand) == {"steps": 3, "missing": 1, "done_again": 1, "other_losses": 1}


def test_one_bit_is_turned_and_no_more(tmp_path: Path) -> None:
    """The size stays: nothing but the hash can tell."""
    path = tmp_path / "state"
    path.write_bytes(bytes(9))
    turn_a_bit(path)

    assert path.read_bytes() == bytes([0, 0, 0, 0, 1, 0, 0, 0, 0])
