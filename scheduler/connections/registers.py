"""What the registers of a Modbus device mean. Pure: registers in, watts out; what cannot be true is refused.

Two maps: SunSpec, in which a device says itself where its readings are, and one register that a person names.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from scheduler.connections.messages import Refused

Kind = Literal["int16", "uint16", "int32", "uint32", "float32"]
WordOrder = Literal["big", "little"]
Read = Callable[[int, int], Awaitable[Sequence[int]]]
"""Holding registers from an address on, so many. Raises `Declined` where the device has none there."""

_FORMATS: Final[dict[Kind, str]] = {
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "float32": "f",
}
_MARK: Final = (0x5375, 0x6E53)  #: "SunS"
_BASES: Final = (40_000, 50_000, 0)  #: where SunSpec allows its mark to be
_END: Final = 0xFFFF
_MOST_MODELS: Final = 100  #: that are walked over before the chain counts as broken
_SCALES: Final = range(-10, 11)  #: exponents that a SunSpec scale factor may be
_ADDRESSES: Final = 0x10000


class Declined(Refused):
    """The device answers, and says that it will not: a Modbus exception."""


class Register(BaseModel):
    """One quantity in the registers of a device, as a person reads it in the device's manual."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    address: int = Field(ge=0, lt=_ADDRESSES)  #: as it is asked for, from 0: what manuals call 40001 is 0
    type: Kind
    word_order: WordOrder = "big"  #: of the two registers of 32 bits; big = the high one first
    scale: float = 1.0  #: W for one unit of the register; 100 for units of 0.1 kW
    table: Literal["holding", "input"] = "holding"

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.scale == 0:
            raise ValueError("scale is 0, and every reading would be 0 W; give the W of one unit")
        if self.address + self.count > _ADDRESSES:
            raise ValueError(f"{self.type} at {self.address} leaves the registers, which end at 65535")
        return self

    @property
    def count(self) -> int:
        """How many registers it takes."""
        return width(self.type)

    def power_w(self, registers: Sequence[int]) -> float:
        """The watts in its registers. Raises `Refused`."""
        return decode(registers, self.type, word_order=self.word_order) * self.scale


class ModbusOptions(BaseModel):
    """What the site file says of a Modbus TCP device that measures power."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    host: str = Field(min_length=1, max_length=253)
    port: int = Field(default=502, ge=1, le=65_535)
    unit_id: int = Field(default=1, ge=0, le=255)
    map: Literal["sunspec", "registers"]
    instance: Annotated[int, Field(ge=1, le=_MOST_MODELS)] = 1  #: which of the SunSpec meters in the device
    register_: Register | None = Field(default=None, alias="register")
    import_is: Literal["positive", "negative"] = (
        "positive"  #: what the device calls power drawn from the grid
    )
    max_w: float = Field(default=1e10, gt=0)  #: what is beyond cannot be meant, in either direction
    timeout_s: float = Field(default=2.0, gt=0, le=60)  #: for each answer

    @model_validator(mode="after")
    def _has_its_map(self) -> Self:
        if self.map == "registers" and self.register_ is None:
            raise ValueError("map is registers, and register is missing; give its address and type")
        if self.map == "sunspec" and self.register_ is not None:
            raise ValueError("map is sunspec, where the device names its registers; remove register")
        return self

    def drawn_w(self, power_w: float) -> float:
        """Watts drawn, below 0 where power is given back. Raises `Refused` beyond `max_w`."""
        if abs(power_w) > self.max_w:
            raise Refused(
                f"it shows {power_w:.6g} W, and max_w is {self.max_w:.6g}; check the scale, or raise max_w"
            )
        return power_w if self.import_is == "positive" else -power_w


def width(kind: Kind) -> int:
    """How many registers of 16 bits a type takes."""
    return struct.calcsize(f">{_FORMATS[kind]}") // 2


def decode(registers: Sequence[int], kind: Kind, *, word_order: WordOrder = "big") -> float:
    """The number in the registers, always finite.

    Raises `Refused` for NaN and infinity, and for whole numbers at an end of their range: that is how devices say
    that they have no such reading, or that it does not fit.
    """
    if len(registers) != width(kind):
        raise Refused(f"{kind} is {width(kind)} registers, and {len(registers)} came; check the device")
    words = registers if word_order == "big" else tuple(reversed(registers))
    value: float = struct.unpack(f">{_FORMATS[kind]}", struct.pack(f">{len(words)}H", *words))[0]
    shown = " ".join(f"0x{r:04X}" for r in registers)
    if not math.isfinite(value):
        raise Refused(f"{shown} is {value} as {kind}: the device has no reading")
    if kind != "float32" and _is_at_an_end(int(value), kind):
        raise Refused(f"{shown} is the end of {kind}: the device has no reading, or one that does not fit")
    return float(value)


def _is_at_an_end(value: int, kind: Kind) -> bool:
    bits = 16 * width(kind)
    return value == 2**bits - 1 if kind[0] == "u" else value in (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where a SunSpec meter model has its total real power, in registers from the model's id on."""

    kind: Kind
    power_at: int
    scale_at: int | None = None  #: of its scale factor; None = it is a float and has none

    @property
    def count(self) -> int:
        """Registers from the id to the last one that is needed."""
        last_at = self.power_at + width(self.kind) - 1 if self.scale_at is None else self.scale_at
        return last_at + 1


_WHOLE: Final = Layout(kind="int16", power_at=18, scale_at=22)
_FLOAT: Final = Layout(kind="float32", power_at=28)
METERS: Final = dict.fromkeys(range(201, 205), _WHOLE) | dict.fromkeys(range(211, 215), _FLOAT)
"""Meter models by id: single, split, wye and delta, in whole numbers and in floats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A SunSpec meter that was found: the address of its model's id, and the id."""

    address: int
    model: int

    @property
    def count(self) -> int:
        """Registers to ask for, from `address` on."""
        return METERS[self.model].count


def sunspec_w(registers: Sequence[int], place: Place) -> float:
    """Total real power, from `place.count` registers at `place`. Raises `Refused`, also where the model moved."""
    layout = METERS[place.model]
    if len(registers) != layout.count or registers[0] != place.model:
        raise Refused(
            f"model {place.model} is no longer at {place.address}; the device is looked through anew"
        )
    end = layout.power_at + width(layout.kind)
    power = decode(registers[layout.power_at : end], layout.kind)
    return power if layout.scale_at is None else power * 10.0 ** _exponent(registers[layout.scale_at])


def _exponent(register: int) -> int:
    value = int(decode((register,), "int16"))
    if value not in _SCALES:
        raise Refused(
            f"the scale factor of the power is {value}, and SunSpec has -10 to 10; check the device"
        )
    return value


async def find_meter(read: Read, instance: int) -> Place:
    """The SunSpec meter in a device, the first that there is or a later one. Raises `Refused` where there is none."""
    address, seen = await _first_model(read), []
    for _ in range(_MOST_MODELS):
        model, length = await read(address, 2)
        if model == _END:
            break
        seen.append(model)
        if model in METERS and sum(m in METERS for m in seen) == instance:
            _check_length(model, length)
            return Place(address=address, model=model)
        address += 2 + length
        if address + 2 > _ADDRESSES:
            raise Refused(
                f"the chain of SunSpec models leaves the registers after model {model}; check the device"
            )
    have = ", ".join(map(str, seen)) or "none"
    raise Refused(
        f"it has no {instance}. SunSpec meter (201-204, 211-214); its models: {have}; check unit_id"
    )


async def _first_model(read: Read) -> int:
    for base in _BASES:
        try:
            mark = await read(base, 2)
        except Declined:
            continue
        if tuple(mark) == _MARK:
            return base + 2
    raise Refused("no SunSpec mark at 40000, 50000 or 0; check unit_id, or use map: registers")


def _check_length(model: int, length: int) -> None:
    if length + 2 < METERS[model].count:
        raise Refused(f"model {model} has {length} registers, too few for its power; check the device")
