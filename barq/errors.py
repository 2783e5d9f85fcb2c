"""What can go wrong between a person and a site.

    BarqError
    ├── InvalidInput    what was written makes no sense: a flag, a file, a field (also a ValueError)
    ├── NotFound        no such job, node or limit
    ├── Refused         understood, and not allowed as things stand
    │   └── Unauthorized    no token, or one that the site does not know
    ├── Unreachable     no site answers
    └── ServerError     the site answered, and failed

Each carries the facts beside its message: `code` (stable, for programs), `field`, `value` and `remedy`.
"""

from __future__ import annotations

from typing import ClassVar

_SHOWN_CHARACTERS = 80


class BarqError(Exception):
    """Root of what Barq raises on purpose; `message` is one sentence, its remedy stands beside it."""

    default_code: ClassVar[str] = "error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        field: str | None = None,
        value: object = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.field = field
        self.value = value
        self.remedy = remedy

    def __str__(self) -> str:
        """Return one line: what, the field and its value where the message does not name them, the remedy."""
        line = " ".join(self.message.split()).rstrip(".")
        facts = self._facts_not_in(line)
        if facts:
            line = f"{line} ({facts})"
        remedy = (self.remedy or "").rstrip(".")
        return line if remedy in line else f"{line}; {remedy}"

    def _facts_not_in(self, line: str) -> str:
        named = "" if self.field is None or self.field in line else self.field
        shown = "" if self.value is None or str(self.value) in line else _shorten(str(self.value))
        return " = ".join(part for part in (named, shown) if part)


class InvalidInput(BarqError, ValueError):
    """What was written makes no sense; nothing was done."""

    default_code = "invalid_input"


class NotFound(BarqError):
    """There is no such job, node or limit."""

    default_code = "not_found"


class Refused(BarqError):
    """The site understood, and does not allow it as things stand; nothing was done."""

    default_code = "refused"


class Unauthorized(Refused):
    """The site wants a token that it knows."""

    default_code = "unauthorized"


class Unreachable(BarqError):
    """No site answers at the address, or it stopped answering half-way."""

    default_code = "unreachable"


class ServerError(BarqError):
    """The site answered, and failed; trying again later may help."""

    default_code = "server_error"


def _shorten(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
