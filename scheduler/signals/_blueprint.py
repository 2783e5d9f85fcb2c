"""BLUEPRINT of a source. Copy this file, say here how an operator sets the source up, delete what is explained.

In the site file:

    signals:
      - type: my_source             # the name of this file; enter it in `scheduler/wiring.py`, SOURCES
        name: feeder-12             # how the source is called in every reason and table
        url: https://...            # your own keys, checked below
        # `poll_s`, `steady`, `binding` and `domain` are every source's, and read elsewhere: do not take these names

Rules that every source keeps, and `tests/contract/test_limit_sources.py` checks (enter yours there):

- `read(at)` is asked every `poll_s`. It returns within a second or two, or raises `SignalError`; it never blocks the
  event loop (files and sockets: `asyncio.to_thread`, or an asynchronous client with a deadline).
- What it returns is known *at* `at`: no segment that nobody has announced yet.
- `read_at` is when the other side was last heard. A source that cannot be reached raises, or returns its last envelope
  with its old `read_at`: it goes stale by itself after `stale_after_s`, and then counts min(its last value, firm).
- Watts at the site meter (with `domain` at the meter of that), at least 0, finite. Aware UTC times, segments rising in
  time.
- `forecast`, if the other side gives one, holds quantiles for times to come: shares rise, watts do not fall with them,
  the median and one at or below 0.1 are among them. It is no limit, and nothing that binds follows from it.
- No segments = the source says nothing, and the others decide. Not the same as a limit of 0.
- A segment that hands on what a giver decided has the giver's name for it as `giver_id` (empty if it has none): that
  makes it a dispatch instruction. What the source measures or works out has None.
- `reaction_s` is what the giver of the limit grants between telling it and measuring it.
- A source that is told, or holds a connection, is a `ListeningSource` (scheduler/ports.py): it begins to listen with
  its first reading, hands on its last good envelope meanwhile, says what it `refused`, and ends with `close`. What
  cannot be true is refused before it counts: no number, not finite, below 0, older than what is known. Secrets come
  from a file or the environment, and are in no error.
- With `news` as well (`PushedSource`) it is read as soon as it has something new, and after `poll_s` at the latest.
- It remembers nothing that it could not ask for again: the process may restart at any time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import Field

from scheduler.core.envelope import Envelope, Segment
from scheduler.errors import SignalError
from scheduler.signals import Options, read_options


class BlueprintOptions(Options):
    """Your keys in the site file, with their units in their names. Unknown keys are refused for you."""

    limit_w: float = Field(ge=0)  # pydantic checks the value and names it when it is wrong
    reaction_s: float | None = Field(default=None, gt=0)
    stale_after_s: float = Field(default=60.0, gt=0)


class Blueprint:
    """One sentence: where the limit comes from."""

    def __init__(self, name: str, options: BlueprintOptions, *, reaction_s: float) -> None:
        self.name = name  # part of the port: the loop knows sources by it
        self._options = options
        self._reaction_s = options.reaction_s or reaction_s

    async def read(self, at: datetime) -> Envelope:
        """The envelope as known at `at`. Raises `SignalError`."""
        limit_w = await self._ask()
        return Envelope(
            source=self.name,
            issued_at=at,  # when the giver issued it, if it says so
            read_at=at,
            reaction_s=self._reaction_s,
            segments=(Segment(starts_at=at, limit_w=limit_w, provenance="document, feeder, interval"),),
            valid_until=None,  # until further notice
            stale_after_s=self._options.stale_after_s,
        )

    async def _ask(self) -> float:
        """Talk to the other side here. Say what went wrong, with which value, and what to do about it."""
        limit_w = self._options.limit_w
        if limit_w != limit_w:  # noqa: PLR0124 - NaN is what devices answer when they do not know
            raise SignalError(f"{self.name}: the limit is {limit_w}; check the device")
        return limit_w


def open_source(name: str, options: Mapping[str, Any], *, base: Path, reaction_s: float) -> Blueprint:
    """The source that the site file describes. Raises `SettingsError`. Relative paths start at `base`."""
    del base
    return Blueprint(name, read_options(BlueprintOptions, name, options), reaction_s=reaction_s)
