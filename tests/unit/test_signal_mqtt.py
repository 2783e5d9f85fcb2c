"""What messages of a limit are taken for, and which of them count."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

from scheduler.connections.messages import Refused
from scheduler.errors import SettingsError
from scheduler.signals import read_options
from scheduler.signals.mqtt import UNKNOWN, Known, Mqtt, MqttOptions, Said, open_source, read_message, succeed

T0 = datetime(2026, 6, 1, tzinfo=UTC)


def after(seconds: float) -> datetime:
    """So many seconds after the first message."""
    return T0 + timedelta(seconds=seconds)


def options(**more: Any) -> MqttOptions:
    """As in a site file."""
    return read_options(MqttOptions, "grid", {"host": "mqtt.example", "topic": "feeder/12/limit"} | more)


def said(limit_w: float, *, at_s: float | None = None, sequence: float | None = None) -> Said:
    """A message that names its time and number, or not."""
    return Said(
        limit_w=limit_w,
        provenance="document 7",
        stamp_at=None if at_s is None else after(at_s),
        sequence=sequence,
    )


def first(message: Said, *, at_s: float = 0.0) -> Known:
    """What is known after one message."""
    return succeed(None, message, after(at_s), options(), retained=False)


def test_a_plain_number_is_a_limit() -> None:
    """In the unit that the site file names."""
    assert read_message(b"480.5", options(unit="kW")) == Said(
        limit_w=480_500.0, provenance="topic feeder/12/limit"
    )


def test_fields_are_where_the_site_file_says() -> None:
    """The limit, its time, its number and its document."""
    payload = json.dumps({"v": {"mw": 1.5}, "t": "2026-06-01T00:00:30Z", "n": 9, "doc": "notice 118"})
    there = options(
        field="/v/mw", unit="MW", timestamp_field="t", sequence_field="n", provenance_field="/doc"
    )

    assert read_message(payload.encode(), there) == Said(
        limit_w=1.5e6,
        provenance="topic feeder/12/limit: 'notice 118'",
        document="notice 118",
        stamp_at=after(30),
        sequence=9.0,
    )


@given(st.binary(max_size=80) | st.text().map(lambda s: json.dumps({"v": s, "t": s}).encode()))
def test_any_payload_is_read_or_refused(payload: bytes) -> None:
    """There is no third way."""
    for there in (options(max_w=1e6), options(field="v", timestamp_field="t", sequence_field="n")):
        try:
            message = read_message(payload, there)
        except Refused:
            continue
        assert 0 <= message.limit_w <= there.max_w


@pytest.mark.parametrize(
    "before,then,why",
    [
        (said(9, at_s=10), said(8, at_s=9), "messages have to come in order"),
        (said(9, at_s=10), said(9, at_s=10), "it is the same message again"),
        (said(9, at_s=10), said(10, at_s=10), "a higher limit with the same timestamp"),
        (said(9, sequence=5), said(8, sequence=4), "it has number 4, and 5 is known"),
        (said(9, sequence=5), said(8, sequence=5), "number 5 as the last one"),
        (said(9, at_s=10, sequence=5), said(8, at_s=10, sequence=5), "number 5 as the last one"),
        (said(9), said(8, at_s=60), "s ahead; check the clocks"),
    ],
)
def test_what_cannot_follow_is_refused(before: Said, then: Said, why: str) -> None:
    """Out of order, twice, or from the future."""
    with pytest.raises(Refused, match=why):
        succeed(first(before, at_s=10), then, after(11), options(), retained=False)


@pytest.mark.parametrize(
    "before,then",
    [
        (said(9, at_s=10), said(10, at_s=10.001)),
        (said(9, at_s=10), said(8, at_s=10)),  # of one second, the lower
        (said(9, at_s=10, sequence=5), said(10, at_s=10, sequence=6)),
        (said(9, at_s=10, sequence=5), said(10, at_s=11, sequence=1)),  # the giver counts anew
        (said(9, sequence=5), said(10, sequence=6)),
        (said(9, sequence=1_780_293_600_000_000_001), said(10, sequence=1_780_293_600_000_000_002)),
        (said(9), said(10)),
        (said(9), said(8, at_s=14)),  # its clock is a little ahead
    ],
)
def test_what_can_follow_counts(before: Said, then: Said) -> None:
    """From the time at which it was sent, and never from the future."""
    known = succeed(first(before, at_s=10), then, after(11), options(), retained=False)

    assert known.said == then
    assert known.since_at == known.heard_at <= after(11)


def test_a_giver_that_counts_anew_is_believed_after_a_silence() -> None:
    """By then the site is held to the firm level already, and would be for ever."""
    known = first(said(9, sequence=5000))

    with pytest.raises(Refused, match="or begin anew after a silence of 30 s"):
        succeed(known, said(8, sequence=1), after(30), options(), retained=False)
    assert succeed(known, said(8, sequence=1), after(31), options(), retained=False).said.limit_w == 8


def test_a_repeated_limit_is_the_same_segment_heard_again() -> None:
    """So that nothing is decided anew because of it."""
    known = succeed(first(said(9, at_s=0)), said(9, at_s=20), after(21), options(), retained=False)

    assert (known.since_at, known.heard_at) == (T0, after(20))


def test_what_the_broker_repeats_is_no_news() -> None:
    """After each new connection it sends again what it keeps."""
    for message in (said(9, at_s=0), said(9), said(9, sequence=4)):
        known = first(message)
        assert succeed(known, message, after(20), options(), retained=True) is known


def test_a_retained_message_is_as_old_as_it_says() -> None:
    """Without a time it is no younger than what was heard before, if anything was."""
    for message, heard_at in ((said(9, at_s=-3600), after(-3600)), (said(9), UNKNOWN)):
        assert succeed(None, message, T0, options(), retained=True).heard_at == heard_at
    known = succeed(first(said(9)), said(8), after(20), options(), retained=True)
    assert (known.said.limit_w, known.heard_at) == (8, T0)


@pytest.mark.parametrize(
    "more,why",
    [
        ({"password": "hush"}, "password is not known"),
        ({"topic": "feeder/#"}, "topic: must match the pattern"),
        ({"max_w": float("nan")}, "max_w"),
        ({"unit": "kw"}, "unit: must be 'W', 'kW' or 'MW'"),
        ({"password_file": "p"}, "a password goes with a username; give username_file or username_env"),
        ({"username_file": "u", "username_env": "U"}, "username_file and username_env are both given"),
        ({"tls": False, "ca_file": "ca.pem"}, "certificates are for TLS, and tls is false"),
        ({"key_file": "k"}, "key_file goes with a certificate"),
    ],
)
def test_options_that_make_no_sense_are_refused(more: dict[str, Any], why: str, tmp_path: Any) -> None:
    """When the site file is read; and no secret is repeated."""
    given_ = {"host": "mqtt.example", "topic": "t"} | more
    with pytest.raises(SettingsError) as caught:
        open_source("grid", given_, base=tmp_path, reaction_s=30.0)
    assert why in str(caught.value)
    assert "hush" not in str(caught.value)


async def test_a_source_that_was_never_read_can_be_closed(tmp_path: Any) -> None:
    """Nothing was opened for it."""
    await Mqtt("grid", options(), base=tmp_path, reaction_s=30.0).close()
