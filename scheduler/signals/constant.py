"""A limit that never changes: a grid contract, the rating of a transformer.

In the site file:

    signals:
      - type: constant
        name: grid-contract
        limit_w: 12000              # at the site meter
        provenance: "connection agreement 2026/17, clause 4"   # shown to whoever asks why

It stands from the beginning of time and is never stale. Other sources can only lower it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import Field

from scheduler.core.envelope import Envelope, Segment
from scheduler.signals import Options, read_options

ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)


class ConstantOptions(Options):
    """What the site file says."""

    limit_w: float = Field(ge=0)
    provenance: str = ""  #: the document that says so


class Constant:
    """The same envelope at every reading."""

    def __init__(self, name: str, options: ConstantOptions, *, reaction_s: float) -> None:
        self.name = name
        self._options = options
        self._reaction_s = reaction_s

    async def read(self, at: datetime) -> Envelope:
        """The limit."""
        options = self._options
        return Envelope(
            source=self.name,
            issued_at=ALWAYS,
            read_at=at,
            reaction_s=self._reaction_s,
            segments=(
                Segment(
                    starts_at=ALWAYS,
                    limit_w=options.limit_w,
                    provenance=options.provenance or "standing limit",
                    document=options.provenance,
                ),
            ),
        )


def open_source(name: str, options: Mapping[str, Any], *, base: Path, reaction_s: float) -> Constant:
    """The source that the site file describes. Raises `SettingsError`."""
    del base
    return Constant(name, read_options(ConstantOptions, name, options), reaction_s=reaction_s)
