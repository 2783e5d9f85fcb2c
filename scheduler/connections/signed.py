"""Data that travels as a JWS in compact form (RFC 7515): who signed it is checked before anything in it counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from joserfc import jws
from joserfc.errors import InvalidKeyTypeError, JoseError
from joserfc.jwk import Key, KeySet, import_key

from scheduler.connections.messages import Refused

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
