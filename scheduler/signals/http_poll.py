"""A limit in a JSON document behind a URL, which is asked for every `poll_s`.

In the site file (`configs/sites/http.yaml` holds it with all keys):

    signals:
      - type: http_poll
        name: feeder-12
        poll_s: 5                         # how often it is asked for
        url: https://dso.example/feeders/12/limit.json
        token_file: secrets/dso-token     # a bearer token; or username_file and password_file; or ..._env for each
        ca_file: secrets/dso-ca.pem       # relative to the site's state directory, as all files are
        field: /limit/value               # JSON pointer, or the name of a key; "" = the document is the number
        unit: kW                          # W (default), kW or MW
        timestamp_field: /issued          # ISO 8601 or Unix: an older document than the one known is refused
        valid_until_field: /until         # null there, or left out here: until further notice
        steps_field: /ahead               # a list of what holds later, rising in time:
        step_time_field: from             #   [{"from": "2026-06-01T18:00:00Z", "limit": 160}, ...]
        step_limit_field: limit
        max_w: 15e6                       # what is above cannot be meant
        stale_after_s: 60

The limit holds from its timestamp, or from when it was first seen, to the first later step. Without `field` the steps
alone are the limit. Where the server answers with an ETag, an unchanged document is not sent again.

Garbage, what is not finite, below 0, above `max_w`, dated ahead of the clock or older than what is known is refused;
the last good document stands and ages, as it does while the server cannot be reached: after `stale_after_s` its limit
counts no more than the firm level. `max_age_s` is for a server that may go on serving what nobody writes any more: a
document whose timestamp is older counts as heard no longer.

HTTPS only, but for this machine itself (or `allow_http: true`, in a closed network). No redirect is followed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field

from scheduler.connections.http import HttpOptions, Page, check_http
from scheduler.connections.messages import (
    WATTS,
    Refused,
    at_field,
    instant,
    named,
    power_w,
    read_json,
    shown,
)
from scheduler.core.envelope import Envelope, Segment
from scheduler.errors import SettingsError, SignalError
from scheduler.signals import Options, read_options

MOST_BYTES: Final = 1_000_000
MOST_STEPS: Final = 5000
MOST_REFUSED: Final = 20  #: that are kept to be told


class PollOptions(Options, HttpOptions):
    """What the site file says, beside where the document is."""

    field: str | None = None  #: None = only the steps count
    unit: Literal["W", "kW", "MW"] = "W"
    max_w: float = Field(default=1e10, gt=0)
    timestamp_field: str | None = None
    valid_until_field: str | None = None
    provenance_field: str | None = None  #: what the giver calls its document
    steps_field: str | None = None
    step_time_field: str = "starts_at"
    step_limit_field: str = "limit"
    clock_ahead_s: float = Field(
        default=5.0, ge=0, le=3600
    )  #: how far ahead of ours the giver's clock may be
    max_age_s: float | None = Field(default=None, gt=0)  #: of a document, by its timestamp
    reaction_s: float | None = Field(default=None, gt=0)  #: what this giver grants, if not as the site
    stale_after_s: float = Field(default=60.0, gt=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one document says."""

    limit_w: float | None  #: from now on; None = only the steps say something
    steps: tuple[Segment, ...]  #: rising in time
    provenance: str
    document: str = ""  #: as the giver calls it
    stamp_at: datetime | None = None
    valid_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The last document that counts."""

    told: Told
    since_at: datetime  #: it was first heard of
    heard_at: datetime  #: the server showed it last


def read_document(payload: bytes, options: PollOptions) -> Told:
    """What a document says. Raises `Refused`."""
    document = read_json(payload, most_bytes=MOST_BYTES)
    called = None if options.provenance_field is None else at_field(document, options.provenance_field)
    provenance = options.url_shown() + ("" if called is None else f": {shown(called)}")
    name = "" if called is None else named(called)
    stamp, until = options.timestamp_field, options.valid_until_field
    end = None if until is None else at_field(document, until)
    return Told(
        limit_w=None if options.field is None else _watts(document, options.field, options),
        steps=_steps(document, options, provenance, name),
        provenance=provenance,
        document=name,
        stamp_at=None if stamp is None else instant(at_field(document, stamp), stamp),
        valid_until=None if until is None or end is None else instant(end, until),
    )


def _watts(document: object, field: str, options: PollOptions) -> float:
    return power_w(
        at_field(document, field),
        field or "the limit",
        unit=options.unit,
        watts=WATTS[options.unit],
        max_w=options.max_w,
    )


def _steps(document: object, options: PollOptions, provenance: str, name: str) -> tuple[Segment, ...]:
    if options.steps_field is None:
        return ()
    listed = at_field(document, options.steps_field)
    if not isinstance(listed, list) or len(listed) > MOST_STEPS:
        raise Refused(
            f"{options.steps_field} is {shown(listed)}; send a list of at most {MOST_STEPS} steps there"
        )
    steps = tuple(
        Segment(
            starts_at=instant(at_field(step, options.step_time_field), options.step_time_field),
            limit_w=_watts(step, options.step_limit_field, options),
            provenance=provenance,
            document=name,
        )
        for step in listed
    )
    for before, then in pairwise(steps):
        if then.starts_at <= before.starts_at:
            raise Refused(
                f"the step at {then.starts_at.isoformat()} comes after that at {before.starts_at.isoformat()}; "
                "send steps that rise in time"
            )
    return steps


def succeed(known: Known | None, told: Told, at: datetime, options: PollOptions) -> Known:
    """What is known after a document that was seen at `at`. Raises `Refused` where it cannot follow."""
    check_age(told, at, options)
    before = None if known is None else known.told
    if told.stamp_at and before and before.stamp_at and told.stamp_at < before.stamp_at:
        raise Refused(
            f"it is of {told.stamp_at.isoformat()}, and one of {before.stamp_at.isoformat()} is known; "
            "have the newest one served"
        )
    if known is not None and told == before:
        return Known(told=told, since_at=known.since_at, heard_at=at)
    return Known(told=told, since_at=min(at, told.stamp_at or at), heard_at=at)


def check_age(told: Told, at: datetime, options: PollOptions) -> None:
    """Raises `Refused` where a document is dated ahead of `at`, or is too old then."""
    if told.stamp_at is None:
        return
    age_s = (at - told.stamp_at).total_seconds()
    if -age_s > options.clock_ahead_s:
        raise Refused(
            f"its time is more than {options.clock_ahead_s:g} s ahead; check the clocks here and at the giver"
        )
    if options.max_age_s is not None and age_s > options.max_age_s:
        raise Refused(
            f"it is of {told.stamp_at.isoformat()}, and counts for {options.max_age_s:g} s; "
            "see why nobody writes a new one"
        )


def segments_of(known: Known) -> tuple[Segment, ...]:
    """The limit, and the steps after it."""
    told, since_at = known.told, known.since_at
    if told.limit_w is None:
        return tuple(replace(s, giver_id=told.document) for s in told.steps)
    first = Segment(
        starts_at=since_at, limit_w=told.limit_w, provenance=told.provenance, document=told.document
    )
    later = (s for s in told.steps if s.starts_at > since_at)
    return tuple(replace(s, giver_id=told.document) for s in (first, *later))


class HttpPoll:
    """Asks for the document at each reading, and hands on the last one that counts."""

    def __init__(self, name: str, options: PollOptions, *, base: Path, reaction_s: float) -> None:
        self.name = name
        self._options = options
        self._reaction_s = options.reaction_s or reaction_s
        self._page = Page(options, base=base, most_bytes=MOST_BYTES)
        self._known: Known | None = None
        self._refused: list[str] = []

    async def read(self, at: datetime) -> Envelope:
        """What the document says now. Raises `SignalError` while it cannot be had."""
        payload = await self._page.get()
        try:
            self._known = succeed(self._known, await self._told(payload), at, self._options)
        except Refused as error:
            if self._known is None:
                raise SignalError(f"{self._options.url_shown()}: {error}") from error
            self._refused = [*self._refused, str(error)][-MOST_REFUSED:]
        else:
            self._page.taken()
        return self._envelope(self._known, at)

    async def _told(self, payload: bytes | None) -> Told:
        if payload is not None:
            return await asyncio.to_thread(read_document, payload, self._options)
        if self._known is None:
            raise Refused("it is said to be unchanged, and was never read; have the server send it")
        return self._known.told

    def _envelope(self, known: Known, at: datetime) -> Envelope:
        return Envelope(
            source=self.name,
            issued_at=min(at, known.since_at),
            read_at=min(at, known.heard_at),
            reaction_s=self._reaction_s,
            segments=segments_of(known),
            valid_until=known.told.valid_until,
            stale_after_s=self._options.stale_after_s,
        )

    def refused(self) -> Sequence[str]:
        """What was read and not taken since this was last asked."""
        refused, self._refused = self._refused, []
        return refused

    async def close(self) -> None:
        """End the connection."""
        await self._page.close()


def open_source(name: str, options: Mapping[str, Any], *, base: Path, reaction_s: float) -> HttpPoll:
    """The source that the site file describes. Raises `SettingsError`. Relative paths start at `base`."""
    checked = read_options(PollOptions, name, options)
    check_http(name, checked)
    if checked.field is None and checked.steps_field is None:
        raise SettingsError(
            f"signals: {name}: neither field nor steps_field is given; say where the limit is"
        )
    if checked.max_age_s is not None and checked.timestamp_field is None:
        raise SettingsError(f"signals: {name}: max_age_s goes by the timestamp; give timestamp_field too")
    return HttpPoll(name, checked, base=base, reaction_s=reaction_s)
