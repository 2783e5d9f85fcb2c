"""What goes over the wire comes back the same, and nothing else is let in."""

from __future__ import annotations

from collections import ChainMap
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType

import pytest
from hypothesis import given

from scheduler.core.envelope import Envelope, Segment
from scheduler.core.jobs import Attempt, Job
from scheduler.core.orders import GuardReport, Order
from scheduler.core.reasons import Event, Reason
from scheduler.wire import WireError, dumps, loads
from tests.core_values import NO_NAN, values_of

AT = datetime(2026, 3, 1, 12, 30, 15, 250000, tzinfo=UTC)
ENVELOPE = Envelope(
    source="feeder",
    issued_at=AT,
    read_at=AT,
    reaction_s=30.0,
    segments=(Segment(starts_at=AT, limit_w=700_000.0, provenance="order 17"),),
)


@pytest.mark.parametrize("kind", [Job, Attempt, Order, GuardReport, Event, Reason, Envelope])
def test_every_value_of_the_core_comes_back_equal(kind: type) -> None:
    """Whatever a core type can hold survives the way to bytes and back."""

    @given(value=values_of(kind, floats=NO_NAN))
    def comes_back(value: object) -> None:
        assert loads(kind, dumps(value)) == value

    comes_back()


def test_a_tuple_of_values_comes_back() -> None:
    """Containers of core types work like the types themselves."""
    assert loads(tuple[Envelope, ...], dumps((ENVELOPE, ENVELOPE))) == (ENVELOPE, ENVELOPE)


def test_times_in_another_zone_are_the_same_instant() -> None:
    """A reader compares instants, however the writer spelled them."""
    karachi = timezone(timedelta(hours=5))
    segment = Segment(starts_at=AT.astimezone(karachi), limit_w=1.0)
    assert loads(Segment, dumps(segment)).starts_at == AT


def test_a_mapping_that_is_no_dict_is_written_like_one() -> None:
    """Snapshots share structure through read-only views and chains."""
    for data in (MappingProxyType({"step": 1}), ChainMap({"step": 1}, {"step": 2})):
        assert loads(Event, dumps(Event(at=AT, kind="k", text="t", data=data))).data == {"step": 1}


def test_infinity_survives() -> None:
    """A limit without bound is a limit."""
    assert loads(Segment, dumps(Segment(starts_at=AT, limit_w=float("inf")))).limit_w == float("inf")


def test_what_is_no_number_is_refused() -> None:
    """No comparison finds it too high; the word alone in a text is none."""
    with pytest.raises(WireError, match="not a Segment: it holds NaN"):
        loads(Segment, dumps(Segment(starts_at=AT, limit_w=float("nan"))))
    named = Segment(starts_at=AT, limit_w=float("inf"), provenance="of: NaN Ltd")
    assert loads(Segment, dumps(named)) == named


def test_an_unknown_key_is_refused_by_name() -> None:
    """What a newer version added is not dropped in silence."""
    data = dumps(ENVELOPE).replace(b'"provenance"', b'"line":1,"provenance"')
    with pytest.raises(WireError, match=r"segments\.0\.line: Unexpected keyword argument, got 1"):
        loads(Envelope, data)


def test_text_is_no_number() -> None:
    """A quoted number is a mistake of the writer, not a number."""
    data = dumps(ENVELOPE).replace(b"700000.0", b'"700000.0"')
    with pytest.raises(WireError, match=r"segments\.0\.limit_w: Input should be a valid number"):
        loads(Envelope, data)


def test_bytes_that_are_no_json_are_refused() -> None:
    """Half a document raises, and the message stays short."""
    with pytest.raises(WireError, match=r"the document: Invalid JSON") as caught:
        loads(Envelope, dumps(ENVELOPE)[:-5] + b" " * 500)
    assert len(str(caught.value)) < 400


def test_several_complaints_are_counted() -> None:
    """The first is told in full, the rest as a number."""
    with pytest.raises(WireError, match=r"starts_at: .*\(and 1 more\)"):
        loads(Segment, b"{}")


def test_a_value_without_json_is_refused() -> None:
    """An object that is no data is the caller's mistake, and said so."""
    with pytest.raises(WireError, match="use plain data"):
        dumps(object())
