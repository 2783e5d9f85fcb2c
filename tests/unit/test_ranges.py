"""Arrays and elastic gangs as people write them."""

from __future__ import annotations

import pytest

from barq.jobfile import JobFileError, parse_job
from barq.ranges import MAX_ARRAY, parse_array, parse_nodes


@pytest.mark.parametrize(
    "text, indices, most",
    [
        ("0-3", (0, 1, 2, 3), None),
        ("0-30:10", (0, 10, 20, 30), None),
        ("7,1,3", (1, 3, 7), None),
        ("5", (5,), None),
        (" 1-2,10-14:2%4 ", (1, 2, 10, 12, 14), 4),
        ("3-3%1", (3,), 1),
    ],
)
def test_an_array_is_written_as_for_slurm(text: str, indices: tuple[int, ...], most: int | None) -> None:
    """Ranges, steps and lists in any mixture; the indices rise; what follows % is how many may run at once."""
    found = parse_array(text)
    assert (tuple(found.indices), found.most) == (indices, most)


@pytest.mark.parametrize(
    "value, remedy",
    [
        ("", "write"),
        ("a", "write"),
        ("1-", "write"),
        ("-1", "write"),
        ("1,,2", "write"),
        ("0-9%", "write"),
        ("0-9%4%4", "write"),
        ("9-0", "0-9"),
        ("0-9:0", "step"),
        ("0-9%0", "at least 1"),
        ("1,1", "once"),
        ("1-3,3", "once"),
        (f"0-{MAX_ARRAY}", f"at most {MAX_ARRAY} indices"),
        ("0-999999999", "up to 4000000"),
        ("0-99999999999999999999", "write"),
        ("1," * 100_000 + "1", "write"),
        (-1, "write"),
        (10**30, "up to 4000000"),
        (True, "write"),
        (1.5, "write"),
        ([1, 2], "write"),
    ],
)
def test_an_array_that_makes_no_sense_is_refused(value: object, remedy: str) -> None:
    """By its field, with what to write."""
    with pytest.raises(JobFileError) as caught:
        parse_job({"entrypoint": "true", "array": value})

    assert (caught.value.code, caught.value.field) == ("invalid_field", "array")
    assert remedy in str(caught.value)


@pytest.mark.parametrize(
    "value, found", [(2, (2, 2)), ("2..8", (2, 8)), (" 1 .. 3 ", (1, 3)), ("4..4", (4, 4))]
)
def test_nodes_are_a_number_or_a_range(value: int | str, found: tuple[int, int]) -> None:
    """The fewest and the most."""
    assert parse_nodes(value) == found
    job = parse_job({"entrypoint": "true", "nodes": value})
    assert (job.least_nodes, job.most_nodes) == found


@pytest.mark.parametrize(
    "value, remedy",
    [
        ("8..2", "2..8"),
        ("0..4", "at least 1"),
        ("1..1000000000", "at most 100000"),
        (10**9, "at most 100000"),
        (0, "at least 1"),
        ("2..", "2..8"),
        ("2-8", "2..8"),
        ("2", "2..8"),
        (2.0, "2..8"),
        (True, "2..8"),
        ("1.." + "9" * 5000, "2..8"),
    ],
)
def test_nodes_that_make_no_sense_are_refused(value: object, remedy: str) -> None:
    """By their field, with what to write."""
    with pytest.raises(JobFileError) as caught:
        parse_job({"entrypoint": "true", "nodes": value})

    assert (caught.value.code, caught.value.field) == ("invalid_field", "nodes")
    assert remedy in str(caught.value)
