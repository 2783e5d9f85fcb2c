"""How close together a job's nodes are to be: `topology` in the job file, by the levels that the site file names."""

from __future__ import annotations

import re
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

LEVEL: Final = r"^[a-z0-9][a-z0-9-]{0,31}$"
PLACE: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$"
MAX_LEVELS: Final = 8
_LEVEL: Final = re.compile(LEVEL, re.ASCII)


def _level(text: str) -> str:
    if not _LEVEL.fullmatch(text):
        raise ValueError("write the name of a level as the site file has it, such as rack")
    return text


Level = Annotated[str, AfterValidator(_level), WithJsonSchema({"type": "string", "pattern": LEVEL})]


class Topology(BaseModel):
    """Within one rack, or whatever the site's levels are called: give one of the two."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    required: Level | None = Field(None, description="In one of this level, or it waits")
    preferred: Level | None = Field(None, description="In one of this level if there is room, else in few")

    @model_validator(mode="after")
    def _says_one(self) -> Self:
        if (self.required is None) == (self.preferred is None):
            raise ValueError("give either required or preferred, with the name of a level: {required: rack}")
        return self
