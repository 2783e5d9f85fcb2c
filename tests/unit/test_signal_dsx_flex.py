"""What events of DSX Flex are taken for, and what many of them make of the limit over time."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

from scheduler.connections.messages import Refused
from scheduler.connections.mqtt import Arrived
from scheduler.dsx.seen import Seen
from scheduler.dsx.targets import MOST_TARGETS, REMEMBERED, Target, in_force, segments_of, still_telling
from scheduler.errors import SettingsError
from scheduler.signals import read_options
from scheduler.signals.dsx_flex import (
    DsxFlex,
    DsxOptions,
    event_id_of,
    read_event,
)

T0 = datetime(2026, 6, 1, tzinfo=UTC)
OPTIONS = {"host": "bus.example", "client_id": "barq-1", "isv": "acme", "feed": "main-a", "default_w": 5e6}
EVENT = {
    "specversion": "1.0.2",
    "id": "6a3a0e3f-6f5e-4b43-93a8-3a0d3a9b7f01",
    "source": "//grid/v1/isv/acme",
    "type": "grid.loadtarget.set.v1",
    "time": "2026-06-01T00:00:00Z",
    "datacontenttype": "application/json",
    "subject": "loadtarget",
    "correlationid": "8d5a1c7e-0d0c-4f6e-8a55-0f7a2a6d1c02",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}
MEGAWATT = {"interval": {}, "load_constraint": {"value": 1, "unit": "megawatt"}}


def after(hours: float) -> datetime:
    """So many hours after the event was sent."""
    return T0 + timedelta(hours=hours)


def read(data: object, *, keys_file: Path | None = None, **changed: Any) -> tuple[Target, ...]:
    """The targets of an event with that data."""
    options = read_options(DsxOptions, "grid", OPTIONS | {"unsigned": True})
    payload = json.dumps(EVENT | {"data": data} | changed).encode()
    return read_event(payload, options, after(1 / 3600), keys_file=keys_file, order=7).targets


def target(start: float, end: float | None, limit_w: float, order: int) -> Target:
    """From an hour to another."""
    ends_at = None if end is None else after(end)
    return Target(starts_at=after(start), ends_at=ends_at, limit_w=limit_w, provenance="isv", order=order)


def steps(*told: Target) -> list[tuple[float, float]]:
    """The limit over time: hour and watts."""
    return [((s.starts_at - T0) / timedelta(hours=1), s.limit_w) for s in segments_of(told)]


def test_each_request_for_the_feed_is_a_target() -> None:
    """With its interval, its constraint in watts, and the id by which the ISV knows it."""
    requests = [
        MEGAWATT,
        {
            "interval": {"start_time": "2026-06-01T05:00:00+05:00", "end_time": "2026-06-01T02:00:00Z"},
            "feed_tags": ["main-b", "main-a"],
            "load_constraint": {"value": 700.5, "unit": "kilowatt"},
            "strategy": {"best_effort": True},
        },
        MEGAWATT | {"feed_tags": ["main-b"]},
        {"interval": {"start_time": "2026-06-01T02:00:00Z"}, "feed_tags": [], "load_constraint": None},
    ]
    named = "DSX Flex, ISV acme, target '8d5a1c7e-0d0c-4f6e-8a55-0f7a2a6d1c02'"
    event = "event 6a3a0e3f-6f5e-4b43-93a8-3a0d3a9b7f01"

    found = read({"targets": requests})
    assert [(t.starts_at, t.ends_at, t.limit_w, t.provenance) for t in found] == [
        (T0, None, 1e6, named),
        (T0, after(2), 700_500.0, named),
        (after(2), None, 5e6, f"{named} lifted"),
    ]
    assert {(t.order, t.event_id, t.document) for t in found} == {(7, EVENT["id"], event)}


def with_request(**changed: Any) -> dict[str, Any]:
    """A sound request, and one that is changed."""
    return {"targets": [MEGAWATT, MEGAWATT | changed]}


@pytest.mark.parametrize(
    "data,why",
    [
        ({}, "it has no 'targets'"),
        ({"targets": []}, "a list of 1 to 200"),
        ({"targets": [MEGAWATT] * (MOST_TARGETS + 1)}, "a list of 1 to 200"),
        ({"targets": [7]}, "it has no 'interval'"),
        (with_request(load_constraint={"value": -1, "unit": "watt"}), "-1 watt, below 0"),
        (with_request(load_constraint={"value": 1e9, "unit": "megawatt"}), "above the 1e+10 W"),
        (with_request(load_constraint={"value": "1", "unit": "watt"}), "without quotes"),
        (with_request(load_constraint={"value": 1, "unit": "MW"}), "one of watt, kilowatt, megawatt"),
        (with_request(load_constraint={"value": 1}), "it has no 'unit'"),
        (with_request(interval=None), "interval is None"),
        (with_request(interval={"start_time": "soon"}), "start_time is 'soon', no time"),
        (
            with_request(interval={"start_time": "2026-06-01T02:00:00Z", "end_time": "2026-06-01T02:00:00Z"}),
            "not after start_time",
        ),
        (with_request(feed_tags="main-a"), "a list of names"),
        (with_request(feed_tags=["main-b"], load_constraint={"value": -1, "unit": "watt"}), "below 0"),
        ("a.b.c", "data is signed, and no keys are known here"),
    ],
)
def test_an_event_in_which_something_cannot_be_is_refused_as_a_whole(data: object, why: str) -> None:
    """Also where that is about another feed: who sends one such thing is not believed the rest."""
    with pytest.raises(Refused) as caught:
        read(data)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    "changed,why",
    [
        (
            {"source": "//grid/v1/isv/other"},
            "source is '//grid/v1/isv/other'; it has to be //grid/v1/isv/acme",
        ),
        ({"type": "grid.powerstate.status.v1"}, "it has to be grid.loadtarget.set.v1"),
        ({"specversion": "2.0"}, "it has to be 1.0 or 1.0.2"),
        ({"id": ""}, "each event needs one of its own"),
        ({"id": 5}, "each event needs one of its own"),
        ({"id": "half \ud83d"}, "of 1 to 200 printable characters"),
        ({"id": "nothing \0"}, "of 1 to 200 printable characters"),
        ({"id": "x" * 201}, "of 1 to 200 printable characters"),
        ({"time": "yesterday"}, "time is 'yesterday', no time"),
    ],
)
def test_an_event_of_another_kind_or_sender_is_refused(changed: dict[str, Any], why: str) -> None:
    """By what it says of itself."""
    with pytest.raises(Refused) as caught:
        read({"targets": [MEGAWATT]}, **changed)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    "payload,event_id",
    [
        (json.dumps(EVENT | {"type": "other"}).encode(), EVENT["id"]),
        (b'{"id": 5}', ""),
        (b'{"id": "a\\nb"}', ""),
        (b"[]", ""),
        (b"x", ""),
    ],
)
def test_what_is_refused_is_called_by_its_id(payload: bytes, event_id: str) -> None:
    """Where it has one that can be shown."""
    assert event_id_of(payload) == event_id


@given(
    st.binary(max_size=60)
    | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(
        lambda v: json.dumps(EVENT | {"data": {"targets": v}}).encode()
    )
)
def test_any_payload_is_read_or_refused(payload: bytes) -> None:
    """There is no third way."""
    options = read_options(DsxOptions, "grid", OPTIONS | {"unsigned": True})
    with pytest.raises(Refused):
        read_event(payload, options, T0, keys_file=None, order=1)


def test_a_target_holds_until_its_end_and_then_the_one_below_it() -> None:
    """Nobody lifted the one without an end."""
    assert steps(target(0, None, 3e6, 1), target(2, 3, 1e6, 2)) == [(0, 3e6), (2, 1e6), (3, 3e6)]


def test_a_newer_target_takes_the_place_of_older_ones() -> None:
    """Also where it is higher; of one message the lowest holds."""
    assert steps(target(0, None, 3e6, 1), target(1, None, 4e6, 2), target(1, 2, 2e6, 2)) == [
        (0, 3e6),
        (1, 2e6),
        (2, 4e6),
    ]


def test_what_is_over_or_replaced_is_forgotten() -> None:
    """So that an ISV may speak for years."""
    told = [target(0, 1, 1e6, 1), target(0, None, 2e6, 2), target(5, 6, 3e6, 3), target(2, None, 4e6, 4)]

    assert still_telling(told, after(1)) == (told[1], told[3])
    assert still_telling(told, after(3)) == (told[3],)


def test_more_targets_than_can_be_kept_are_refused() -> None:
    """Rather than slow every decision down."""
    told = [target(i, i + 1, 1e6, i) for i in range(MOST_TARGETS + 1)]
    with pytest.raises(Refused, match="at most 200 are kept"):
        still_telling(told, T0)


TARGETS = st.lists(
    st.builds(
        lambda start, length, limit, order: target(start, length and start + length, limit * 1e6, order),
        st.integers(0, 5),
        st.none() | st.integers(1, 5),
        st.integers(0, 4),
        st.integers(1, 3),
    ),
    min_size=1,
    max_size=6,
)


@given(TARGETS, st.integers(0, 12))
def test_segments_say_what_is_in_force(told: list[Target], hour: int) -> None:
    """At each hour that is covered, also after what no longer matters at hour 2 was forgotten."""
    at = after(hour + 0.5)
    holds = in_force(told, at)
    if holds is None:
        return
    for kept in (told, still_telling(told, after(2)) if hour >= 2 else told):
        assert [s for s in segments_of(kept) if s.starts_at <= at][-1].limit_w == holds.limit_w


def test_signed_data_counts_where_a_known_key_signed_it(tmp_path: Path) -> None:
    """By its `kid` in a JWK set, or by the one key in a PEM file; ES256 and RS256."""
    curve = ECKey.generate_key("P-256", {"kid": "a"})
    rsa = RSAKey.generate_key(2048, {"kid": "b"})
    keys_file = tmp_path / "keys"
    data = json.dumps({"targets": [MEGAWATT]}).encode()
    for key, algorithm in ((curve, "ES256"), (rsa, "RS256")):
        signed = jws.serialize_compact({"alg": algorithm, "kid": key.kid}, data, key, algorithms=[algorithm])
        for text in (
            json.dumps(KeySet([curve, rsa]).as_dict(private=False)),
            key.as_pem(private=False).decode(),
        ):
            keys_file.write_text(text, encoding="utf-8")
            (read_target,) = read(signed, keys_file=keys_file)
            assert read_target.limit_w == 1e6


def test_what_nobody_signed_is_refused(tmp_path: Path) -> None:
    """Plain data, another's signature, a changed one, a shared secret, none, or no key to check with."""
    mine, other, secret = ECKey.generate_key("P-256"), ECKey.generate_key("P-256"), OctKey.generate_key(256)
    keys_file = tmp_path / "keys.pem"
    keys_file.write_bytes(mine.as_pem(private=False))
    data = json.dumps({"targets": [MEGAWATT]}).encode()
    good = jws.serialize_compact({"alg": "ES256"}, data, mine, algorithms=["ES256"])
    header, _, signature = good.split(".")
    cases: list[tuple[object, str]] = [
        ({"targets": [MEGAWATT]}, "data is not signed; send a JWS"),
        (jws.serialize_compact({"alg": "ES256"}, data, other, algorithms=["ES256"]), "bad_signature"),
        (f"{header}.e30.{signature}", "bad_signature"),
        (
            jws.serialize_compact({"alg": "HS256"}, data, secret, algorithms=["HS256"]),
            "unsupported_algorithm",
        ),
        ("eyJhbGciOiJub25lIn0.e30.", "unsupported_algorithm"),
        ("nonsense", "decode_error"),
        ("é.é.é", "does not hold"),
    ]
    for sent, why in cases:
        with pytest.raises(Refused) as caught:
            read(sent, keys_file=keys_file)
        assert why in str(caught.value)
    for keys in (None, b"{}", b'{"keys": 7}', b"nonsense", b"\xff"):
        keys_file.unlink(missing_ok=True)
        if keys is not None:
            keys_file.write_bytes(keys)
        with pytest.raises(Refused, match="signature cannot be checked"):
            read(good, keys_file=keys_file)


@pytest.mark.parametrize("signing", [{}, {"unsigned": True, "keys_file": "keys.json"}])
def test_the_site_file_says_whether_data_is_signed(signing: dict[str, Any], tmp_path: Path) -> None:
    """Nobody forgets it."""
    with pytest.raises(SettingsError, match="keys_file or unsigned: true"):
        DsxFlex("grid", read_options(DsxOptions, "grid", OPTIONS | signing), base=tmp_path, reaction_s=30.0)


class Told:
    """A source whose broker hands on what is published, and an ISV that signs."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.key, self.number = ECKey.generate_key("P-256"), 0
        (folder / "keys.pem").write_bytes(self.key.as_pem(private=False))
        self.options = read_options(DsxOptions, "grid", OPTIONS | {"keys_file": "keys.pem"} | options)
        self.folder = folder
        self.starts_anew()

    def starts_anew(self) -> None:
        """As with the scheduler."""
        self.source = DsxFlex("grid", self.options, base=self.folder, reaction_s=30.0, now=lambda: after(1))

    def signed(self, *requests: dict[str, Any]) -> str:
        """Their data, by the ISV itself."""
        data = json.dumps({"targets": requests}).encode()
        return jws.serialize_compact({"alg": "ES256"}, data, self.key, algorithms=["ES256"])

    def event(self, data: str) -> Arrived:
        """A new one with this data."""
        self.number += 1
        event = EVENT | {"data": data, "id": f"e-{self.number}", "time": after(1).isoformat()}
        return Arrived(topic="t", payload=json.dumps(event).encode(), retained=False)

    def hears(self, data: str) -> float:
        """The limit once somebody has published it in an event of its own, MW."""
        self.source._hear(self.event(data))
        return [s.limit_w for s in self.source._segments if s.starts_at <= after(1)][-1] / 1e6

    @property
    def refused(self) -> list[str]:
        """Why, as far as anything was."""
        return [str(why) for why in self.source._refused]


def megawatts(value: float, *, start_h: float | None = 0) -> dict[str, Any]:
    """A request without an end."""
    interval = {} if start_h is None else {"start_time": after(start_h).isoformat()}
    return {"interval": interval, "load_constraint": {"value": value, "unit": "megawatt"}}


def test_old_signed_data_in_a_new_event_lifts_nothing(tmp_path: Path) -> None:
    """Whoever may publish has read it once; another signature of the same data is the same data."""
    told = Told(tmp_path)
    high, low = told.signed(megawatts(4)), told.signed(megawatts(2, start_h=0.5))

    assert [told.hears(data) for data in (high, low, high, told.signed(megawatts(4)))] == [4, 2, 2, 2]
    assert len(told.refused) == 2
    assert "its signed data was told before" in told.refused[0]
    assert told.hears(told.signed(megawatts(4, start_h=0.9))) == 4


def test_what_holds_may_be_repeated_and_old_data_may_lower(tmp_path: Path) -> None:
    """An ISV that repeats is heard; the limit never stays higher for want of trust."""
    told = Told(tmp_path)
    low, high = told.signed(megawatts(2)), told.signed(megawatts(4, start_h=0.5))

    assert [told.hears(data) for data in (low, high, high, low, low)] == [2, 4, 4, 2, 2]
    assert told.refused == []


def test_data_without_times_is_as_new_as_its_event(tmp_path: Path) -> None:
    """There nobody can tell a repetition from a replay."""
    told = Told(tmp_path)
    high, low = told.signed(megawatts(4, start_h=None)), told.signed(megawatts(2, start_h=None))

    assert [told.hears(data) for data in (high, low, high)] == [4, 2, 4]


def test_old_signed_data_lifts_nothing_after_a_new_start_either(tmp_path: Path) -> None:
    """What was told is remembered on disk; what was told last may be told again."""
    told = Told(tmp_path)
    high, low = told.signed(megawatts(4)), told.signed(megawatts(2, start_h=0.5))
    assert [told.hears(data) for data in (high, low)] == [4, 2]

    told.starts_anew()
    told.hears(low)
    assert (told.hears(high), len(told.refused)) == (2, 1)
    told.starts_anew()
    told.source._hear(told.event(high))
    assert (told.source._segments, len(told.refused)) == ((), 1)


def test_a_memory_that_cannot_be_kept_costs_no_target(tmp_path: Path) -> None:
    """A full or broken disk is no reason to be deaf."""
    (tmp_path / "signals").write_text("no folder")
    told = Told(tmp_path)

    assert told.hears(told.signed(megawatts(2))) == 2
    assert told.refused == []


def test_the_memory_of_signed_data_is_bounded_and_survives_a_line_cut_off(tmp_path: Path) -> None:
    """The newest are kept, each where it was told last."""
    path = tmp_path / "x.seen"
    digests = [number.to_bytes(32, "big") for number in range(5 * REMEMBERED)]
    path.write_text("".join(f"{d.hex()}\n" for d in (*digests, digests[-3])) + "abc")

    assert Seen(path).read() == [*digests[-REMEMBERED:-3], *digests[-2:], digests[-3]]
    assert len(path.read_text().splitlines()) == REMEMBERED


def test_a_site_may_want_the_times_of_targets_signed(tmp_path: Path) -> None:
    """Then nobody can send old data again as new."""
    told = Told(tmp_path, dated=True)
    assert told.hears(told.signed(megawatts(2))) == 2
    assert told.hears(told.signed(megawatts(4, start_h=None))) == 2
    assert "a target has no start_time, and dated is true; sign since when each holds" in told.refused[0]
