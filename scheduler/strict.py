"""What every part of a site file has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A part of a site file: keys that nobody knows are refused, and what was read does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)
