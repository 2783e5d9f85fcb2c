"""Load targets of NVIDIA DSX Flex: CloudEvents over MQTT, as an ISV sends them to a DSX Flex agent (contract 1.7).

In the site file (`configs/sites/mqtt.yaml` holds it with all keys):

    signals:
      - type: dsx_flex
        name: dsx
        host: csc-event-bus.example       # TLS at 8883
        ca_file: secrets/bus-ca.pem       # relative to the site's state directory, as all files are
        certificate_file: secrets/site.pem   # mutual TLS; or username_file (oauthtoken) and password_file (the token)
        client_id: barq-lahore-1          # unlike any other's at this broker
        isv: acme-energy                  # whose targets hold: topic grid/v1/isv/acme-energy/loadtarget/set
        keys_file: secrets/acme-keys.json # JWK set, or one public key in PEM, of who signs; unsigned: true for none
        dated: true                       # refuse targets without a start_time: who read them could send them again
        feed: main-a                      # which feed the site hangs on
        default_w: 5e6                    # what the feed may draw when the ISV lifts its target (load_constraint null)

A target holds from its `start_time` to its `end_time`, or until another takes its place; of several in one message for
one time the lower holds. `strategy.best_effort` makes no difference: Barq keeps to every target. A message in which
anything cannot be true is refused as a whole: wrong shape or sender, bad signature, not finite, below 0, above `max_w`,
older than what is known, sent twice, older than `max_age_s`; signed data that was told before other data, if it would
allow more.

An ISV speaks only when something changes, so that the broker's answers count as hearing, and not the ISV's silence,
unless it `repeats` its targets within `stale_after_s`. The broker keeps, for `client_id`, what comes while the link is
down. Where it has not (and after each start of the scheduler) targets may have been missed: what no target since then
covers is unknown, and holds min(the last value, the firm level). A target, or null, without an end ends that.

With `agent` the site is a DSX Flex agent, too: it publishes its power state and breaches under that id, signed with its
own key. `docs/signals.md` says what it tells.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from pydantic import Field

from scheduler.connections.messages import Refused, at_field, instant, named, power_w, read_json, shown
from scheduler.connections.mqtt import Arrived, BrokerOptions
from scheduler.connections.mqtt_listener import MqttListener
from scheduler.connections.signed import signed_payload
from scheduler.core.envelope import Envelope, Segment
from scheduler.core.given import Refusal
from scheduler.core.site_state import SiteState, Standing
from scheduler.dsx.cloud_event import Sender
from scheduler.dsx.powerstate import Breach, Feed, Ramp, breach_told, feed_state, happened, target_told
from scheduler.dsx.seen import Seen
from scheduler.dsx.targets import (
    MOST_TARGETS,
    Signed,
    Target,
    allows_more,
    in_force,
    segments_of,
    still_telling,
)
from scheduler.errors import SettingsError, SignalError
from scheduler.signals import Options, read_options

TYPE: Final = "grid.loadtarget.set.v1"
UNITS: Final = {"watt": 1.0, "kilowatt": 1e3, "megawatt": 1e6}
VERSIONS: Final = ("1.0", "1.0.2")  #: CloudEvents says the first of itself, DSX Flex the second
_LONGEST_ID: Final = 200
_KEPT: Final = 200  #: ids of events, and refusals to be told
_AT_LEAST_ONCE, _EXACTLY_ONCE = 1, 2


class DsxOptions(Options, BrokerOptions):
    """What the site file says, beside where the broker is."""

    client_id: str = Field(min_length=1, max_length=128)
    isv: str = Field(pattern=r"^[^/#+\x00]+$", max_length=200)
    feed: str = Field(min_length=1)
    default_w: float = Field(ge=0)
    keys_file: Path | None = None
    dated: bool = False  #: True = each target has to say in its signed data since when it holds
    unsigned: bool = False  #: True = plain data counts: on a broker that lets nobody else publish
    max_w: float = Field(default=1e10, gt=0)
    clock_ahead_s: float = Field(default=5.0, ge=0, le=3600)  #: how far ahead of ours the ISV's clock may be
    max_age_s: float = Field(default=3600.0, gt=0)  #: of a message when it comes
    repeats: bool = False  #: True = the ISV is silent, too, when it sent nothing for `stale_after_s`
    reaction_s: float | None = Field(default=None, gt=0)  #: what this giver grants, if not as the site
    stale_after_s: float = Field(default=15.0, gt=0)
    agent: str | None = Field(default=None, pattern=r"^[^/#+\x00]+$", max_length=200)
    """As which the site tells its power state; None = it tells nothing."""
    signing_key_file: Path | None = None  #: a private key on P-256, with which the site signs what it tells
    tell_every_s: float = Field(default=10.0, ge=1, le=3600)  #: at the latest; and when something changed
    powerstate_type: str = Field(default="grid.powerstate.status.v1", min_length=1)  #: of its CloudEvents
    powerbreach_type: str = Field(default="grid.powerbreach.v1", min_length=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One event: all its targets for the site's feed."""

    event_id: str
    sent_at: datetime
    targets: tuple[Target, ...]
    digest: bytes | None = None  #: of its signed data; None = unsigned, or without times of its own


def read_event(
    payload: bytes, options: DsxOptions, at: datetime, *, keys_file: Path | None, order: int
) -> Command:
    """What an event says that comes at `at`. Raises `Refused`."""
    event = read_json(payload)
    source = f"//grid/v1/isv/{options.isv}"
    for field, wanted in (("specversion", VERSIONS), ("type", (TYPE,)), ("source", (source,))):
        if (value := at_field(event, field)) not in wanted:
            raise Refused(f"{field} is {shown(value)}; it has to be {' or '.join(wanted)}")
    told_id, sent_at = at_field(event, "id"), instant(at_field(event, "time"), "time")
    event_id = _written(told_id)
    if not event_id:
        raise Refused(
            f"id is {shown(told_id)}; each event needs one of its own, of 1 to {_LONGEST_ID} printable characters"
        )
    signed = _payload(at_field(event, "data"), keys_file)
    data = at_field(event, "data") if signed is None else read_json(signed)
    requests = at_field(data, "targets")
    if not isinstance(requests, list) or not 1 <= len(requests) <= MOST_TARGETS:
        raise Refused(f"targets is {shown(requests)}; it has to be a list of 1 to {MOST_TARGETS}")
    called = event.get("correlationid", event_id) if isinstance(event, dict) else event_id
    provenance = f"DSX Flex, ISV {options.isv}, target {shown(called)}"
    read = [_target(r, options, min(at, sent_at), provenance) for r in requests]
    named_by = f"event {named(event_id)}"
    targets = tuple(
        replace(t, event_id=event_id, order=order, document=named_by) for t in read if t is not None
    )
    if options.dated and not all(map(_is_timed, requests)):
        raise Refused("a target has no start_time, and dated is true; sign since when each holds")
    digest = sha256(signed).digest() if signed is not None and all(map(_is_timed, requests)) else None
    return Command(event_id=event_id, sent_at=sent_at, targets=targets, digest=digest)


def _seen_name(options: DsxOptions) -> str:
    """Of the file that remembers signed data, whatever the ISV and the feed are called."""
    return f"dsx-{sha256(f'{options.isv}/{options.feed}'.encode()).hexdigest()[:16]}.seen"


def event_id_of(payload: bytes) -> str:
    """The id of an event that may be refused for anything else; empty where it has none."""
    try:
        return _written(at_field(read_json(payload), "id"))
    except Refused:
        return ""


def _written(event_id: object) -> str:
    """An id that can be put on record, as it will be; empty where it cannot: half a character, or no end of them."""
    is_one = isinstance(event_id, str) and event_id.isprintable() and len(event_id) <= _LONGEST_ID
    return str(event_id) if is_one else ""


def _payload(data: object, keys_file: Path | None) -> bytes | None:
    """What was signed with a known key; None where data is plain, and no keys are known."""
    if keys_file is None:
        if isinstance(data, str):
            raise Refused("data is signed, and no keys are known here; give keys_file")
        return None
    if not isinstance(data, str):
        raise Refused("data is not signed; send a JWS in compact form")
    return signed_payload(data, keys_file)


def _is_timed(request: object) -> bool:
    """Whether it says since when it holds; else it is as new as the message that brings it."""
    interval = at_field(request, "interval")
    return isinstance(interval, dict) and interval.get("start_time") is not None


def _target(request: object, options: DsxOptions, now: datetime, provenance: str) -> Target | None:
    """One request, checked whomever it is for. None where it is for other feeds."""
    interval, constraint = at_field(request, "interval"), at_field(request, "load_constraint")
    if not isinstance(interval, dict) or not isinstance(request, dict):
        raise Refused(f"interval is {shown(interval)}; it has to be an object")
    start, end = interval.get("start_time"), interval.get("end_time")
    starts_at = now if start is None else instant(start, "start_time")
    ends_at = None if end is None else instant(end, "end_time")
    if ends_at is not None and ends_at <= starts_at:
        raise Refused(f"end_time is {shown(end)}, not after start_time {starts_at.isoformat()}")
    limit_w = options.default_w if constraint is None else _limit_w(constraint, options)
    tags = request.get("feed_tags") or []
    if not isinstance(tags, list):
        raise Refused(f"feed_tags is {shown(tags)}; it has to be a list of names")
    if tags and options.feed not in tags:
        return None
    lifted = " lifted" if constraint is None else ""
    return Target(starts_at=starts_at, ends_at=ends_at, limit_w=limit_w, provenance=provenance + lifted)


def _limit_w(constraint: object, options: DsxOptions) -> float:
    unit = at_field(constraint, "unit")
    if not isinstance(unit, str) or unit not in UNITS:
        raise Refused(f"unit is {shown(unit)}; it has to be one of {', '.join(UNITS)}")
    value = at_field(constraint, "value")
    return power_w(value, "load_constraint", unit=unit, watts=UNITS[unit], max_w=options.max_w)


class DsxFlex(MqttListener):
    """Keeps the targets that were told, and hands on what they make of the limit."""

    most_refused = _KEPT
    is_lasting = True

    def __init__(
        self,
        name: str,
        options: DsxOptions,
        *,
        base: Path,
        reaction_s: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if (options.keys_file is not None) == options.unsigned:
            raise SettingsError(
                f"signals: {name}: keys_file or unsigned: true; say which keys sign the ISV's data, or that none do"
            )
        if (options.agent is None or options.unsigned) != (options.signing_key_file is None):
            raise SettingsError(
                f"signals: {name}: signing_key_file goes with agent, unless unsigned is true; give both, or none"
            )
        super().__init__(
            name,
            options,
            base=base,
            topics=[f"grid/v1/isv/{options.isv}/loadtarget/set"],
            stale_after_s=options.stale_after_s,
            now=now,
        )
        self._options = options
        self._keys_file = None if options.keys_file is None else base / options.keys_file
        self._reaction_s = options.reaction_s or reaction_s
        self._told: tuple[Target, ...] = ()
        self._segments: tuple[Segment, ...] = ()
        self._heard_at: datetime | None = None  #: the last command that counts came
        self._sent_at: datetime | None = None  #: and was sent
        self._order = self._sure_from = 0  #: messages, and the first since which none was missed
        self._ids: deque[str] = deque(maxlen=_KEPT)
        seen = None if self._keys_file is None else Seen(base / "signals" / _seen_name(options))
        self._signed = Signed() if seen is None else Signed(seen.read(), note=seen.add)
        self.tell_every_s = None if options.agent is None else options.tell_every_s
        self._signing_key_file = None if options.signing_key_file is None else base / options.signing_key_file
        self._ramp = Ramp()  #: as it was told
        self._breach: Breach | None = None

    async def read(self, at: datetime) -> Envelope:
        """The targets in force and to come. Raises `SignalError` while there is nothing to be heard."""
        await self._listen()
        if self._heard_at is None or not self._told:
            raise SignalError(
                f"{self._link.address}: no load target was told yet; have the ISV send what holds"
            )
        read_at = min(at, self._last_heard_at(at, self._heard_at))
        begun = [s for s in self._segments if s.starts_at <= at]
        coming = [s for s in self._segments if s.starts_at > at]
        return Envelope(
            source=self.name,
            issued_at=min(read_at, self._sent_at or read_at),
            read_at=read_at,
            reaction_s=self._reaction_s,
            segments=(*begun[-1:], *coming),
            feeder=self._options.feed,
            stale_after_s=self._options.stale_after_s,
        )

    async def tell(self, state: SiteState) -> None:
        """Publish what happened, and how it stands. What could not be published counts as not told."""
        options, own = self._options, state.standings.get(self.name, Standing(limit_w=None))
        if options.agent is None:
            return
        sender = Sender(agent=options.agent, key_file=self._signing_key_file)
        breach, alert = breach_told(self._breach, state, own, str(uuid4()))
        known = breach or self._breach
        if alert is not None and known is not None:
            await self._publish(
                sender, "powerbreach", options.powerbreach_type, alert, state.at, about=known.id
            )
            self._breach = breach
        feed, (ramp, news) = self._feed(state.at), happened(self._ramp, state, own, self._order)
        for happening in news:
            told = feed_state(state, own, feed, happening, in_flight=ramp.in_flight)
            await self._publish(sender, "powerstate/status", options.powerstate_type, told, state.at)
        self._ramp = ramp

    async def _publish(
        self,
        sender: Sender,
        what: str,
        kind: str,
        data: Mapping[str, Any],
        at: datetime,
        *,
        about: str | None = None,
    ) -> None:
        """A breach exactly once, a state at least once: as the contract has it."""
        subject = what.partition("/")[0]
        payload = await asyncio.to_thread(sender.event, kind, subject, data, at, about=about)
        await self._link.publish(sender.topic(what), payload, qos=_EXACTLY_ONCE if about else _AT_LEAST_ONCE)

    def _feed(self, at: datetime) -> Feed:
        """The feed with the targets that stand or come."""
        standing = [t for t in self._told if t.ends_at is None or t.ends_at > at]
        name = self._options.feed
        return Feed(
            name=name,
            default_w=self._options.default_w,
            targets=tuple(target_told(t.starts_at, t.ends_at, t.limit_w, name) for t in standing),
        )

    def _last_heard_at(self, at: datetime, command_at: datetime) -> datetime:
        """What no target covers that was told since anything may have been missed, is as good as not heard."""
        target, contact_at = in_force(self._told, at), self._link.contact_at
        if target is None or target.order < self._sure_from:
            return at - timedelta(seconds=self._options.stale_after_s + 1)
        return command_at if self._options.repeats or contact_at is None else max(command_at, contact_at)

    def _begin(self, resumed: bool) -> None:  # noqa: FBT001 - the link's callback
        if not resumed:
            self._sure_from = self._order + 1

    def _hear(self, message: Arrived) -> None:
        at = self._now()
        try:
            command = read_event(
                message.payload, self._options, at, keys_file=self._keys_file, order=self._order + 1
            )
            if message.retained and command.event_id in self._ids:
                return  # the broker keeps it, and was asked again
            self._take(command, at)
        except Refused as error:
            text, event_id = f"{message.topic}: {error}", event_id_of(message.payload)
            self._refused.append(Refusal(text, giver_id=event_id) if event_id else text)
        self._news.set()

    def _take(self, command: Command, at: datetime) -> None:
        self._check_order(command, at)
        told = still_telling((*self._told, *command.targets), at)
        if self._signed.is_old(command.digest) and allows_more(self._told, told, at):
            raise Refused(
                "its signed data was told before, and other data since; sign targets with a start_time of now for what "
                "is to hold again"
            )
        self._signed.take(command.digest)
        self._told, self._segments = told, segments_of(told)
        self._order += 1
        self._ids.append(command.event_id)
        self._sent_at, self._heard_at = command.sent_at, at

    def _check_order(self, command: Command, at: datetime) -> None:
        age_s, options = (at - command.sent_at).total_seconds(), self._options
        if age_s < -options.clock_ahead_s:
            raise Refused(f"its time is {-age_s:.0f} s ahead; check the clocks here and at the ISV")
        if age_s > options.max_age_s:
            raise Refused(
                f"it is {age_s:.0f} s old, and max_age_s is {options.max_age_s:g}; send what holds now"
            )
        if command.event_id in self._ids:
            raise Refused(f"event {shown(command.event_id)} is known already; each needs an id of its own")
        if self._sent_at is not None and command.sent_at < self._sent_at:
            raise Refused(
                f"it is of {command.sent_at.isoformat()}, and one of {self._sent_at.isoformat()} is known; "
                "events have to come in order"
            )


def open_source(name: str, options: Mapping[str, Any], *, base: Path, reaction_s: float) -> DsxFlex:
    """The source that the site file describes. Raises `SettingsError`."""
    return DsxFlex(name, read_options(DsxOptions, name, options), base=base, reaction_s=reaction_s)
