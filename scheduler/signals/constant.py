"""A standing limit from a contract: always the same, until the site file changes.

In the site file:

    signals:
      - type: constant
        name: grid-contract      # how it is named wherever the limit is shown
        limit_w: 12000           # W at the site meter
        provenance: "connection agreement, feeder 4"
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from scheduler.core.envelope import Envelope, Segment
from scheduler.errors import SettingsError

_ALWAYS = datetime(2000, 1, 1, tzinfo=UTC)


class Options(BaseModel):
    """What the site file says of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit_w: float = Field(ge=0, le=1e10, allow_inf_nan=False)
    provenance: str = ""


class ConstantLimit:
    """Answers with the same envelope, always fresh."""

    def __init__(self, name: str, options: Options, *, reaction_s: float) -> None:
        self.name = name
        self._options = options
        self._reaction_s = reaction_s

    async def read(self, at: datetime) -> Envelope:
        """The envelope as known at `at`."""
        segment = Segment(
            starts_at=_ALWAYS, limit_w=self._options.limit_w, provenance=self._options.provenance
        )
        return Envelope(
            source=self.name,
            issued_at=_ALWAYS,
            read_at=at,
            reaction_s=self._reaction_s,
            segments=(segment,),
        )


def open_source(name: str, options: Mapping[str, Any], *, base: Path, reaction_s: float) -> ConstantLimit:
    """The source that the site file describes. Raises `SettingsError`."""
    del base  # it reads no file
    try:
        return ConstantLimit(name, Options.model_validate(options), reaction_s=reaction_s)
    except ValidationError as error:
        raise SettingsError(f"signals.{name}: {error.errors(include_url=False)[0]['msg']}") from error
