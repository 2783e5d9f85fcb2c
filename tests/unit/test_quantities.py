"""Durations and sizes as people write them."""

from __future__ import annotations

import pytest

from barq.quantities import parse_bytes, parse_duration_s


@pytest.mark.parametrize(
    "value, seconds",
    [
        (90, 90.0),
        (0.5, 0.5),
        ("90", 90.0),
        ("45s", 45.0),
        ("30m", 1800.0),
        ("1h30m", 5400.0),
        ("2d", 172_800.0),
        ("1d2h3m4.5s", 93_784.5),
        (" 1.5h ", 5400.0),
    ],
)
def test_durations_as_people_write_them(value: object, seconds: float) -> None:
    """Numbers are seconds; text carries its units, largest first."""
    assert parse_duration_s(value) == seconds


@pytest.mark.parametrize(
    "value",
    ["", " ", "m", "30m1h", "1h 30m", "-5", "1e3", "٣s", "1_000", "inf", True, None, [], -1, 1e30, "9" * 41],
)
def test_doubtful_durations_are_refused(value: object) -> None:
    """What could mean two things means neither."""
    with pytest.raises(ValueError, match="write "):
        parse_duration_s(value)


@pytest.mark.parametrize(
    "value, size",
    [(1, 1), ("1", 1), ("1kB", 1000), ("1KiB", 1024), ("16GiB", 2**34), ("1.5 TB", 1_500_000_000_000)],
)
def test_sizes_as_people_write_them(value: object, size: int) -> None:
    """Powers of ten and of two are told apart by the `i`."""
    assert parse_bytes(value) == size


@pytest.mark.parametrize(
    "value", ["", "16G", "1 KB", "kiB", "1kiB", "0", -1, True, None, float("nan"), 2**61, "1XB"]
)
def test_doubtful_sizes_are_refused(value: object) -> None:
    """A bare G has two meanings in use."""
    with pytest.raises(ValueError, match="write "):
        parse_bytes(value)
