"""md5-crypt (`$1$`), from which WhatsMiner makes its keys: Poul-Henning Kamp's scheme of 1994, unchanged since.

Ours because nothing that is kept has it: `crypt` left the standard library with Python 3.13, passlib had its last
release in 2020, and `cryptography` leaves it out. It guards nothing of ours; a vendor's protocol asks for it.
"""

from __future__ import annotations

from hashlib import md5
from typing import Final

_ALPHABET: Final = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ROUNDS: Final = 1000
_TRIPLES: Final = ((0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5))
MAX_SALT: Final = 8  #: what comes after is not used, as everywhere


def md5_crypt(secret: str, salt: str) -> str:
    """The 22 characters that stand after `$1$salt$`. About a millisecond."""
    word, grain = secret.encode(), salt.encode()[:MAX_SALT]
    digest = _hash(_opening(word, grain))
    for turn in range(_ROUNDS):
        odd = turn % 2 == 1
        digest = _hash(
            (word if odd else digest)
            + (grain if turn % 3 else b"")
            + (word if turn % 7 else b"")
            + (digest if odd else word)
        )
    return _letters(digest)


def _opening(word: bytes, grain: bytes) -> bytes:
    """What the first digest is taken of."""
    inner = _hash(word + grain + word)
    text = word + b"$1$" + grain + (inner * (len(word) // len(inner) + 1))[: len(word)]
    length = len(word)
    while length:
        text += b"\0" if length & 1 else word[:1]
        length >>= 1
    return text


def _letters(digest: bytes) -> str:
    """Six bits a letter, in the order of this scheme."""
    text = "".join(_spell(digest[a] << 16 | digest[b] << 8 | digest[c], 4) for a, b, c in _TRIPLES)
    return text + _spell(digest[11], 2)


def _spell(bits: int, count: int) -> str:
    return "".join(_ALPHABET[bits >> 6 * place & 63] for place in range(count))


def _hash(data: bytes) -> bytes:
    return md5(data, usedforsecurity=False).digest()
