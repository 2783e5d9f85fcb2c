"""Messages of a broker: a plain limit, and DSX Flex load targets. What the link would hand over is handed over."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, ClassVar

from scheduler.connections.mqtt import Arrived
from scheduler.connections.mqtt_listener import MqttListener
from scheduler.ports import LimitSource
from scheduler.signals import read_options
from scheduler.signals.dsx_flex import DsxFlex, DsxOptions
from scheduler.signals.mqtt import Mqtt, MqttOptions
from scheduler.sim.clock import us
from tests.giving.giver import GARBAGE, HOUR_US, NONSENSE, REACTION_S, Giver, Scene, iso
from tests.giving.plan import Doc, Span, Trouble, drawn_troubles
from tests.giving.truth import Truth

NEWS_S = 0.1
SPOILT = (
    Trouble.LOST,
    Trouble.LATE,
    Trouble.TWICE,
    Trouble.OLD,
    Trouble.AHEAD,
    Trouble.GARBAGE,
    Trouble.NAN,
    Trouble.NEGATIVE,
    Trouble.ABSURD,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message. `doc` None = it is spoilt, and says nothing."""

    payload: bytes
    stamp_us: int
    doc: Doc | None


class Sender(Giver):
    """Sends its limit at each change and again and again, over a wire that does to messages what wires do."""

    repeat_s: ClassVar[float] = 10.0
    stale_after_s: ClassVar[float] = 30.0
    spans: ClassVar[tuple[Trouble, ...]] = (Trouble.SILENT, Trouble.CUT)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.is_silent = False
        self.is_cut = False
        self.past: list[Message] = []

    def _truth(self) -> Truth:
        return Truth(firm_w=self.scene.firm_w, stale_after_s=self.stale_after_s)

    def begin(self) -> None:
        self.every(self.repeat_s, self._send)
        self.surprises(self._send)
        for span in drawn_troubles(self.chance, self.scene.end_us / 1e6, self.scene.pace, self.spans):
            self.at(span.starts_us, self._break, span)
            self.at(span.ends_us, self._mend, span)

    def payload(self, doc: Doc, stamp_us: int, first_w: float) -> bytes:
        """A message with this document, but with this as the limit that holds."""
        raise NotImplementedError

    def arrive(self, message: Message) -> None:
        """It comes out of the wire."""
        raise NotImplementedError

    def _break(self, span: Span) -> None:
        if span.trouble is Trouble.SILENT:
            self.is_silent = True
        else:
            self.is_cut = True
            self.cut()

    def _mend(self, span: Span) -> None:
        if span.trouble is Trouble.SILENT:
            self.is_silent = False
        else:
            self.is_cut = False
            self.connect()

    def cut(self) -> None:
        """The line is down."""

    def connect(self) -> None:
        """The line is up again."""

    def _send(self, _: object) -> None:
        if self.is_silent:
            return
        self.messages += 1
        doc = self.plan.shown(self.now_us)
        whole = Message(payload=self.payload(doc, self.now_us, doc[0][1]), stamp_us=self.now_us, doc=doc)
        trouble = self.chance.choice(SPOILT) if self.chance.random() < self.scene.pace.spoilt else None
        match trouble:
            case None:
                self.arrive(whole)
            case Trouble.LOST:
                return
            case Trouble.LATE:
                self.at(self.now_us + us(self.chance.uniform(0.5, 15.0)), self.arrive, whole)
            case Trouble.TWICE:
                self.arrive(whole)
                self.arrive(whole)
            case Trouble.OLD:
                self.arrive(self.chance.choice(self.past) if self.past else whole)
            case _:
                self.arrive(Message(payload=self._spoilt(doc, trouble), stamp_us=self.now_us, doc=None))
        self.past = [*self.past[-9:], whole]

    def _spoilt(self, doc: Doc, trouble: Trouble) -> bytes:
        if trouble is Trouble.GARBAGE:
            return self.chance.choice(GARBAGE)
        if trouble is Trouble.AHEAD:
            return self.payload(doc, self.now_us + HOUR_US, self.scene.top_w)
        return self.payload(doc, self.now_us, NONSENSE[trouble])


class HeldLink:
    """In the place of the link to a broker."""

    address = "mqtt.dso.example:1883"

    def __init__(self) -> None:
        self.trouble: str | None = None
        self.contact_at: datetime | None = None

    def start(self) -> bool:
        return False

    async def close(self) -> None:
        """Nothing is open."""


class OverMqtt(Sender):
    """A broker keeps the last message, and what else its kind of session keeps."""

    topic: ClassVar[str]

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.kept: Message | None = None
        self.source: MqttListener | None = None
        self.link = HeldLink()

    def arrive(self, message: Message) -> None:
        self.kept = message
        if not self.is_cut:
            self._hand_over(message, retained=False)

    def _hand_over(self, message: Message, *, retained: bool) -> None:
        if message.doc is not None:
            self.truth.say(message.doc, stamp_us=message.stamp_us, heard_us=message.stamp_us)
        if self.source is not None:
            self.source._hear(Arrived(topic=self.topic, payload=message.payload, retained=retained))
            self.scene.news(self.name, NEWS_S)

    def cut(self) -> None:
        self.link.trouble = "the line is down"
        self.scene.news(self.name, NEWS_S)

    def connect(self) -> None:
        self.link.trouble = None
        if self.source is not None:
            self.source._begin(self.resumed())
        for message in self.waiting():
            self._hand_over(message, retained=False)
        if self.kept is not None:
            self._hand_over(self.kept, retained=True)

    def resumed(self) -> bool:
        """Whether the broker kept the session."""
        return False

    def waiting(self) -> list[Message]:
        """What came for the site while the line was down, if the broker keeps that."""
        return []

    def _linked(self, source: MqttListener) -> LimitSource:
        """A source that was just started, connected if the line is up."""
        link: Any = self.link
        self.source, source._link = source, link
        if not self.is_cut:
            self.connect()
        assert isinstance(source, Mqtt | DsxFlex)
        return source


class PlainLimit(OverMqtt):
    """`mqtt`: JSON with a time."""

    name = "mqtt"
    topic = "feeder/12/limit"

    def open(self) -> LimitSource:
        keys = {
            "host": "mqtt.dso.example",
            "tls": False,
            "topic": self.topic,
            "field": "/limit/kw",
            "unit": "kW",
            "timestamp_field": "issued",
            "max_w": 1e6,
            "stale_after_s": self.stale_after_s,
        }
        options = read_options(MqttOptions, self.name, keys)
        now: Callable[[], datetime] = self.scene.timeline.now
        return self._linked(Mqtt(self.name, options, base=self.scene.base, reaction_s=REACTION_S, now=now))

    def payload(self, doc: Doc, stamp_us: int, first_w: float) -> bytes:
        return json.dumps({"issued": iso(stamp_us), "limit": {"kw": first_w / 1e3}}).encode()

    def _truth(self) -> Truth:
        return Now(firm_w=self.scene.firm_w, stale_after_s=self.stale_after_s)

    def begin(self) -> None:
        for step in self.plan.steps:  # nothing can be announced: each step is sent when it is there
            if not step.is_surprise:
                self.at(step.at_us, self._send)
        super().begin()


class Now(Truth):
    """Of messages that can say no more than what holds now."""

    def say(self, doc: Doc, *, stamp_us: int, heard_us: int) -> bool:
        return super().say(doc[:1], stamp_us=stamp_us, heard_us=heard_us)


class LoadTargets(OverMqtt):
    """`dsx_flex`: CloudEvents. The broker keeps what comes while the line is down, unless it loses its memory."""

    name = "dsx_flex"
    topic = "grid/v1/isv/acme/loadtarget/set"
    stale_after_s = 15.0
    repeat_s = 60.0

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._queue: list[Message] = []
        self._has_session = False
        self._numbers = 0

    def open(self) -> LimitSource:
        keys = {
            "host": "bus.example",
            "tls": False,
            "client_id": "site",
            "isv": "acme",
            "feed": "main",
            "unsigned": True,
            "default_w": self.scene.top_w,
            "max_w": 1e6,
            "stale_after_s": self.stale_after_s,
        }
        options = read_options(DsxOptions, self.name, keys)
        now: Callable[[], datetime] = self.scene.timeline.now
        return self._linked(DsxFlex(self.name, options, base=self.scene.base, reaction_s=REACTION_S, now=now))

    def arrive(self, message: Message) -> None:
        if self.is_cut and self._has_session:
            self._queue.append(message)
        super().arrive(message)

    def look(self) -> None:
        """The broker is asked every few seconds, and answers while the line is up."""
        if not self.is_cut:
            self.link.contact_at = self.scene.timeline.now()
            self.truth.hear(self.now_us)

    def cut(self) -> None:
        super().cut()
        if self.chance.random() < 0.3:
            self._has_session, self._queue, self.kept = False, [], None  # the broker starts anew

    def resumed(self) -> bool:
        before, self._has_session = self._has_session, True
        return before

    def waiting(self) -> list[Message]:
        queue, self._queue = self._queue, []
        return queue

    def payload(self, doc: Doc, stamp_us: int, first_w: float) -> bytes:
        self._numbers += 1
        limits_w = [first_w, *(limit_w for _, limit_w in doc[1:])]
        starts = [*(at_us for at_us, _ in doc)]
        ends = [until for _, until in pairwise([*starts, None])]
        targets = [
            {
                "interval": {"start_time": iso(at_us)} | ({} if until is None else {"end_time": iso(until)}),
                "load_constraint": {"value": limit_w / 1e3, "unit": "kilowatt"},
                "feed_tags": ["main"],
            }
            for at_us, until, limit_w in zip(starts, ends, limits_w, strict=True)
        ]
        event = {
            "specversion": "1.0.2",
            "id": f"event-{self._numbers}",
            "source": "//grid/v1/isv/acme",
            "type": "grid.loadtarget.set.v1",
            "time": iso(stamp_us),
            "data": {"targets": targets},
        }
        return json.dumps(event).encode()
