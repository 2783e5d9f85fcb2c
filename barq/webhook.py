"""What a webhook of `notify` is: its address, its events, and how a receiver knows that it is from the site.

Each call is a POST with a JSON body and the headers `Barq-Event`, `Barq-Delivery` (the same on every retry, to tell
doubles) and `Barq-Signature: t=SECONDS,v1=HEX`, where HEX is HMAC-SHA256 of "SECONDS." and the body under the secret.
Who pushes a limit to a site signs it in the same way.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from typing import Final
from urllib.parse import urlsplit

SIGNATURE: Final = "Barq-Signature"
TOLERANCE_S: Final = 300.0
MAX_URL_CHARACTERS: Final = 2000
_VISIBLE = re.compile(r"[!-~]+", re.ASCII)
_PARTS = re.compile(r"t=(\d{1,12}),v1=([0-9a-f]{64})", re.ASCII)


def verify(
    secret: str, signature: str, body: bytes, *, tolerance_s: float = TOLERANCE_S, now_s: float | None = None
) -> bool:
    """Whether `body` came with this `Barq-Signature`, made under `secret` no longer than `tolerance_s` ago."""
    found = _PARTS.fullmatch(signature)
    if found is None:
        return False
    told_s, digest = found.groups()
    age_s = (time.time() if now_s is None else now_s) - int(told_s)
    return hmac.compare_digest(_digest(secret, told_s, body), digest) and abs(age_s) <= tolerance_s


def sign(secret: str, body: bytes, *, now_s: float | None = None) -> str:
    """The `Barq-Signature` of `body` under `secret`, made now: for whoever pushes a limit to a site."""
    told_s = str(int(time.time() if now_s is None else now_s))
    return f"t={told_s},v1={_digest(secret, told_s, body)}"


def signed_at_s(signature: str) -> int | None:
    """When a `Barq-Signature` says that it was made, Unix seconds; None if it is none. No proof of anything."""
    found = _PARTS.fullmatch(signature)
    return None if found is None else int(found.group(1))


def _digest(secret: str, told_s: str, body: bytes) -> str:
    return hmac.new(secret.encode(), told_s.encode() + b"." + body, hashlib.sha256).hexdigest()


def checked_url(text: str) -> str:
    """The address of a webhook, if it is one. Raises ValueError."""
    if len(text) > MAX_URL_CHARACTERS or not _VISIBLE.fullmatch(text):
        raise ValueError(f"write a URL of at most {MAX_URL_CHARACTERS} visible ASCII characters")
    try:
        parts = urlsplit(text)
        port_is_odd = parts.port == 0
    except ValueError as error:
        raise ValueError("write a URL such as https://hooks.example.org/barq") from error
    if parts.scheme not in ("https", "http") or not parts.hostname or port_is_odd:
        raise ValueError("write a URL such as https://hooks.example.org/barq")
    if "@" in parts.netloc or parts.fragment:
        raise ValueError("leave user, password and fragment out of the URL; the secret signs the call")
    return text
