"""Registers of a meter: whatever they hold, they decode to what was meant, or are refused."""

from __future__ import annotations

import math
import struct
from typing import get_args

import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from scheduler.connections.messages import Refused
from scheduler.connections.registers import (
    METERS,
    Kind,
    ModbusOptions,
    Place,
    Register,
    WordOrder,
    decode,
    find_meter,
    sunspec_w,
    width,
)
from tests.modbus_peer import LENGTHS, sunspec, words

REGISTERS = st.integers(0, 0xFFFF)
KINDS = st.sampled_from(get_args(Kind))
ORDERS = st.sampled_from(get_args(WordOrder))
FORMATS = {"int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "float32": "f"}


@given(KINDS, ORDERS, st.data())
def test_what_a_device_wrote_is_read(kind: Kind, order: WordOrder, data: st.DataObject) -> None:
    """Every value of every type, but for those that mean that there is none."""
    bits, signed = 16 * width(kind), kind[0] != "u"
    whole = (
        st.integers(-(2 ** (bits - 1)) + 1, 2 ** (bits - 1) - 2) if signed else st.integers(0, 2**bits - 2)
    )
    floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
    value = data.draw(floats if kind == "float32" else whole)
    written = words(FORMATS[kind], value)
    assert decode(written if order == "big" else written[::-1], kind, word_order=order) == value


@given(st.lists(REGISTERS, max_size=5), KINDS, ORDERS)
def test_anything_is_a_finite_number_or_refused(held: list[int], kind: Kind, order: WordOrder) -> None:
    """Also registers of another count."""
    try:
        value = decode(held, kind, word_order=order)
    except Refused:
        return
    assert math.isfinite(value)


@pytest.mark.parametrize(
    "kind, held",
    [
        ("int16", [0x8000]),
        ("int16", [0x7FFF]),
        ("uint16", [0xFFFF]),
        ("int32", [0x8000, 0]),
        ("int32", [0x7FFF, 0xFFFF]),
        ("uint32", [0xFFFF, 0xFFFF]),
        ("float32", [0x7FC0, 0]),
        ("float32", [0x7F80, 0]),
        ("float32", [0xFF80, 0]),
    ],
)
def test_no_reading_is_no_number(kind: Kind, held: list[int]) -> None:
    """What devices write where they have none, or one that does not fit."""
    with pytest.raises(Refused, match="the device has no reading"):
        decode(held, kind)


@given(st.sampled_from(sorted(METERS)), st.data())
def test_any_registers_of_a_meter_model_make_watts_or_are_refused(model: int, data: st.DataObject) -> None:
    """Garbage makes no NaN and no other error."""
    place = Place(address=40_070, model=model)
    held = [model, *data.draw(st.lists(REGISTERS, min_size=place.count - 1, max_size=place.count - 1))]
    try:
        power_w = sunspec_w(held, place)
    except Refused:
        return
    assert math.isfinite(power_w)


@given(st.integers(-32_767, 32_766), st.integers(-32_768, 32_767))
def test_a_scale_factor_counts_as_sunspec_has_it(power: int, scale: int) -> None:
    """From -10 to 10; others are refused."""
    held = [203, 105, *[0] * 21]
    (held[18],), (held[22],) = words("h", power), words("h", scale)
    place = Place(address=0, model=203)
    if -10 <= scale <= 10:
        assert sunspec_w(held, place) == pytest.approx(power * 10.0**scale)
    else:
        with pytest.raises(Refused, match=r"scale factor|end of int16"):
            sunspec_w(held, place)


@given(st.lists(REGISTERS, min_size=2, max_size=40), st.integers(1, 3))
async def test_any_chain_of_models_comes_to_an_end(tail: list[int], instance: int) -> None:
    """Behind the mark there may be anything: a meter is found, or it is refused."""
    held = {**dict.fromkeys(range(0x10000), 0), **sunspec(0, 1)}
    held.update({2 + 2 + LENGTHS[1] + i: register for i, register in enumerate(tail)})

    async def read(address: int, count: int) -> list[int]:
        return [held[a] for a in range(address, address + count)]

    try:
        place = await find_meter(read, instance)
    except Refused:
        return
    assert place.model in METERS


def test_a_value_means_what_its_bytes_say() -> None:
    """The expectation is the standard's, not our own code: big-endian, the high register first."""
    assert decode([0x42F6, 0xE979], "float32") == struct.unpack(">f", bytes.fromhex("42f6e979"))[0]
    assert decode([0x0001, 0xE240], "uint32") == 123_456
    assert decode([0xFF38], "int16") == -200


@pytest.mark.parametrize(
    "changes, complaint",
    [
        ({"map": "registers"}, "register is missing; give its address and type"),
        ({"register": {"address": 1, "type": "int16"}}, "remove register"),
        ({"map": "registers", "register": {"address": 65_536, "type": "int16"}}, "address"),
        ({"map": "registers", "register": {"address": 1, "type": "int64"}}, "type"),
        ({"map": "registers", "register": {"address": 1, "type": "int16", "scale": 0}}, "scale is 0"),
        ({"import_is": "up"}, "import_is"),
        ({"unit_id": 256}, "unit_id"),
        ({"timeout_s": float("inf")}, "timeout_s"),
        ({"user": "x"}, "user"),
    ],
)
def test_options_that_make_no_sense_are_refused(changes: dict[str, object], complaint: str) -> None:
    """By name."""
    with pytest.raises(ValidationError, match=complaint):
        ModbusOptions.model_validate({"host": "meter", "map": "sunspec", **changes})


def test_watts_at_the_last_register_fit() -> None:
    """A type of two registers may not begin at the last one."""
    with pytest.raises(ValidationError, match="leaves the registers"):
        Register(address=65_535, type="int32")
