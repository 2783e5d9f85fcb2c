"""The JSON of old firmwares is read where it can be, and otherwise named."""

from __future__ import annotations

import pytest

from workers.miners.line import number, parse, rows, status
from workers.miners.port import MinerError, NotUnderstood, Unreachable, Wrong


@pytest.mark.parametrize(
    "text",
    [
        '{"A":[{"x":1},{"x":2}]}',
        '{"A":[{"x":1},{"x":2},],}',
        '{"A":[{"x":1}{"x":2}]}',
        '{"A":[,{"x":1},{"x":2}]}',
        ',{"A":[{"x":1},{"x":2}]}',
        '{"A":[{"x":1},\n{"x":2}\n]}\n',
    ],
    ids=["whole", "commas too many", "comma missing", "comma first", "comma before all", "lines"],
)
def test_what_old_firmwares_break_is_mended(text: str) -> None:
    """All of these say the same."""
    assert parse(text.encode(), "here") == {"A": [{"x": 1}, {"x": 2}]}


def test_a_line_break_inside_a_text_is_kept() -> None:
    """Raw control characters are no reason to lose an answer."""
    assert parse(b'{"A":"x\ny"}', "here") == {"A": "x\ny"}


@pytest.mark.parametrize(
    "data, kind",
    [
        (b"", Unreachable),
        (b"Socket connect failed: Connection refused\n", Unreachable),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Wrong),
        (b"<html></html>", Wrong),
        (b"SSH-2.0-x\r\n", Wrong),
        (b'{"A":[{"x":1', NotUnderstood),
        (b"[1]", NotUnderstood),
        (b"\xff\xfe", NotUnderstood),
    ],
)
def test_what_cannot_be_read_is_named(data: bytes, kind: type[MinerError]) -> None:
    """Each with the error of what it is, and the address."""
    with pytest.raises(kind, match="here"):
        parse(data, "here")


def test_a_status_is_found_in_both_shapes() -> None:
    """As a list, and as WhatsMiner writes it."""
    assert status({"STATUS": [{"STATUS": "E", "Code": 14, "Msg": "no"}]}) == ("E", 14, "no")
    assert status({"STATUS": "S", "Code": 131, "Msg": "OK"}) == ("S", 131, "OK")
    assert status({"id": 1}) == ("", 0, "")


def test_a_list_that_is_missing_is_not_understood() -> None:
    """And so is one of other things than objects."""
    assert rows({"A": [{"x": 1}]}, "A", "here") == [{"x": 1}]
    for answer in ({}, {"A": 1}, {"A": [1]}):
        with pytest.raises(NotUnderstood, match="here"):
            rows(answer, "A", "here")


@pytest.mark.parametrize(
    "value, told",
    [(3, 3.0), ("3.5", 3.5), ("inf", None), ("nan", None), ("x", None), (True, None), (None, None)],
)
def test_a_number_may_come_as_text(value: object, told: float | None) -> None:
    """What is none is not told."""
    assert number({"x": value}, "x") == told
