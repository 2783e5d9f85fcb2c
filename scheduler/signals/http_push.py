"""A limit that its giver pushes to the site: `POST /api/v1/signals/NAME`, signed as Barq's own webhooks are.

In the site file (`configs/sites/http.yaml` holds it with all keys):

    signals:
      - type: http_push
        name: feeder-12                  # the giver posts to /api/v1/signals/feeder-12
        secret_file: secrets/dso-push    # 16 to 200 characters, known to the giver; or secret_env: NAME of a variable
        max_w: 15e6                      # what is above cannot be meant
        tolerance_s: 60                  # how far the giver's clock may be from ours, either way
        stale_after_s: 60                # the giver says it again within this time

`docs/signals.md` says what is in the body. The giver needs no token: the header
`Barq-Signature: t=SECONDS,v1=HEX` is its right, where HEX is HMAC-SHA256 of "SECONDS." and the body under the secret
(`barq.webhook.sign` makes it). SECONDS must be within `tolerance_s` of the clock.

A push stands until the next. Each has an `at` later than the one before, and a `delivery` of its own. The same body
again, signed anew, says that it still holds; a mere copy of what was sent says nothing. What is refused is answered
with field, value and remedy, and is on record. Who is silent for `stale_after_s` counts no more than the firm level.

The API keeps the last push in `signals/NAME.json` in the state directory, and a restarted scheduler goes on from it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from pydantic import Field

from scheduler.connections.credentials import check_one_place, read_secret
from scheduler.connections.mailbox import Mailbox, Stamp
from scheduler.core.envelope import Envelope, Segment
from scheduler.core.given import Refusal
from scheduler.errors import BarqError, SettingsError, SignalError
from scheduler.signals import Options, read_options
from scheduler.wire import WireError, dumps, loads

TYPE: Final = "http_push"
LOOK_S: Final = 0.1  #: between two looks at whether something was pushed
MOST_REFUSED: Final = 20  #: that are kept to be told
LEAST_SECRET: Final = 16
MOST_SECRET: Final = 200
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)


class PushOptions(Options):
    """What the site file says."""

    secret_file: Path | None = None
    secret_env: str | None = None
    max_w: float = Field(default=1e10, gt=0)
    tolerance_s: float = Field(default=60.0, gt=0, le=300)
    reaction_s: float | None = Field(default=None, gt=0)  #: what this giver grants, if not as the site
    stale_after_s: float = Field(default=60.0, gt=0)


class Refused(BarqError):
    """A push that does not count."""

    def __init__(self, field: str, value: object, why: str, remedy: str, *, is_late: bool = False) -> None:
        super().__init__(f"{field} = {value} {why}; {remedy}")
        self.field, self.value, self.remedy = field, value, remedy
        self.is_late = is_late  #: it would have counted before the one that is known


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """What the giver says."""

    delivery: str  #: the same on every retry
    at: datetime  #: the giver decided it
    limit_w: float  #: from `at` on
    steps: tuple[Segment, ...] = ()  #: what follows, rising in time
    valid_until: datetime | None = None  #: None = until further notice
    document: str = ""  #: what the giver calls it

    @property
    def provenance(self) -> str:
        """Shown to whoever asks why."""
        return f"pushed: {self.named}"

    @property
    def named(self) -> str:
        """The document: as the giver calls it, or else by its delivery."""
        return self.document or f"delivery {self.delivery}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The push that counts."""

    push: Push
    since_at: datetime  #: its limit holds
    digest: str  #: SHA-256 of its body
    signed_at: datetime  #: by its newest signature
    heard_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is kept of a giver."""

    taken: Taken | None = None
    refused: tuple[str, ...] = ()  #: the newest ones
    deliveries: tuple[str, ...] = ()  #: the names of those; empty where it is not known
    refused_count: int = 0  #: of all there ever were

    def named(self) -> tuple[str, ...]:
        """The deliveries of all that is among the refused."""
        return (*("" for _ in self.refused[len(self.deliveries) :]), *self.deliveries)


def check_push(push: Push, at: datetime, options: PushOptions) -> None:
    """Raises `Refused` where a push cannot be true, whatever is known."""
    ahead_s = (push.at - at).total_seconds()
    if ahead_s > options.tolerance_s:
        why = f"is {ahead_s:.0f} s ahead of the site's clock"
        raise Refused("at", push.at.isoformat(), why, "check the clocks here and at the giver")
    for field, limit_w in [("limit_w", push.limit_w), *(("steps", s.limit_w) for s in push.steps)]:
        if limit_w > options.max_w:
            why = f"is above the {options.max_w:g} W that are believed"
            raise Refused(field, f"{limit_w:g}", why, "send watts, or have max_w raised in the site file")
    for before, then in pairwise((push.at, *(s.starts_at for s in push.steps))):
        if then <= before:
            why = f"is not after {before.isoformat()}"
            raise Refused(
                "steps", then.isoformat(), why, "send steps that rise in time, all of them after `at`"
            )
    if push.valid_until is not None and push.valid_until <= push.at:
        remedy = "send an end after `at`, or null for until further notice"
        raise Refused("valid_until", push.valid_until.isoformat(), "is not after `at`", remedy)


def succeed(known: Taken | None, push: Push, digest: str, *, signed_at: datetime, at: datetime) -> Taken:
    """What is known after a push with a right signature that came at `at`; `known` itself where it is a mere copy.

    Raises `Refused` where it cannot follow what is known.
    """
    heard_at = min(at, signed_at)
    since_at = min(push.at, heard_at)
    taken = Taken(push=push, since_at=since_at, digest=digest, signed_at=signed_at, heard_at=heard_at)
    if known is None:
        return taken
    if digest == known.digest:
        return (
            known if signed_at <= known.signed_at else replace(known, signed_at=signed_at, heard_at=heard_at)
        )
    if push.at <= known.push.at:
        why = f"is not after {known.push.at.isoformat()}, that of the delivery {known.push.delivery!r}, which counts"
        remedy = "send what holds now, with the time at which it was decided"
        raise Refused("at", push.at.isoformat(), why, remedy, is_late=True)
    if push.delivery == known.push.delivery:
        remedy = "give each new limit a delivery of its own"
        raise Refused("delivery", repr(push.delivery), "was taken with another body", remedy, is_late=True)
    return taken


class Inbox:
    """The record of one giver, in the state directory `base`. May block."""

    def __init__(self, name: str, options: PushOptions, *, base: Path) -> None:
        self.name, self.options = name, options
        self._base = base
        self._box = Mailbox(base / "signals" / f"{name}.json")

    def secret(self) -> str:
        """What the giver signs with, as it is now. Raises `SignalError`."""
        options = self.options
        secret = read_secret("secret", file=options.secret_file, env=options.secret_env, base=self._base)
        if secret is None or not LEAST_SECRET <= len(secret) <= MOST_SECRET:
            raise SignalError(
                f"{self.name}: the secret does not have {LEAST_SECRET} to {MOST_SECRET} characters; make one that has"
            )
        return secret

    def take(self, push: Push, digest: str, *, signed_at: datetime, at: datetime) -> Record:
        """What counts from now on, on the disk. Raises `Refused`, `SignalError`."""
        check_push(push, at, self.options)

        def after(record: Record) -> Record:
            taken = succeed(record.taken, push, digest, signed_at=signed_at, at=at)
            return replace(record, taken=taken)

        return self._change(after)

    def note(self, refused: str, *, delivery: str = "") -> None:
        """Have something that was refused told. Raises `SignalError`."""

        def after(record: Record) -> Record:
            kept = [*zip(record.refused, record.named(), strict=True), (refused, delivery)][-MOST_REFUSED:]
            return replace(
                record,
                refused=tuple(text for text, _ in kept),
                deliveries=tuple(name for _, name in kept),
                refused_count=record.refused_count + 1,
            )

        self._change(after)

    def read(self) -> Record:
        """What is known now. Raises `SignalError`."""
        try:
            return _record(self._box.read())
        except (OSError, UnicodeDecodeError, WireError) as error:
            raise SignalError(self._unreadable(error)) from error

    def stamp(self) -> Stamp | None:
        """Tells this record from others."""
        return self._box.stamp()

    def _change(self, after: Callable[[Record], Record]) -> Record:
        try:
            return _record(self._box.change(lambda text: dumps(after(_record(text))).decode()))
        except (OSError, UnicodeDecodeError, WireError) as error:
            raise SignalError(self._unreadable(error)) from error

    def _unreadable(self, error: Exception) -> str:
        return f"signals/{self.name}.json: {error}; move the file away, and have the limit pushed again"


def _record(text: str | None) -> Record:
    return Record() if text is None else loads(Record, text)


class HttpPush:
    """Hands on the last push that counts."""

    def __init__(self, name: str, options: PushOptions, *, base: Path, reaction_s: float) -> None:
        self.name = name
        self._options = options
        self._reaction_s = options.reaction_s or reaction_s
        self._inbox = Inbox(name, options, base=base)
        self._record: Record | None = None
        self._stamp: Stamp | None = None
        self._told_count: int | None = None  #: refusals that were told, or were there before this process was

    async def read(self, at: datetime) -> Envelope:
        """What was pushed last. Raises `SignalError` while there is nothing."""
        record = await self._current()
        if record.taken is None:
            raise SignalError(f"nothing was pushed yet; have it posted to /api/v1/signals/{self.name}")
        push = record.taken.push
        since_at = record.taken.since_at
        first = Segment(
            starts_at=since_at, limit_w=push.limit_w, provenance=push.provenance, document=push.named
        )
        told = (first, *push.steps)
        return Envelope(
            source=self.name,
            issued_at=min(at, since_at),
            read_at=min(at, record.taken.heard_at),
            reaction_s=self._reaction_s,
            segments=tuple(replace(s, giver_id=push.delivery) for s in told),
            valid_until=push.valid_until,
            stale_after_s=self._options.stale_after_s,
        )

    async def _current(self) -> Record:
        stamp = self._inbox.stamp()
        if self._record is None or stamp != self._stamp:
            self._record, self._stamp = None, stamp  # one that cannot be read is no news again and again
            self._record = await asyncio.to_thread(self._inbox.read)
            if self._told_count is None:
                self._told_count = self._record.refused_count
        return self._record

    async def news(self) -> None:
        """Return as soon as something was pushed, good or bad."""
        while self._inbox.stamp() == self._stamp:  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(LOOK_S)

    def refused(self) -> Sequence[str]:
        """What was pushed with a right signature and not taken since this was last asked."""
        if self._record is None or self._told_count is None:
            return ()
        new = min(self._record.refused_count - self._told_count, len(self._record.refused))
        self._told_count = self._record.refused_count
        told = tuple(
            Refusal(text, giver_id=delivery) if delivery else text
            for text, delivery in zip(self._record.refused, self._record.named(), strict=True)
        )
        return told[len(told) - max(0, new) :]

    async def close(self) -> None:
        """Nothing is open."""


def read_push_options(name: str, options: Mapping[str, Any]) -> PushOptions:
    """Raises `SettingsError`."""
    checked = read_options(PushOptions, name, options)
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"signals: {name}: name is part of an address and of a file; use 1 to 63 letters, digits, . _ -"
        )
    check_one_place(name, "secret", file=checked.secret_file, env=checked.secret_env)
    if checked.secret_file is None and checked.secret_env is None:
        raise SettingsError(f"signals: {name}: secret_file is missing; give it, or secret_env")
    return checked


def open_source(name: str, options: Mapping[str, Any], *, base: Path, reaction_s: float) -> HttpPush:
    """The source that the site file describes. Raises `SettingsError`. Relative paths start at `base`."""
    return HttpPush(name, read_push_options(name, options), base=base, reaction_s=reaction_s)
