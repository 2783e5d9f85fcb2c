"""A limit that a giver publishes on an MQTT topic, as JSON or as a plain number.

In the site file (`configs/sites/mqtt.yaml` holds it with all keys):

    signals:
      - type: mqtt
        name: feeder-12
        host: mqtt.dso.example            # TLS at 8883; tls: false, for a closed network, is 1883
        ca_file: secrets/dso-ca.pem       # relative to the site's state directory, as all files are
        username_file: secrets/dso-user   # or username_env: NAME of a variable where the site is started
        password_file: secrets/dso-password
        topic: feeder/12/limit
        field: /limit/value               # JSON pointer, or the name of a key; left out: the payload is the number
        unit: kW                          # W (default), kW or MW
        timestamp_field: /issued          # ISO 8601 or Unix; orders messages, and dates one that the broker kept
        max_w: 15e6                       # what is above cannot be meant
        stale_after_s: 30

A message stands until the next. Garbage, what is not finite, below 0, above `max_w`, older than what is known or sent
twice is refused, and the last one stands. Of two with one timestamp the lower counts; a `sequence_field` orders them.

Who is silent goes stale: the giver repeats its limit within `stale_after_s`, or has a `status_topic`. That is a
retained topic at which it says `online`, with a last will that says something else. While the broker, asked again and
again, answers `online`, the giver counts as heard. The limit must be retained then, for after a lost connection
`online` counts only once the limit itself has come again.

A retained message is as old as its timestamp says. Without one nobody knows, and it counts no more than the firm level
until the giver says something, or is online. Messages are acted on as they come; `poll_s` matters little.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field

from scheduler.connections.messages import (
    WATTS,
    Refused,
    at_field,
    instant,
    named,
    number,
    power_w,
    read_json,
    shown,
)
from scheduler.connections.mqtt import Arrived, BrokerOptions
from scheduler.connections.mqtt_listener import MqttListener
from scheduler.core.envelope import Envelope, Segment
from scheduler.errors import SignalError
from scheduler.signals import Options, read_options

UNKNOWN: Final = datetime(1970, 1, 1, tzinfo=UTC)  #: when a message was sent that does not say so
Topic = Field(pattern=r"^[^#+\x00]+$", max_length=1000)


class MqttOptions(Options, BrokerOptions):
    """What the site file says, beside where the broker is."""

    topic: str = Topic
    field: str = ""
    unit: Literal["W", "kW", "MW"] = "W"
    max_w: float = Field(default=1e10, gt=0)
    timestamp_field: str | None = None
    sequence_field: str | None = None
    provenance_field: str | None = None  #: what the giver calls its document
    clock_ahead_s: float = Field(
        default=5.0, ge=0, le=3600
    )  #: how far ahead of ours the giver's clock may be
    status_topic: str | None = Field(default=None, pattern=r"^[^#+\x00]+$", max_length=1000)
    status_online: str = "online"  #: the whole payload at `status_topic` while the giver is there
    reaction_s: float | None = Field(default=None, gt=0)  #: what this giver grants, if not as the site
    stale_after_s: float = Field(default=30.0, gt=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One message."""

    limit_w: float
    provenance: str
    document: str = ""  #: as the giver calls it
    stamp_at: datetime | None = None
    sequence: int | float | None = None  #: as it came: a count of nanoseconds is no float


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The last message that counts."""

    said: Said
    since_at: datetime  #: this limit was first heard of
    heard_at: datetime  #: the giver said it last


def read_message(payload: bytes, options: MqttOptions) -> Said:
    """What a payload says. Raises `Refused`."""
    document = read_json(payload)

    def optional(field: str | None) -> object:
        return None if field is None else at_field(document, field)

    stamp, sequence = optional(options.timestamp_field), optional(options.sequence_field)
    provenance = optional(options.provenance_field)
    return Said(
        limit_w=power_w(
            at_field(document, options.field),
            options.field or "the limit",
            unit=options.unit,
            watts=WATTS[options.unit],
            max_w=options.max_w,
        ),
        provenance=f"topic {options.topic}" + ("" if provenance is None else f": {shown(provenance)}"),
        document="" if provenance is None else named(provenance),
        stamp_at=None if options.timestamp_field is None else instant(stamp, options.timestamp_field),
        sequence=None if options.sequence_field is None else _sequence(sequence, options.sequence_field),
    )


def _sequence(value: object, field: str) -> int | float:
    given = number(value, field)
    return value if isinstance(value, int) else given


def succeed(known: Known | None, said: Said, at: datetime, options: MqttOptions, *, retained: bool) -> Known:
    """What is known after a message that came at `at`; `known` itself where the broker only repeats it.

    Raises `Refused` where the message cannot follow what is known.
    """
    ahead_s = 0.0 if said.stamp_at is None else (said.stamp_at - at).total_seconds()
    if ahead_s > options.clock_ahead_s:
        raise Refused(f"its time is {ahead_s:.0f} s ahead; check the clocks here and at the giver")
    if known is not None:
        if retained and said == known.said:
            return known
        _check_order(known, said, at, options)
    heard_at = _sent_at(known, said, at, retained=retained)
    if known is not None and _same_limit(known.said, said):
        return replace(known, said=said, heard_at=max(heard_at, known.heard_at))
    return Known(said=said, since_at=heard_at, heard_at=heard_at)


def _sent_at(known: Known | None, said: Said, at: datetime, *, retained: bool) -> datetime:
    if said.stamp_at is not None:
        return min(at, said.stamp_at)
    if not retained:
        return at
    return UNKNOWN if known is None else known.heard_at


def _same_limit(a: Said, b: Said) -> bool:
    return (a.limit_w, a.provenance) == (b.limit_w, b.provenance)


def _check_order(known: Known, said: Said, at: datetime, options: MqttOptions) -> None:
    before = known.said
    if said.stamp_at is not None and before.stamp_at is not None and said.stamp_at != before.stamp_at:
        if said.stamp_at < before.stamp_at:
            raise Refused(
                f"it is of {said.stamp_at.isoformat()}, and one of {before.stamp_at.isoformat()} is known; "
                "messages have to come in order"
            )
        return
    if said.sequence is not None and before.sequence is not None:
        _check_sequence(before.sequence, said.sequence, known, at, options)
    elif said.stamp_at is not None and said.limit_w >= before.limit_w:
        what = "the same message" if said == before else "a higher limit with the same timestamp"
        raise Refused(f"it is {what} again, of {said.stamp_at.isoformat()}; a new one needs a later time")


def _check_sequence(before: float, now: float, known: Known, at: datetime, options: MqttOptions) -> None:
    """A giver that begins to count anew is believed once it has been silent for long enough."""
    silent = (at - known.heard_at).total_seconds() > options.stale_after_s
    if now == before and not silent:
        raise Refused(f"it has number {shown(now)} as the last one; each message needs a number of its own")
    if now < before and not silent:
        raise Refused(
            f"it has number {shown(now)}, and {shown(before)} is known; numbers rise, or begin anew after a silence "
            f"of {options.stale_after_s:g} s"
        )


class Mqtt(MqttListener):
    """Hands on the last message that counts."""

    most_refused = 100

    def __init__(
        self,
        name: str,
        options: MqttOptions,
        *,
        base: Path,
        reaction_s: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(
            name,
            options,
            base=base,
            topics=[options.topic, *([options.status_topic] if options.status_topic else [])],
            stale_after_s=options.stale_after_s,
            now=now,
        )
        self._options = options
        self._reaction_s = options.reaction_s or reaction_s
        self._known: Known | None = None
        self._confirmed = False  #: the limit came in this connection: the giver's presence may count
        self._online_at: datetime | None = None  #: the giver was last said to be there
        self._gone: str | None = None  #: what its status says instead

    async def read(self, at: datetime) -> Envelope:
        """The limit as last heard. Raises `SignalError` while there is nothing to be heard."""
        await self._listen()
        options, known = self._options, self._known
        if known is None:
            raise SignalError(
                f"{self._link.address}: no valid message yet on {options.topic!r}; have one sent"
            )
        if self._gone is not None:
            raise SignalError(f"{options.status_topic}: the giver is not there: it says {self._gone}")
        present_at = self._online_at if self._confirmed else None
        return Envelope(
            source=self.name,
            issued_at=min(at, known.since_at),
            read_at=min(at, max(known.heard_at, present_at or UNKNOWN)),
            reaction_s=self._reaction_s,
            segments=(
                Segment(
                    starts_at=known.since_at,
                    limit_w=known.said.limit_w,
                    provenance=known.said.provenance,
                    document=known.said.document,
                    giver_id=known.said.document,
                ),
            ),
            stale_after_s=options.stale_after_s,
        )

    def _begin(self, resumed: bool) -> None:  # noqa: FBT001 - the link's callback
        """What was missed while there was no connection is not known, whatever the giver's status."""
        del resumed
        self._confirmed, self._online_at, self._gone = False, None, None

    def _hear(self, message: Arrived) -> None:
        if message.topic == self._options.status_topic:
            self._hear_status(message.payload)
            return
        try:
            said = read_message(message.payload, self._options)
            before, at = self._known, self._now()
            self._known = succeed(before, said, at, self._options, retained=message.retained)
        except Refused as error:
            self._refused.append(f"{message.topic}: {error}")
        else:
            self._confirmed = True
            if not message.retained:
                self._gone = None
        self._news.set()

    def _hear_status(self, payload: bytes) -> None:
        """What the giver says of itself, or its last will says of it."""
        is_online = payload == self._options.status_online.encode()
        gone = None if is_online else shown(payload.decode(errors="replace"))
        if gone != self._gone:
            self._news.set()
        self._gone, self._online_at = gone, self._now() if is_online else None


def open_source(name: str, options: Mapping[str, Any], *, base: Path, reaction_s: float) -> Mqtt:
    """The source that the site file describes. Raises `SettingsError`."""
    return Mqtt(name, read_options(MqttOptions, name, options), base=base, reaction_s=reaction_s)
