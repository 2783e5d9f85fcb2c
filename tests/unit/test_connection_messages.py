"""Whatever a peer sends is read, or refused with a reason; nothing else can happen."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
from hypothesis import given, strategies as st

from scheduler.connections.messages import (
    MOST_BYTES,
    Refused,
    at_field,
    instant,
    number,
    power_w,
    read_json,
)

T = TypeVar("T")
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def tried(read: Callable[[], T]) -> tuple[T | None, str]:
    """What was read, or why it was refused."""
    try:
        return read(), ""
    except Refused as error:
        return None, str(error)


@given(st.binary(max_size=200) | ANYTHING.map(lambda v: json.dumps(v).encode()))
def test_a_payload_is_read_or_refused(payload: bytes) -> None:
    """And what is read holds no NaN and no key twice: it comes out of JSON as it went in."""
    value, why = tried(lambda: read_json(payload))

    assert (why.isascii() and why.isprintable()) if why else json.loads(json.dumps(value)) == value


@pytest.mark.parametrize(
    "payload,why",
    [
        (b"", "no JSON"),
        (b"480 kW", "'480 kW' is no JSON"),
        (b"480,5", "no JSON"),
        (b"\xff\xfe4", "no text in UTF-8"),
        (b"NaN", "it holds NaN"),
        (b'{"limit": -Infinity}', "it holds -Infinity"),
        (b'{"a": 1, "a": 2}', "it has 'a' twice; send it once"),
        (b"[" * 60_000, "no JSON"),
        (b"9" * 60_000, "no JSON"),
        (b"1" * (MOST_BYTES + 1), "65537 bytes, and at most 65536 are read"),
        (b'"\x1b[31m', "no JSON"),
    ],
)
def test_garbage_is_named(payload: bytes, why: str) -> None:
    """In one printable line, cut where it is long."""
    with pytest.raises(Refused) as caught:
        read_json(payload)
    assert why in str(caught.value)
    assert len(str(caught.value)) < 200


def test_lists_in_lists_are_refused_however_deep() -> None:
    """Also where they are just shallow enough to be read, and too deep to be shown."""
    for depth in range(1, 1100):
        payload = b"[" * depth + b"]" * depth
        with pytest.raises(Refused):
            number(read_json(payload), "limit")


@given(ANYTHING)
def test_a_power_is_finite_and_within_its_bounds_or_refused(value: Any) -> None:
    """Whatever stands in its place."""
    watts, why = tried(lambda: power_w(value, "limit", unit="kW", watts=1e3, max_w=5e6))

    assert why.startswith("limit is ") if watts is None else math.isfinite(watts) and 0 <= watts <= 5e6
    assert watts is None or not isinstance(value, bool)


@given(ANYTHING)
def test_a_time_is_aware_or_refused(value: Any) -> None:
    """Whatever stands in its place."""
    at, why = tried(lambda: instant(value, "issued"))

    assert why.startswith("issued is ") if at is None else at.tzinfo is UTC


@pytest.mark.parametrize(
    "value", ["2026-06-01T06:00:00Z", "2026-06-01T11:00:00.000+05:00", 1780293600, 1780293600000.0]
)
def test_times_are_read_as_they_are_usually_sent(value: object) -> None:
    """ISO 8601 with a zone, Unix seconds, Unix milliseconds."""
    assert instant(value, "issued") == datetime(2026, 6, 1, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    "value,why",
    [
        ("2026-06-01T06:00:00", "without a time zone"),
        ("01/06/2026 06:00", "no time"),
        ("2026-06-31T06:00:00Z", "no time"),
        ("0001-01-01T00:00:00+05:00", "no time"),
        ("1970-01-01T00:00:00Z", "not in the years 2000 to 2199"),
        (17, "no time; send Unix seconds"),
        (True, "no number"),
        (None, "no number"),
    ],
)
def test_what_is_no_time_is_named(value: object, why: str) -> None:
    """With what is wrong with it."""
    with pytest.raises(Refused, match="issued is ") as caught:
        instant(value, "issued")
    assert why in str(caught.value)


def test_fields_are_found_by_key_and_by_pointer() -> None:
    """As RFC 6901 has it."""
    document = {"limit": 1, "a/b": {"~": [2, 3]}, "": 4}
    found = [at_field(document, f) for f in ("limit", "/limit", "/a~1b/~0/1", "/", "")]

    assert found == [1, 1, 3, 4, document]


@pytest.mark.parametrize(
    "field", ["power", "/limit/0", "/list/2", "/list/-1", "/list/01", "/list/٣", "/list/a"]
)
def test_a_field_that_is_not_there_is_named(field: str) -> None:
    """Also a place in a list that it does not have."""
    with pytest.raises(Refused, match="it has no "):
        at_field({"limit": 1, "list": [1, 2]}, field)


@pytest.mark.parametrize(
    "value,why",
    [
        ("480", "without quotes"),
        (True, "no number"),
        (1e999, "not finite"),
        (10**400, "not finite"),
        ([], "no"),
    ],
)
def test_what_is_no_number_is_named(value: object, why: str) -> None:
    """A number in quotes too."""
    with pytest.raises(Refused, match=why):
        number(value, "limit")
