"""A limit that the site measures itself: what its own generation leaves over, at the grid connection.

In the site file (`configs/sites/modbus.yaml` holds it with all keys):

    signals:
      - type: surplus
        name: own-solar
        grid: {host: 10.0.0.8, map: sunspec, import_is: positive}     # the meter at the grid connection
        site: {host: 10.0.0.7, map: sunspec}                          # the meter of what Barq rules
        rise_w_per_s: 200
        reserve_w: 500          # kept back, for what changes between two readings
        stale_after_s: 10

The limit is export + own draw: what is sold now could be used instead. While power is bought it is own draw - import.
Both meters are described like the one in `docs/metering.md`; their own meter is asked before and after the other, and
the lower counts, so that a draw that rises in between is not taken for surplus.

The limit falls at once, and rises by `rise_w_per_s` at most: a cloud is back soon. After a start, or a silence of
`stale_after_s`, it rises from what the site draws. It is never below `floor_w`, which is `power.firm_w` if left out.
Both meters must answer: without the own draw nobody knows how much of the power at the connection is ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import Field

from scheduler.connections.messages import Refused
from scheduler.connections.modbus import Line, Silent
from scheduler.connections.registers import ModbusOptions
from scheduler.core.envelope import Envelope, Segment
from scheduler.core.steady import risen_w
from scheduler.errors import SignalError
from scheduler.signals import Options, read_options


class SurplusOptions(Options):
    """What the site file says."""

    grid: ModbusOptions
    site: ModbusOptions
    rise_w_per_s: float = Field(gt=0)
    reserve_w: float = Field(default=0.0, ge=0)
    step_w: float = Field(
        default=100.0, gt=0
    )  #: the limit is rounded down to these: noise makes no decisions
    floor_w: float = Field(ge=0)  #: of the limit; the site's firm level if left out
    reaction_s: float | None = Field(default=None, gt=0)  #: what is granted, if not as the site
    stale_after_s: float = Field(default=10.0, gt=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Climb:
    """How far the limit has risen."""

    at: datetime
    limit_w: float  #: not rounded, and without the floor


def climbed(
    before: Climb | None, at: datetime, *, own_w: float, surplus_w: float, options: SurplusOptions
) -> Climb:
    """The limit after a reading: down at once, up as fast as it may, from the own draw where nothing was known."""
    gap_s = math.inf if before is None else (at - before.at).total_seconds()
    if before is None or gap_s > options.stale_after_s:
        return Climb(at=at, limit_w=min(surplus_w, max(own_w, options.floor_w)))
    foot_w = max(before.limit_w, options.floor_w)
    return Climb(at=at, limit_w=risen_w(foot_w, gap_s, surplus_w, options.rise_w_per_s))


class Surplus:
    """Asks both meters at each reading."""

    def __init__(self, name: str, options: SurplusOptions, *, reaction_s: float) -> None:
        self.name = name
        self._options = options
        self._reaction_s = options.reaction_s or reaction_s
        self._grid, self._site = Line(options.grid), Line(options.site)
        self._climb: Climb | None = None
        self._told: Segment | None = None

    async def read(self, at: datetime) -> Envelope:
        """The limit at `at`. Raises `SignalError` where either meter cannot be read."""
        own_w, import_w = await self._measure()
        surplus_w = own_w - import_w - self._options.reserve_w
        self._climb = climbed(self._climb, at, own_w=own_w, surplus_w=surplus_w, options=self._options)
        segment = self._segment(at, self._climb.limit_w)
        return Envelope(
            source=self.name,
            issued_at=segment.starts_at,
            read_at=at,
            reaction_s=self._reaction_s,
            segments=(segment,),
            stale_after_s=self._options.stale_after_s,
        )

    def refused(self) -> Sequence[str]:
        """Nothing: what cannot be is told as the reason why there is no reading."""
        return ()

    async def close(self) -> None:
        """End both connections."""
        self._grid.close()
        self._site.close()

    async def _measure(self) -> tuple[float, float]:
        """Own draw and import, W."""
        before_w = await self._read(self._site, "site")
        import_w = await self._read(self._grid, "grid")
        own_w = min(before_w, await self._read(self._site, "site"))
        if own_w < 0:
            raise SignalError(f"site: {self._site.address} shows a draw below 0 W; correct site.import_is")
        return own_w, import_w

    async def _read(self, line: Line, which: str) -> float:
        try:
            return await line.power_w()
        except Silent as error:
            raise SignalError(f"{which}: {error}") from error
        except Refused as error:
            raise SignalError(f"{which}: {line.address}: {error}") from error

    def _segment(self, at: datetime, limit_w: float) -> Segment:
        """The limit in force, since it is what it is: one that stays the same is no news."""
        options, told = self._options, self._told
        rounded_w = max(options.floor_w, math.floor(limit_w / options.step_w) * options.step_w)
        if told is None or told.limit_w != rounded_w or told.starts_at > at:
            grid, own = self._grid.address, self._site.address
            told = self._told = Segment(
                starts_at=at,
                limit_w=rounded_w,
                provenance=f"export by {grid} + own draw by {own}",
                document=f"readings of the meters {grid} and {own}",
            )
        return told


def open_source(name: str, options: Mapping[str, Any], *, base: Path, reaction_s: float) -> Surplus:
    """The source that the site file describes. Raises `SettingsError`."""
    del base
    return Surplus(name, read_options(SurplusOptions, name, options), reaction_s=reaction_s)
