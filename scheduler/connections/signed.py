"""Data that travels as a JWS in compact form (RFC 7515): checked before any of it counts, or signed by the site."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from joserfc import jws
from joserfc.errors import InvalidKeyTypeError, JoseError
from joserfc.jwk import ECKey, Key, KeySet, import_key

from scheduler.connections.messages import Refused
from scheduler.errors import SignalError

ALGORITHMS: Final = ("ES256", "RS256")
"""What counts as a signature. What needs a shared secret, or none at all, does not."""


def signed_payload(text: str, keys_file: Path) -> bytes:
    """What was signed with one of the public keys in a file: a JWK set, which names keys by `kid`, or one key in PEM.

    The file is read each time, so that a key that is replaced counts from then on. Raises `Refused`.
    """
    keys = _keys(keys_file)
    try:
        return jws.deserialize_compact(text, keys, algorithms=list(ALGORITHMS)).payload
    except (JoseError, ValueError) as error:
        why = getattr(error, "error", "") or type(error).__name__
        raise Refused(
            f"its signature does not hold ({why}); have it signed ({' or '.join(ALGORITHMS)}) with a key in {keys_file}"
        ) from None


def signed(payload: bytes, key_file: Path) -> str:
    """The payload, signed (ES256) with the private key in a file: a JWK, whose `kid` is told, or a key in PEM.

    The file is read each time, so that a key that is replaced counts from then on. Raises `SignalError` that names
    the file, and nothing of what it holds.
    """
    try:
        text = key_file.read_text(encoding="utf-8")
        key = ECKey.import_key(json.loads(text) if text.lstrip().startswith("{") else text)
        header = {"alg": "ES256"} | ({"kid": key.kid} if key.kid else {})
        return jws.serialize_compact(header, payload, key, algorithms=["ES256"])
    except (OSError, JoseError, ValueError, LookupError, TypeError, AttributeError) as error:
        remedy = "put a private key on the curve P-256 there, in PEM or as a JWK"
        raise SignalError(f"nothing can be signed: {key_file}: {type(error).__name__}; {remedy}") from error


def _keys(path: Path) -> KeySet | Key:
    try:
        text = path.read_text(encoding="utf-8")
        return KeySet.import_key_set(json.loads(text)) if text.lstrip().startswith("{") else _from_pem(text)
    except (OSError, JoseError, ValueError, LookupError, TypeError, AttributeError) as error:
        remedy = "put a JWK set or a public key in PEM there"
        raise Refused(f"its signature cannot be checked: {path}: {type(error).__name__}; {remedy}") from error


def _from_pem(text: str) -> Key:
    try:
        return import_key(text, "EC")
    except InvalidKeyTypeError:
        return import_key(text, "RSA")
