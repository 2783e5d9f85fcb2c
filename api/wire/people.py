"""People on the wire: tokens, and who asks."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from pydantic import ConfigDict, Field

from api.wire.parts import Sent, Shown, example
from barq.request import PositiveS, Text
from barq.roles import Role

TOKEN: Final[dict[str, Any]] = {
    "name": "laptop",
    "user": "ada",
    "role": "researcher",
    "created_at": "2026-03-01T12:00:00Z",
    "expires_at": "2026-05-30T12:00:00Z",
}
ME: Final[dict[str, Any]] = {
    "site": "demo",
    "user": "ada",
    "role": "researcher",
    "token": "laptop",
    "expires_at": "2026-05-30T12:00:00Z",
}
_MAX_NAME: Final = 63


class NewToken(Sent):
    """A token to make."""

    model_config = ConfigDict(
        json_schema_extra=example(user="ada", role="researcher", expires_in_s=7_776_000.0, name="laptop")
    )

    user: Text = Field(max_length=_MAX_NAME, description="Who it is for; owns the jobs submitted with it")
    role: Role = Field(strict=False, description="What it may do; admins only come from an admin")
    expires_in_s: PositiveS | None = Field(None, description="How long it is good for; without end if absent")
    name: Text | None = Field(
        None, max_length=_MAX_NAME, description="What it is for; after the user if absent"
    )


class TokenView(Shown):
    """A token, without its text."""

    model_config = ConfigDict(json_schema_extra=example(**TOKEN))

    name: str
    user: str
    role: str
    created_at: datetime
    expires_at: datetime | None = Field(description="null = never")


class MadeToken(TokenView):
    """A new token with its text, which is shown this once."""

    model_config = ConfigDict(json_schema_extra=example(**TOKEN, token="barq_eXaMpLe"))  # noqa: S106

    token: str = Field(description="What to send as the bearer token; the site itself does not keep it")


class Tokens(Shown):
    """All tokens by name; expired ones too, revoked ones not."""

    model_config = ConfigDict(json_schema_extra=example(tokens=[TOKEN]))

    tokens: list[TokenView]


class Me(Shown):
    """Who asks, and what they may do here."""

    model_config = ConfigDict(json_schema_extra=example(**ME))

    site: str
    user: str
    role: str
    token: str = Field(description="The name of the token")
    expires_at: datetime | None = Field(description="When the token ends, null = never")
