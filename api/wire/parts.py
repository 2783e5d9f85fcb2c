"""What models of the wire have in common."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue


class Shown(BaseModel):
    """An answer: only what is declared is shown, and facts come from objects or documents alike."""

    model_config = ConfigDict(from_attributes=True, extra="ignore")


class Sent(BaseModel):
    """A body: unknown fields are refused, and so is text where a number belongs."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def example(**fields: JsonValue) -> dict[str, Any]:
    """The schema extra that carries one example."""
    return {"examples": [fields]}
