"""A ticket: one word that lets a machine join a site. It holds the site's address and a token, so it is a secret."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Self

from barq.errors import InvalidInput

PREFIX = "barq-join-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """Where the site is, and a token that it knows."""

    url: str
    token: str

    def text(self) -> str:
        """The ticket as one word."""
        content = json.dumps({"url": self.url, "token": self.token}).encode()
        return PREFIX + base64.urlsafe_b64encode(content).decode().rstrip("=")

    @classmethod
    def read(cls, text: str) -> Self:
        """The ticket that `text` is. Raises InvalidInput without showing it."""
        body = text.strip().removeprefix(PREFIX)
        try:
            content = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
            return cls(url=str(content["url"]), token=str(content["token"]))
        except (ValueError, binascii.Error, LookupError, TypeError) as error:
            raise InvalidInput(
                "the ticket makes no sense; was it cut short?",
                field="TICKET",
                remedy="paste it whole, as it was printed",
            ) from error


def is_ticket(text: str) -> bool:
    """Whether it looks like one; else it is an address."""
    return text.strip().startswith(PREFIX)
