"""Durations and sizes as people write them: "30m", "1h30m", "16GiB". Standard library only."""

from __future__ import annotations

import math
import re
from typing import Final

MAX_DURATION_S: Final = 10 * 366 * 86_400.0
MAX_BYTES: Final = 2**60
DURATION_FORMS: Final = 'seconds, or text such as "45s", "30m", "1h30m" or "2d"'
SIZE_FORMS: Final = 'bytes, or text such as "512MiB", "16GiB" or "16GB"'

_DURATION = re.compile(
    r"(?:(?P<d>\d+(?:\.\d+)?)d)?(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m)?(?:(?P<s>\d+(?:\.\d+)?)s)?",
    re.ASCII,
)
_SIZE = re.compile(r"(?P<count>\d+(?:\.\d+)?) ?(?P<unit>[kKMGT]i?B)", re.ASCII)
_PLAIN = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_UNIT_S: Final = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_UNIT_BYTES: Final = {
    **{unit: 1000**power for power, unit in enumerate(("kB", "MB", "GB", "TB"), start=1)},
    **{unit: 1024**power for power, unit in enumerate(("KiB", "MiB", "GiB", "TiB"), start=1)},
}
_MAX_TEXT: Final = 40


def parse_duration_s(value: object) -> float:
    """Return the seconds that `value` (number or text, "1h30m") means. Raises ValueError with the remedy."""
    seconds = _number(value) if not isinstance(value, str) else _text_s(value.strip())
    if seconds is None:
        raise ValueError(f"write {DURATION_FORMS}")
    if not 0 <= seconds <= MAX_DURATION_S:
        raise ValueError(f"write a duration from 0 to {MAX_DURATION_S:.0f} seconds (ten years)")
    return float(seconds)


def parse_bytes(value: object) -> int:
    """Return the bytes that `value` (a number, or text: "16GiB") means. Raises ValueError with the remedy."""
    size = _number(value) if not isinstance(value, str) else _text_bytes(value.strip())
    if size is None:
        raise ValueError(f"write {SIZE_FORMS}")
    if not 0 < size <= MAX_BYTES:
        raise ValueError(f"write a size from 1 byte to {MAX_BYTES} bytes")
    return int(size)


def _number(value: object) -> int | float | None:
    """The number itself; None for anything that is not a finite one (a truth value is none)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _text_s(text: str) -> float | None:
    if len(text) > _MAX_TEXT or not text:
        return None
    if _PLAIN.fullmatch(text):
        return float(text)
    found = _DURATION.fullmatch(text)
    return found and sum(float(count) * _UNIT_S[unit] for unit, count in found.groupdict(default="0").items())


def _text_bytes(text: str) -> float | None:
    if len(text) > _MAX_TEXT:
        return None
    if _PLAIN.fullmatch(text):
        return float(text)
    found = _SIZE.fullmatch(text)
    unit_bytes = _UNIT_BYTES.get(found["unit"]) if found else None
    return float(found["count"]) * unit_bytes if found and unit_bytes else None
