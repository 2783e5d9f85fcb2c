"""WhatsMiner API 2: commands that change something go as AES-256 in base64, with a token that the machine lends.

The machine tells two salts and the last four figures of its clock. From the admin password and the first salt comes
the key, from the key and the rest the token (MicroBT's "WhatsMiner API", 2.0.x). A token is good for 30 minutes, and
there are 100 of them: a driver keeps its own.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from workers.whatsminer.md5_crypt import md5_crypt

_BLOCK: Final = 16


class Write(StrEnum):
    """All that we ever ask a machine to change. Pools, passwords and the write lock are not here, and stay out."""

    POWER_OFF = "power_off"
    POWER_ON = "power_on"
    POWER_PERCENT = "set_power_pct"  #: within a second, about, and until the next start
    POWER_LIMIT = "adjust_power_limit"  #: starts the machine anew


@dataclass(frozen=True, slots=True, kw_only=True)
class Loan:
    """What `get_token` tells."""

    salt: str
    newsalt: str
    time: str  #: the last four figures of the machine's clock

    @classmethod
    def of(cls, message: object) -> Loan:
        """From the `Msg` of the answer. Raises ValueError."""
        fields = message if isinstance(message, dict) else {}
        parts = [fields.get(name) for name in ("salt", "newsalt", "time")]
        if all(isinstance(part, str) and part for part in parts):
            salt, newsalt, time = map(str, parts)
            return cls(salt=salt, newsalt=newsalt, time=time)
        raise ValueError(f"get_token={message!r}: has no salt, newsalt and time; is its firmware API 2?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """What a command is encrypted with, and what stands in it."""

    key: str = field(repr=False)
    sign: str = field(repr=False)

    def close(self, write: Write, values: Mapping[str, str]) -> dict[str, object]:
        """The request for a command, for nobody else to read. All its values are text."""
        plain = json.dumps({"cmd": write.value, **values, "token": self.sign}).encode()
        encryptor = self._cipher().encryptor()
        sealed = encryptor.update(plain + b"\0" * (-len(plain) % _BLOCK)) + encryptor.finalize()
        return {"enc": 1, "data": base64.b64encode(sealed).decode()}

    def open(self, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        """The answer in clear: a refusal comes unsealed. Raises ValueError."""
        if "enc" not in answer:
            return answer
        sealed = base64.b64decode(str(answer["enc"]))
        decryptor = self._cipher().decryptor()
        plain = decryptor.update(sealed) + decryptor.finalize()
        said = json.loads(plain.rstrip(b"\0"), strict=False)
        if isinstance(said, dict):
            return said
        raise ValueError(f"sealed answer {said!r}: is no JSON object")

    def _cipher(self) -> Cipher[modes.ECB]:
        # ECB hides little; it is what the machine understands.
        return Cipher(algorithms.AES(sha256(self.key.encode()).digest()), modes.ECB())  # noqa: S305


def seal_of(password: str, loan: Loan, *, known_key: str | None = None) -> Seal:
    """The seal for this loan. Two milliseconds, half of it where the key for its salt is known already."""
    key = known_key or md5_crypt(password, loan.salt)
    return Seal(key=key, sign=md5_crypt(key + loan.time, loan.newsalt))
