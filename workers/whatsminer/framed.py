"""WhatsMiner API 3: each message is four bytes of length, lowest first, and JSON.

What changes something carries the time, the account and a token: the first eight letters in base64 of the SHA-256 of
command, password, salt and time. The salt is the machine's own and stays.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Final

MAX_BYTES: Final = 1 << 20  #: no answer that we ask for is near this long
HEADER: Final = struct.Struct("<I")
_TOKEN_LETTERS: Final = 8


class Write(StrEnum):
    """All that we ever ask a machine to change. Pools, passwords and accounts are not here, and stay out."""

    SERVICE = "set.miner.service"  #: stop or start
    POWER_PERCENT = "set.miner.power_percent"  #: within a second, about, and until the next start
    POWER_LIMIT = "set.miner.power_limit"  #: starts the machine anew


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who writes: `super`, or one of user1 to user3."""

    name: str = "super"
    password: str = field(default="super", repr=False)


def frame(message: Mapping[str, object]) -> bytes:
    """A message as it goes over the wire."""
    body = json.dumps(message, separators=(",", ":")).encode()
    return HEADER.pack(len(body)) + body


def length(header: bytes) -> int:
    """How many bytes follow. Raises ValueError."""
    size: int = HEADER.unpack(header)[0]
    if 0 < size <= MAX_BYTES:
        return size
    raise ValueError(f"begins with {header!r}, which is no length of an answer")


def signed(write: Write, param: object, account: Account, *, salt: str, at_s: int) -> dict[str, object]:
    """The request for a command, as `account` may write it at `at_s`, seconds since 1970."""
    digest = sha256(f"{write.value}{account.password}{salt}{at_s}".encode()).digest()
    token = base64.b64encode(digest).decode()[:_TOKEN_LETTERS]
    return {"cmd": write.value, "param": param, "ts": at_s, "account": account.name, "token": token}
